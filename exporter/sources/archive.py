"""Zip archives from outside, looked at before any framework opens them."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.sources.formats import check_start

if TYPE_CHECKING:
    from collections.abc import Mapping

# What unpacks to more than this, and to more than so many times its own size, is no model: weights
# hardly compress, and the frameworks store them as they are.
_HARMLESS_BYTES: Final = 256 << 20
_HIGHEST_RATIO: Final = 20


def check_zip(path: Path, kind: str) -> Mapping[str, int]:
    """The members of an archive, by name, with their sizes in bytes.

    Raises `SourceModelError` when it is no zip or damaged, when a member's name leads out of the
    archive or stands twice, and when it would unpack to far more than it holds.
    """
    check_start(path, b"PK\x03\x04", kind)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            broken = archive.testzip() if _unpacked(members) <= _HARMLESS_BYTES else None
    except Exception as error:  # zipfile and zlib raise whatever damaged bytes lead them to
        raise SourceModelError(
            f"{path} is damaged or truncated ({path.stat().st_size} bytes): {error}; export or "
            "copy it again"
        ) from error
    if broken is not None:
        raise SourceModelError(f"{path} is damaged at {broken!r}: export or copy it again")
    names: dict[str, int] = {}
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in member.filename:
            raise SourceModelError(f"{path} holds {member.filename!r}, which leads out of it")
        if member.filename in names:
            raise SourceModelError(f"{path} holds {member.filename!r} twice: it was tampered with")
        names[member.filename] = member.file_size
    total, size = _unpacked(members), path.stat().st_size
    if inflated(total, size):
        raise SourceModelError(
            f"{path} has {size} bytes and would unpack to {total}: no model compresses like that"
        )
    return names


def inflated(claimed: int, size: int) -> bool:
    """Whether a file of ``size`` bytes claims to hold more than a model's ever does."""
    return claimed > max(_HARMLESS_BYTES, _HIGHEST_RATIO * size)


def _unpacked(members: list[zipfile.ZipInfo]) -> int:
    return sum(member.file_size for member in members)


def read_member(path: Path, name: str) -> bytes:
    """One member's bytes. Raises `SourceModelError` when it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except Exception as error:
        raise SourceModelError(f"{path} is damaged: it has no readable {name}: {error}") from error
