"""devdiff, stopped for good at a moment that a test names, so that it can be killed just there.

``python -m tests.support.pausing MARK VERB …`` runs the command until there is a file in the
current folder that the pattern MARK matches; then it prints the file's path and waits to be killed.
Nothing of devdiff is changed: an audit hook looks whenever the command opens a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def _pause_at(mark: str) -> None:
    here, owner = Path.cwd(), os.getpid()
    looking = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal looking
        # Looking opens folders, too.
        if event != "open" or looking or os.getpid() != owner:
            return
        looking = True
        if found := next(here.glob(mark), None):
            os.write(1, f"{found}\n".encode())
            while True:
                time.sleep(3600)
        looking = False

    sys.addaudithook(hook)


def paused(mark: str, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own, paused when this returns."""
    command = [sys.executable, "-m", "tests.support.pausing", mark, *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    reached = process.stdout.readline().strip()
    assert Path(reached).match(mark), f"ended before {mark}: {reached}"
    return process


def main() -> int:
    from devdiff.cli.main import main as devdiff

    _pause_at(sys.argv[1])
    return devdiff(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
