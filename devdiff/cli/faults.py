"""A fault of devdiff's own: one line, an exit code that is no verdict, and a trace that is kept."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import traceback
from typing import TYPE_CHECKING, Final

from devdiff import __version__
from devdiff.system.cache import cache_root
from devdiff.system.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

DEBUG: Final = "DEVDIFF_DEBUG"
_FOLDER: Final = "faults"
_KEPT: Final = 20


def message(error: BaseException) -> str:
    """One line about the fault, and where its trace is.

    With ``DEVDIFF_DEBUG`` set, and where no file can be written, the trace goes to standard error.
    """
    trace = "".join(traceback.format_exception(error))
    summary = printable(f"{type(error).__name__}: {error}".rstrip(": "))
    line = f"a fault of devdiff itself, which says nothing about your model: {summary}"
    file = None if os.environ.get(DEBUG) else _keep(trace)
    if file is None:
        print(trace, end="", file=sys.stderr)
        return f"{line}; please report it with the trace above"
    return f"{line}; please report it with the trace in {file}"


def _keep(trace: str) -> Path | None:
    folder = cache_root() / _FOLDER
    now = datetime.datetime.now(datetime.UTC)
    path = folder / f"{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    about = f"devdiff {__version__}, Python {platform.python_version()}, {platform.platform()}"
    words = " ".join(sys.argv)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{about}\n{words}\n\n{trace}", "utf-8", "backslashreplace")
        for old in sorted(folder.glob("*.txt"))[:-_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return path
