"""What devdiff's optional parts need, by its own requirements, and whether it is installed."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION: Final = "devdiff"
_PROPER_NAMES: Final = {"tensorflow": "TensorFlow", "torch": "PyTorch"}
_NAMED: Final = 3


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def requirements(extra: str = "") -> tuple[Requirement, ...]:
    """What devdiff needs with an extra beyond what it always needs; without one, always.

    Nothing where devdiff runs without being installed.
    """
    return tuple(
        asked for asked in _all() if _applies(asked, extra) and not (extra and _applies(asked, ""))
    )


def _applies(asked: Requirement, extra: str) -> bool:
    return asked.marker is None or asked.marker.evaluate({"extra": extra})


@functools.cache
def _all() -> tuple[Requirement, ...]:
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or ()
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(map(Requirement, lines))


def installed(distribution: str) -> str | None:
    """The version that is installed, None where none is."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def lacking(extra: str) -> str:
    """For people, what an extra needs and is not installed; empty when nothing is missing."""
    missing = [asked.name for asked in requirements(extra) if installed(asked.name) is None]
    # The frameworks say best what is missing.
    missing.sort(key=lambda name: name not in _PROPER_NAMES)
    named = [_PROPER_NAMES.get(name, name) for name in missing[:_NAMED]]
    more = [f"{len(missing) - _NAMED} more packages"] if len(missing) > _NAMED else []
    return ", ".join(named + more)


def shortage(doing: str, *extras: str) -> str | None:
    """What to tell who is ``doing`` something that needs extras; None when all is installed.

    The first that lacks something is named: an extra that contains others stands first.
    """
    for extra in extras:
        if missing := lacking(extra):
            return f"{doing} needs {missing}: {install(extra)}"
    return None


def pinned(distribution: str) -> str | None:
    """The only version that devdiff's requirements allow, whatever extra asks for it."""
    for asked in _all():
        if asked.name == distribution:
            for part in asked.specifier:
                if part.operator == "==":
                    return part.version
    return None
