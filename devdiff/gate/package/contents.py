"""Every file in a package, also in the archives that the package holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from device_runner.archive import ZIP, Archive
from device_runner.zip_layout import Member

Kind = Literal["apk", "aab", "aar", "apks", "zip"]

# The marks by which models, programs and archives are known stand in the first eight bytes.
_HEAD: Final = 8


@dataclass(frozen=True, slots=True)
class Content:
    """A file in a package, with the first 8 bytes of it.

    ``place`` says where it is, innermost first; ``kind`` what it is installed from. ``offset`` is
    where it begins in the installed .apk; None where it, or an archive around it, is compressed.
    """

    archive: Archive
    member: Member
    kind: Kind
    offset: int | None
    place: str
    head: bytes


def kind_of(archive: Archive) -> Kind:
    """What an archive is, by what it holds: its name may be any."""
    names = archive.members
    if "BundleConfig.pb" in names:
        return "aab"
    if "AndroidManifest.xml" in names:
        return "aar" if "classes.jar" in names or "R.txt" in names else "apk"
    if any(name.endswith(".apk") for name in names):
        return "apks"
    return "zip"


def walk(archive: Archive) -> Iterator[Content]:
    """All files, an archive before what is in it. Raises `ArchiveError`."""
    yield from _walk(archive, kind_of(archive), 0, "")


def _walk(archive: Archive, kind: Kind, base: int | None, around: str) -> Iterator[Content]:
    for member in archive.members.values():
        offset = base + member.offset if member.stored and base is not None else None
        place = f"{member.name}{around}"
        head = archive.head(member, _HEAD)
        yield Content(archive, member, kind, offset, place, head)
        if not head.startswith(ZIP):
            continue
        inner = archive.inside(member)
        inner_kind = kind_of(inner)
        if inner_kind == "zip":
            yield from _walk(inner, kind, offset, f" in {place}")
        else:
            yield from _walk(inner, inner_kind, 0, f" in {place}")
