"""Every file in a package, also in the archives that the package holds."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from devdiff.device_runner.runtimes.archive import ZIP, Archive
from devdiff.package.formats import HEAD, begins_like_torch
from devdiff.system.zip_layout import ZipMember

Kind = Literal["apk", "aab", "aar", "apks", "zip"]


@dataclass(frozen=True, slots=True)
class Content:
    """A file in a package, with the first bytes of it, and the archive that it is, if it is one.

    ``place`` says where it is, innermost first; ``kind`` what it is installed from. ``offset`` is
    where it begins in the installed .apk; None where it, or an archive around it, is compressed.
    """

    archive: Archive
    member: ZipMember
    kind: Kind
    offset: int | None
    place: str
    head: bytes
    inner: Archive | None = None

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.member.name} in {self.archive.label}"


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


def walk(archive: Archive, skip: Sequence[str], skipped: list[str]) -> Iterator[Content]:
    """All files, an archive before what is in it. Raises `ArchiveError`.

    What is at a place that a pattern of ``skip`` fits (as in a shell, ``*`` also for ``/``) is
    neither looked at nor into; its place is added to ``skipped``.
    """
    return _walk(archive, kind_of(archive), 0, "", _Skip(skip, skipped))


@dataclass(frozen=True, slots=True)
class _Skip:
    patterns: Sequence[str]
    skipped: list[str]

    def __call__(self, place: str) -> bool:
        fits = any(fnmatch.fnmatchcase(place, pattern) for pattern in self.patterns)
        if fits:
            self.skipped.append(place)
        return fits


def _walk(
    archive: Archive, kind: Kind, base: int | None, around: str, skip: _Skip
) -> Iterator[Content]:
    for member in archive.members.values():
        place = f"{member.name}{around}"
        if skip(place):
            continue
        offset = base + member.offset if member.stored and base is not None else None
        head = archive.head(member, HEAD)
        inner = None
        if head.startswith(ZIP) and not begins_like_torch(head):
            inner = archive.inside(member)
        yield Content(archive, member, kind, offset, place, head, inner)
        if inner is None:
            continue
        inner_kind = kind_of(inner)
        if inner_kind == "zip":
            yield from _walk(inner, kind, offset, f" in {place}", skip)
        else:
            yield from _walk(inner, inner_kind, 0, f" in {place}", skip)
