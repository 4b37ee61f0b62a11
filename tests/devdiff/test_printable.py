"""Names from files are shown, and only shown."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from devdiff.cli import console
from devdiff.report import junit, markdown, parts, sarif, terminal
from devdiff.report.html import page
from devdiff.system.printable import printable, printable_lines, without_commands
from tests.support.bare_reports import bare_report, typed, with_pair
from tests.support.command import devdiff
from tests.support.packages import MANIFEST, package, tflite

# A title for the terminal, a colour, a command to the CI system on a line of its own, a line that
# looks like ours, text turned around, what has no width, a C1 control, a half of a pair.
HOSTILE = (
    "conv\x1b]0;owned\x07\x1b[2J\n::error file=a::b\r\ndevdiff: PASS\u202etxt.exe\u2066"
    "\u200b\ufeff\u00ad\U000e0041\x9b31m\x7f\u2028\ud800\x00"
)
_UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def unsafe(text: str) -> set[str]:
    """The characters in ``text`` that a terminal or a reader would obey, but lines and tabs."""
    return {sign for sign in text if sign not in "\n\t" and unicodedata.category(sign) in _UNSAFE}


def commands(text: str) -> list[str]:
    """What GitHub's runner would take for commands in a log."""
    return re.findall(r"^\s*::.*|##\[.*", text, re.MULTILINE)


def test_what_is_not_plainly_visible_becomes_an_escape() -> None:
    assert printable("conv_1/größe ≤ 3 μm 日本") == "conv_1/größe ≤ 3 μm 日本"
    assert printable("a\x1b[31m\n\u202eb\U000e0041") == "a\\u001b[31m\\n\\u202eb\\U000e0041"
    assert printable_lines("a\n\tb\r") == "a\n\tb\\r"
    assert not unsafe(printable(HOSTILE))
    assert "\n" not in printable(HOSTILE)


def test_no_line_is_a_command_to_a_ci_system() -> None:
    assert without_commands("a::b\n  ::error::c\nx ##[add-path]y") == (
        "a::b\n  : :error::c\nx ## [add-path]y"
    )
    assert not commands(without_commands("::a::\n::b::\n\t::c::"))
    document = {"name": "##[add-path]/tmp\n::error::\x7f"}
    for indent in (None, 2):
        written = without_commands(printable_lines(json.dumps(document, indent=indent)))
        assert not commands(written)
        assert not unsafe(written)
        assert json.loads(written) == document


def hostile_report() -> dict[str, Any]:
    """A report in which every name and message from outside is hostile."""
    report = with_pair(bare_report(command=["export-and-test", HOSTILE]), "fail")
    report["model"] |= {"name": HOSTILE, "files": {HOSTILE: "0" * 64}}
    report["inputs"] |= {"origin": HOSTILE, "notes": [HOSTILE]}
    report["summary"] = HOSTILE
    report["pairs"][0]["judgement"]["reasons"] = [HOSTILE]
    report["rungs"][0] |= {"error": HOSTILE, "model": {"file": HOSTILE, "sha256": "0" * 64}}
    report["scan"] = {
        "verdict": "error",
        "reason": HOSTILE,
        "seed": 0,
        "budget_s": 1.0,
        "cost": {"wall_s": 1.0},
    }
    return report


def on_terminal(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    terminal.show(typed(report), console.stdout(), Path("reports") / HOSTILE.replace("\0", ""))
    return capsys.readouterr().out


def test_every_format_shows_hostile_names_and_obeys_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = hostile_report()
    shown = {
        "terminal": on_terminal(report, capsys),
        "page": page.render(typed(report)),
        "JUnit": junit.render(typed(report)),
        "SARIF": json.dumps(sarif.render(typed(report)), ensure_ascii=False),
        "Markdown": markdown.render(typed(report)).replace("\u200b", ""),
    }
    for name, text in shown.items():
        assert not unsafe(text), (name, unsafe(text))
        assert "\\u202e" in text.replace("\\\\", "\\"), name
        # In HTML a line's end is a space.
        forged = [line for line in text.splitlines() if line.startswith("devdiff: PASS")]
        assert name == "page" or not forged, name


def test_a_narrator_shows_names_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Narrator() as narrator:
        narrator.phase(HOSTILE)
        narrator.note(HOSTILE)
    printed = capsys.readouterr().err
    assert not unsafe(printed)
    assert len(printed.splitlines()) == 2


def test_a_console_shows_what_nobody_made_printable(capsys: pytest.CaptureFixture[str]) -> None:
    out = console.stdout()
    table = parts.table("name")
    table.add_row("a\x1b]0;owned\x07b")
    out.print("\x1b[2Jc", table, "\u202ed")
    printed = capsys.readouterr().out
    assert not unsafe(printed)
    assert "\\u001b[2Jc" in printed
    assert "a\\u001b]0;" in printed


@pytest.mark.slow
def test_a_whole_command_keeps_an_apps_names_out_of_a_log(tmp_path: Path) -> None:
    names = ("\u2066##[add-path]\u202ea.tflite", "\u200bb.tflite")
    package(tmp_path / "app.apk", MANIFEST | {name: tflite(1) for name in names})
    (tmp_path / "report.json").write_text(json.dumps(bare_report()))
    done = devdiff("verify", "app.apk", "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    for text in (done.stdout, done.stderr):
        assert not unsafe(text)
        assert not commands(text)
    assert "\\u2066## [add-path]\\u202ea.tflite" in done.stdout
    assert "\\u200bb.tflite" in done.stdout


def test_a_refusal_quotes_a_files_name_without_obeying_it(tmp_path: Path) -> None:
    done = devdiff("diff", "a\n::error::b\x1b[2J", "c", cwd=tmp_path)
    assert done.returncode == 2
    assert not unsafe(done.stderr)
    assert not commands(done.stderr)
    assert sum(line.startswith("devdiff:") for line in done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_terminal_gets_colours_and_no_escapes_of_a_names(tmp_path: Path) -> None:
    package(tmp_path / "app.apk", MANIFEST | {"\u202e\u200bm.tflite": tflite(1)})
    (tmp_path / "report.json").write_text(json.dumps(bare_report()))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "devdiff", "verify", "app.apk", "--report", "report.json"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = b""
    try:
        while part := os.read(ours, 4096):
            printed += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 1, printed
    assert b"\x1b[1;3" in printed  # the verdict's colour
    assert b"\\u202e\\u200bm.tflite" in printed
    assert not {"\u202e", "\u200b"} & set(printed.decode())
