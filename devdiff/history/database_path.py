"""Where the history of runs lies, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "DEVDIFF_HISTORY"
OFF: Final = "off"
_NAME: Final = "history.sqlite"
_ROOTS: Final = (".git", "devdiff.toml", "pyproject.toml")


def location(environ: Mapping[str, str] | None = None) -> Path | None:
    """The file named by DEVDIFF_HISTORY, else the one in the user's data; None when it is off."""
    named = (os.environ if environ is None else environ).get(VARIABLE, "")
    if named.lower() == OFF:
        return None
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("devdiff") / _NAME


def project(folder: Path) -> Path:
    """The project that a folder belongs to: the nearest one above it that looks like a root.

    A folder that belongs to none is its own.
    """
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if any((candidate / name).exists() for name in _ROOTS):
            return candidate
    return folder
