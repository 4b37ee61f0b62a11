"""What people see on a terminal: narrow ones, long runs, and pipes in which nothing is said."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from devdiff.cli import console
from devdiff.history import terminal as history_terminal
from devdiff.progress import WHOLE
from devdiff.report import load, parts, terminal
from tests.support.packages import report, tflite

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.history_runs import Like
    from tests.support.html_runs import FinishedRun

WIDE = "模型" * 12
LONG = "a-model-whose-name-is-longer-than-any-terminal-is-wide-" * 2
STYLING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
LADDER = {"source": b"onnx", "float": tflite(1), "int8": tflite(2), "device": tflite(2)}


def on_a_terminal(*words: str, columns: int, rows: int, cwd: Path) -> list[str]:
    """The lines that a command leaves on a terminal of that size."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (rows, columns))
    environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "CI")}
    with os.fdopen(reader, "rb", buffering=0) as screen:
        running = subprocess.Popen(
            [sys.executable, "-m", "devdiff", *words],
            stdout=writer,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            env=environ | {"TERM": "xterm", "DEVDIFF_HISTORY": "off"},
        )
        os.close(writer)
        shown = b""
        try:
            while chunk := screen.read(65536):
                shown += chunk
        except OSError:  # how a terminal ends
            pass
        running.wait(60)
    return STYLING.sub("", shown.decode()).rstrip("\n").split("\n")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reports of a model whose names are long and wide."""
    folder = tmp_path_factory.mktemp("terminal")
    for name, verdict in (("passed", "pass"), ("failed", "fail")):
        made = report(folder / f"{name}.json", LADDER, verdict)
        text = made.read_text().replace("m.onnx", f"{WIDE}-{LONG}.onnx")
        made.write_text(text)
    return folder


@pytest.mark.parametrize("columns", [80, 40])
def test_nothing_is_wider_than_the_terminal(runs: Path, columns: int) -> None:
    words = ("compare", "passed.json", "failed.json")
    lines = on_a_terminal(*words, columns=columns, rows=200, cwd=runs)
    assert max(map(cell_len, lines)) <= columns
    text = "\n".join(lines)
    # What is to be read in one piece is in one piece.
    for word in ("FAIL", "deployment", "largest", "inconclusive|fail"):
        assert re.search(rf"\b{word}\b", text), word


@pytest.mark.parametrize(("rows", "times"), [(8, 2), (200, 1)])
def test_the_verdict_comes_last_as_well_where_it_would_scroll_off(
    runs: Path, rows: int, times: int
) -> None:
    words = ("compare", "passed.json", "failed.json")
    lines = on_a_terminal(*words, columns=80, rows=rows, cwd=runs)
    found = [number for number, line in enumerate(lines) if line.startswith("FAIL ")]
    assert len(found) == times
    assert found[0] == 0
    if times > 1:
        assert len(lines) - found[-1] < 6


def printed(width: int, build: Callable[[Console], None], terminal: bool = True) -> list[str]:
    stream = io.StringIO()
    out = Console(file=stream, width=width, force_terminal=terminal, no_color=True, highlight=False)
    build(out)
    return STYLING.sub("", stream.getvalue()).splitlines()


def rows_of(*rows: tuple[str, ...]) -> Callable[[Console], None]:
    def build(out: Console) -> None:
        table = parts.table("step", "rungs", "output", "max error", "SNR dB", "verdict")
        for row in rows:
            table.add_row(*row)
        out.print(table)

    return build


ROW = ("compression", "float → int8", "logits", "0.125", "34.1", "pass")


def test_a_table_that_fits_is_a_table() -> None:
    lines = printed(80, rows_of(ROW))
    assert len(lines) == 2
    assert lines[0].split()[:3] == ["step", "rungs", "output"]


@pytest.mark.parametrize("width", [40, 30])
def test_a_row_of_a_table_that_does_not_fit_is_read_from_top_to_bottom(width: int) -> None:
    lines = printed(width, rows_of(ROW, ("", "", WIDE, "1", "2", "fail")))
    assert max(map(cell_len, lines)) <= width
    assert lines[0] == "compression"
    text = " ".join(line.strip() for line in lines)
    for pair in ("rungs float → int8", "max error 0.125", "SNR dB 34.1", "verdict pass"):
        assert pair in text, text
    assert WIDE in "".join(line.strip() for line in lines)


def test_a_pipe_gets_the_table_whatever_its_width() -> None:
    lines = printed(160, rows_of(ROW), terminal=False)
    assert len(lines) == 2


def test_a_sentence_is_broken_between_words_and_is_one_line_in_a_pipe() -> None:
    sentence = "the step compression changes the model beyond what is allowed on 600 samples"
    lines = printed(40, lambda out: parts.headline("fail", sentence, out))
    assert len(lines) == 3
    assert " ".join(" ".join(lines).split()) == f"FAIL {sentence}"
    assert printed(40, lambda out: parts.headline("fail", sentence, out), terminal=False) == [
        f"FAIL  {sentence}"
    ]


def narrated(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[console.Narrator], None], beat: float = 0.05
) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.Narrator(heartbeat_s=beat) as narrator:
        work(narrator)
    return stream.getvalue().splitlines()


def wait_for(narrator: console.Narrator, stream: io.StringIO, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_pipe_is_told_that_long_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(narrator: console.Narrator) -> None:
        stream = sys.stderr
        assert isinstance(stream, io.StringIO)
        narrator.phase("running device (phone), rung 4 of 4")
        narrator.progress(120, 600)
        wait_for(narrator, stream, "120 of 600")
        narrator.phase("searching")
        narrator.progress(WHOLE // 4, WHOLE)
        wait_for(narrator, stream, "25 %")

    lines = narrated(monkeypatch, work)
    phase = "devdiff: running device (phone), rung 4 of 4"
    assert lines[0] == phase
    assert re.fullmatch(rf"{re.escape(phase)}: 120 of 600, \d+ s so far", lines[1])
    assert any(re.fullmatch(r"devdiff: searching: 25 %, \d+ s so far", line) for line in lines)


def test_work_that_says_enough_has_no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(narrator: console.Narrator) -> None:
        for number in range(10):
            narrator.phase(f"phase {number}")
            time.sleep(0.005)

    assert narrated(monkeypatch, work, beat=5) == [f"devdiff: phase {n}" for n in range(10)]


def test_the_heart_stops_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    narrated(monkeypatch, lambda narrator: narrator.phase("short"))
    deadline = time.monotonic() + 5
    while any(t.name == "heartbeat" for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_quiet_work_has_no_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.Narrator("quiet", heartbeat_s=0.01) as narrator:
        narrator.phase("running")
        time.sleep(0.1)
    assert stream.getvalue() == ""


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 40])
def test_whole_reports_of_every_verdict_fit(
    width: int,
    passed_run: FinishedRun,
    digits_run: FinishedRun,
    hostile_run: FinishedRun,
    broken_run: FinishedRun,
    scanned_run: FinishedRun,
) -> None:
    for run in (passed_run, digits_run, hostile_run, broken_run, scanned_run):
        found = load.load(run.folder / "report.json")
        lines = printed(width, lambda out, found=found: terminal.show(found, out, Path("r.json")))  # type: ignore[misc]
        assert max(map(cell_len, lines)) <= width, found.verdict
        assert lines[0].startswith(found.verdict.upper())
        # Figures are never folded.
        text = "\n".join(lines)
        for rung in found.rungs:
            if rung.time.median_ms is not None:
                assert re.search(rf"(^|\s){rung.time.median_ms:.3g}(\s|$)", text), rung.name


def test_a_long_history_fits(like: Like) -> None:
    runs = [like(f"{n}", model=f"{WIDE}-{LONG}.onnx", device=WIDE) for n in range(3)]
    for width in (80, 40):
        lines = printed(width, lambda out: history_terminal.show(runs, out))
        assert max(map(cell_len, lines)) <= width
        assert sum("600/600" in line for line in lines) >= len(runs)


def test_what_is_indented_stays_so_on_every_line() -> None:
    text = "  [green]better[/] agreement, source → device: 99.2 % (98.1–99.8) → 99.9 % (99.0–100.0)"
    lines = printed(40, lambda out: parts.say(text, out))
    assert len(lines) == 3
    assert all(line.startswith("  ") for line in lines)
