"""SIGTERM and SIGHUP end a command as Ctrl-C does: tidied up, with their own exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import devdiff
from tests.support.interrupted_run import Command, with_default_signals

if TYPE_CHECKING:
    from pathlib import Path

# Sends itself a signal at the moment a module is looked for.
_AT_IMPORT = """
import os, signal, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SIGNAL_AT"]:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        return None

sys.meta_path.insert(0, Watch())
"""


def interrupted_at(
    module: str, number: int, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """devdiff, which gets a signal when it begins to import ``module``."""
    (folder / "sitecustomize.py").write_text(_AT_IMPORT)
    env = {"PYTHONPATH": str(folder), "SIGNAL_AT": module, "SIGNAL": str(number)}
    return devdiff(*arguments, cwd=folder, env=env, before=with_default_signals)


@pytest.mark.parametrize(
    "module",
    ["argparse", "devdiff.cli.groups.running", "devdiff.cli.verify", "devdiff.cli.virtual"],
)
def test_an_interrupt_during_the_imports_shows_no_trace(module: str, tmp_path: Path) -> None:
    done = interrupted_at(module, signal.SIGINT, tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (130, "devdiff: interrupted\n")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_each_signal_has_its_exit_code(number: int, code: int, tmp_path: Path) -> None:
    # A verb has begun when it imports what it needs.
    done = interrupted_at("devdiff.cli.installation", number, tmp_path, "doctor", "--json")
    assert done.returncode == code
    assert done.stderr == "devdiff: interrupted; the same command continues where it stopped\n"
    assert f'"exit_code": {code}' in done.stdout


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_AT_IMPORT)
    env = {"PYTHONPATH": str(tmp_path), "SIGNAL_AT": "devdiff.cli.installation", "SIGNAL": "1"}
    done = subprocess.run(
        ["nohup", sys.executable, "-m", "devdiff", "doctor"],
        cwd=tmp_path,
        env={**os.environ, **env},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "python" in done.stdout


MOMENTS = [
    ("local", "reading the model"),
    ("local", "running int8"),
    ("virtual", "starting a virtual phone"),
    ("virtual", "is Linux with glibc"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("device", "moment"), MOMENTS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_no_process_and_no_file_and_the_run_goes_on(
    tmp_path: Path, device: str, moment: str, number: int, code: int
) -> None:
    command = Command(tmp_path, device)
    returned, rest = command.signalled(number, moment)
    assert returned == code, rest
    assert rest.splitlines()[-1:] == [
        "devdiff: interrupted; the same command continues where it stopped"
    ]
    assert "Traceback" not in rest
    assert command.remains() == []
    _, said = (again := command.start()).communicate(timeout=120)
    assert again.returncode == 0, said
    assert "continuing the unfinished run" in said
    assert command.remains() == []


@pytest.mark.slow
@pytest.mark.parametrize(("device", "moment"), MOMENTS)
def test_what_a_kill_leaves_is_swept_by_the_next_start(
    tmp_path: Path, device: str, moment: str
) -> None:
    command = Command(tmp_path, device)
    returned, _ = command.signalled(signal.SIGKILL, moment)
    assert returned == -signal.SIGKILL
    _, said = (again := command.start()).communicate(timeout=120)
    assert again.returncode == 0, said
    assert command.remains() == []
