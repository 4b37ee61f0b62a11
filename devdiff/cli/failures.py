"""One table from errors to exit codes, and the one line a user sees of each."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devdiff.cli.parsing import CommandLineError

REFUSED = 1
USAGE = 2
INFRASTRUCTURE = 3
INTERRUPTED = 130


def exit_code(error: BaseException) -> int | None:
    """The exit code of an error devdiff raises on purpose; None for a fault of its own."""
    from devdiff.device_runner.errors import ArchiveError, DeviceRunnerError, RunnerChoiceError
    from devdiff.errors import AttestationError, DevdiffError, NotTestedError
    from devdiff.exporter.errors import ExporterError, WorkerError

    table: tuple[tuple[type[BaseException], int], ...] = (
        (WorkerError, INFRASTRUCTURE),
        (ExporterError, USAGE),
        (RunnerChoiceError, USAGE),
        (ArchiveError, USAGE),
        (DeviceRunnerError, INFRASTRUCTURE),
        (AttestationError, REFUSED),
        (NotTestedError, INFRASTRUCTURE),
        (DevdiffError, USAGE),
    )
    for kind, code in table:
        if isinstance(error, kind):
            return code
    if isinstance(error, OSError) and error.errno is not None:
        return INFRASTRUCTURE if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else USAGE
    return None


def message(error: BaseException) -> str:
    """What happened, to what, and the next thing to try."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    reason = f"{where}{os.strerror(error.errno)}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = where or "the disk with the run directory is full: "
        return (
            f"{full}{os.strerror(error.errno)}; free some space and run the same command again: "
            "it continues"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{reason}; give a place you may write to (--run-dir, --out), or mend the rights"
    return reason


def guard(verb: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a verb; turn what a user can cause into one line and an exit code."""
    try:
        return verb(args)
    except KeyboardInterrupt:
        say("interrupted; the same command continues where it stopped", args, INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (head, a pager); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        say(message(error), args, code)
        return code


def say_usage(error: CommandLineError, words: Sequence[str]) -> None:
    """What is wrong with a command line, and where to look it up."""
    say(str(error), argparse.Namespace(json="--json" in words), USAGE)
    print(f"see {error.command} --help", file=sys.stderr)


def say(text: str, args: argparse.Namespace, code: int) -> None:
    if getattr(args, "json", False):
        verdict = "fail" if code == REFUSED else "error"
        print(json.dumps({"verdict": verdict, "error": text, "exit_code": code}))
    print(f"devdiff: {text}", file=sys.stderr)
