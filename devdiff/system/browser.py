"""Showing a file to whoever sits in front of this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WAIT_S: Final = 10.0
_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")


def open_page(path: Path, environ: Mapping[str, str] | None = None) -> bool:
    """Open a file in the browser that the user's system has for it; False where there is none.

    ``BROWSER`` names another one. Else nothing is opened without a screen: a browser in the
    terminal would take it from the command.
    """
    command = opener(os.environ if environ is None else environ)
    if command is None:
        return False
    try:
        # In a session of its own, so that the browser stays when the terminal is closed.
        process = subprocess.Popen(
            [*command, path.resolve().as_uri()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return process.wait(_WAIT_S) == 0
    except subprocess.TimeoutExpired:
        # What is still there is the browser itself.
        return True


def opener(environ: Mapping[str, str], platform: str = sys.platform) -> list[str] | None:
    """The command that opens an address; None where there is no screen, or nothing to open it."""
    path = environ.get("PATH", os.defpath)
    if platform == "darwin":
        return _found(["open"], path)
    if platform == "win32":
        return ["cmd", "/c", "start", ""]
    named = shlex.split(environ.get("BROWSER", "").split(":")[0].replace("%s", ""))
    if named:
        return _found(named, path)
    if "WSL_DISTRO_NAME" in environ and (windows := _found(["wslview"], path)) is not None:
        return windows
    screen = any(environ.get(name) for name in _DISPLAYS)
    return _found(["xdg-open"], path) if screen else None


def _found(command: list[str], path: str) -> list[str] | None:
    program = shutil.which(command[0], path=path)
    return None if program is None else [program, *command[1:]]
