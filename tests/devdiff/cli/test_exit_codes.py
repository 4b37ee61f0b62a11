"""The exit code is the verdict, whatever happens to what is printed, and 1 only ever means fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import devdiff
from tests.support.packages import MANIFEST, package, report, tflite

if TYPE_CHECKING:
    from pathlib import Path

MODEL, OTHER = tflite(1), tflite(2)


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an app that passes, ``good.apk``, and one that fails, ``bad.apk``."""
    folder = tmp_path_factory.mktemp("apps")
    rungs = {"source": b"onnx", "float": tflite(3), "int8": MODEL, "device": MODEL}
    report(folder / "report.json", rungs)
    package(folder / "good.apk", MANIFEST | {"a.tflite": MODEL})
    package(folder / "bad.apk", MANIFEST | {"a.tflite": MODEL, "b.tflite": OTHER})
    return folder


def code_of(shell: str, folder: Path) -> tuple[int, str]:
    """The exit code of devdiff in a line for bash, and what the line wrote to standard error.

    ``DEVDIFF`` in it is the command; its code is kept whatever it is a part of.
    """
    (folder / "code").unlink(missing_ok=True)
    line = shell.replace("DEVDIFF", f"{{ {sys.executable} -m devdiff")
    line = line.replace(" END", "; echo $? >code; }")
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return int((folder / "code").read_text()), done.stderr


@pytest.mark.parametrize(
    "way",
    [
        "DEVDIFF {} END | true",
        pytest.param("DEVDIFF {} --json END | true", marks=pytest.mark.slow),
        pytest.param("DEVDIFF {} --json >/dev/full END", marks=pytest.mark.slow),
        pytest.param("DEVDIFF {} >/dev/full 2>/dev/full END", marks=pytest.mark.slow),
        pytest.param("DEVDIFF {} <&- >&- 2>&- END", marks=pytest.mark.slow),
        pytest.param("DEVDIFF {} 2>&1 END | true", marks=pytest.mark.slow),
    ],
)
def test_nothing_about_the_streams_changes_a_verdict(apps: Path, way: str) -> None:
    for app, expected in (("good.apk", 0), ("bad.apk", 1)):
        verb = f"verify {app} --report report.json"
        code, said = code_of(way.format(verb), apps)
        assert code == expected, said
        assert "Traceback" not in said
        assert "Exception ignored" not in said
        if way.endswith("/dev/full END") and "2>" not in way:
            assert "could not write to standard output: No space left on device" in said


@pytest.mark.slow
def test_closed_streams_are_not_given_to_the_files_that_are_opened_next(
    apps: Path, tmp_path: Path
) -> None:
    # With descriptor 1 free, the page would get it, and whatever is printed would land in it.
    code, _ = code_of(f"DEVDIFF report report.json --html {tmp_path}/page.html >&- END", apps)
    assert code == 0
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def broken_devdiff(folder: Path, fault: str) -> Path:
    """A module that breaks ``devdiff doctor`` as a bug of ours would, for PYTHONPATH."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import devdiff.cli.doctor\n\ndef run(args):\n    " + fault + "\n\n"
        "devdiff.cli.doctor.run = run\n"
    )
    return folder


def test_a_fault_of_our_own_is_an_error_and_its_trace_is_kept(tmp_path: Path) -> None:
    path = broken_devdiff(tmp_path / "broken", "raise KeyError('schema\\nversion')")
    env = {"PYTHONPATH": str(path), "DEVDIFF_CACHE_DIR": str(tmp_path / "cache")}
    done = devdiff("doctor", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 3
    assert json.loads(done.stdout)["exit_code"] == 3
    assert json.loads(done.stdout)["verdict"] == "error"
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    (kept,) = (tmp_path / "cache/faults").iterdir()
    assert line.startswith("devdiff: a fault of devdiff itself")
    assert line.endswith(str(kept))
    assert "KeyError" in line
    trace = kept.read_text()
    assert "Traceback" in trace
    assert "schema" in trace
    assert "doctor --json" in trace


def test_a_trace_that_cannot_be_kept_or_is_asked_for_is_printed(tmp_path: Path) -> None:
    path = broken_devdiff(tmp_path / "broken", "raise RuntimeError('deep inside')")
    (tmp_path / "cache").touch()
    for more in ({"DEVDIFF_CACHE_DIR": str(tmp_path / "cache")}, {"DEVDIFF_DEBUG": "1"}):
        done = devdiff("doctor", cwd=tmp_path, env={"PYTHONPATH": str(path), **more})
        assert done.returncode == 3
        assert "Traceback" in done.stderr
        assert "please report it with the trace above" in done.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise MemoryError", "out of memory"),
        ("raise BrokenPipeError(32, 'Broken pipe')", "Broken pipe"),
        ("raise RecursionError('too deep')", "a fault of devdiff itself"),
        ("raise ConnectionRefusedError(111, 'no')", "Connection refused"),
    ],
)
def test_what_the_machine_or_devdiff_got_wrong_is_never_a_fail(
    tmp_path: Path, fault: str, words: str
) -> None:
    path = broken_devdiff(tmp_path / "broken", fault)
    env = {"PYTHONPATH": str(path), "DEVDIFF_CACHE_DIR": str(tmp_path / "cache")}
    done = devdiff("doctor", cwd=tmp_path, env=env)
    assert done.returncode == 3
    assert words in done.stderr.splitlines()[-1]
    assert os.linesep.join(done.stderr.splitlines()).count("Traceback") == 0
