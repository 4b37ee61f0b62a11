"""What a command that an error ended exits with, and the one line a user sees of it."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from devdiff.cli.signals import Interrupted
from devdiff.system.errors import DevdiffError
from devdiff.system.exit_code import ExitCode
from devdiff.system.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devdiff.cli.parsing import CommandLineError

REFUSED: Final = ExitCode.FAIL
USAGE: Final = ExitCode.USAGE
INFRASTRUCTURE: Final = ExitCode.ERROR

# Values from a file, quoted in a message, can be as long as the file.
_MOST_CHARS: Final = 2000
# The machine's fault, or ours; with every other error of the system the user named a wrong file.
_OF_THE_MACHINE: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.ENOMEM, errno.EAGAIN),
        *(errno.EMFILE, errno.ENFILE, errno.EPIPE, errno.EBADF, errno.ECHILD, errno.EINTR),
        *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT),
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRINUSE),
    }
)


def exit_code(error: BaseException) -> int | None:
    """The exit code of an error devdiff raises on purpose; None for a fault of its own."""
    if isinstance(error, DevdiffError):
        return error.exit_code
    if isinstance(error, OSError) and error.errno is not None:
        return INFRASTRUCTURE if error.errno in _OF_THE_MACHINE else USAGE
    return None


def message(error: BaseException) -> str:
    """What happened, to what, and the next thing to try."""
    text = _message(error)
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"


def _message(error: BaseException) -> str:
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
        return f"{reason}; give a place you may write to (--out), or mend the rights"
    return reason


def guard(verb: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a verb; turn whatever ends it into one line and an exit code.

    A fault of devdiff's own is an `INFRASTRUCTURE` error: 1 would say that the model failed.
    """
    try:
        return verb(args)
    except KeyboardInterrupt as interrupt:
        return interrupted(interrupt, args)
    except MemoryError as error:
        say(f"out of memory{f': {error}' if str(error) else ''}", args, INFRASTRUCTURE)
        return INFRASTRUCTURE
    except Exception as error:  # noqa: BLE001  the one place where nothing may pass
        code = exit_code(error)
        text = message(error)
        if code is None:
            from devdiff.cli import faults

            code, text = INFRASTRUCTURE, faults.message(error)
        say(text, args, code)
        return code


def say_usage(error: CommandLineError, words: Sequence[str]) -> None:
    """What is wrong with a command line, and where to look it up."""
    step = f"see {error.command} --help"
    say(str(error), argparse.Namespace(json="--json" in words), USAGE, next_step=step)
    print(step, file=sys.stderr)


def note(text: str, words: Sequence[str]) -> None:
    """Something about the command line itself, unless it is to be quiet."""
    if not {"-q", "--quiet"} & set(words):
        print(f"devdiff: note: {text}", file=sys.stderr)


def interrupted(interrupt: KeyboardInterrupt, args: argparse.Namespace | None = None) -> int:
    """Say that a signal ended the command; returns the exit code that names the signal."""
    code = 128 + (interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT)
    say("interrupted; the same command continues where it stopped", args, code)
    return code


def say(text: str, args: argparse.Namespace | None, code: int, **more: str) -> None:
    if getattr(args, "json", False):
        verdict = "fail" if code == REFUSED else "error"
        print(json.dumps({"verdict": verdict, "error": text, "exit_code": code, **more}))
    # Only a first line begins with our name, whatever a file's name is made of.
    print(f"devdiff: {printable_lines(text)}".replace("\n", "\n  "), file=sys.stderr)
