"""A run that is sent signals, and a look at what it leaves behind."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.command import DATA, DIGITS


def with_default_signals() -> None:
    """Whoever started the tests may let all of them ignore signals: nohup, or a shell."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Command:
    """A devdiff in the middle of its work, with everything it started and left."""

    def __init__(self, folder: Path, device: str) -> None:
        self.mark = f"DEVDIFF_TEST_MARK={folder}"
        self.scratch = folder / "tmp"
        self.scratch.mkdir(exist_ok=True)
        self.folder = folder
        # Short, because sockets lie in it.
        self.phones = tempfile.mkdtemp(prefix="dd-")
        atexit.register(shutil.rmtree, self.phones, ignore_errors=True)
        self.arguments = ["export-and-test", DIGITS, *DATA, "--device", device, "--out", "run"]

    def start(self) -> subprocess.Popen[str]:
        name, _, value = self.mark.partition("=")
        return subprocess.Popen(
            [sys.executable, "-m", "devdiff", *map(str, self.arguments)],
            cwd=self.folder,
            env={
                **os.environ,
                name: value,
                "TMPDIR": str(self.scratch),
                "DEVDIFF_RUNTIME_DIR": self.phones,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=with_default_signals,  # noqa: PLW1509
        )

    def signalled(self, number: int, moment: str) -> tuple[int, str]:
        """Send a signal when a line with ``moment`` was printed; exit code and the lines after."""
        process = self.start()
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if moment in line:
                break
        else:
            pytest.fail(f"{moment!r} was never said: {lines}")
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
        return process.returncode, rest

    def processes(self) -> list[str]:
        """The command lines of all processes it started that live."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (place / "environ").read_bytes():
                    found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def left(self) -> list[str]:
        """Temporary and half-written files."""
        places = (*self.scratch.iterdir(), *(self.folder / "run").rglob("*.partial*"))
        return [str(path.relative_to(self.folder)) for path in places]

    def remains(self) -> list[str]:
        """The processes and files that are still there."""
        return [*self.processes(), *self.left()]
