"""The entries of a zip archive that says the same to every reader.

Python's zipfile finds entries in the directory at the end and reads around much that is wrong;
Android's reader and others look at the headers before the content, too. Where the two could see
different files, the archive is refused: what was looked at would not be what is installed.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from dataclasses import dataclass
from typing import BinaryIO, Final

_END: Final = struct.Struct("<4s4H2LH")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_MAX_COMMENT: Final = 0xFFFF
_IN_EXTRA: Final = 0xFFFFFFFF
# The directory is held in memory: half a million entries, ten times what the largest apps have.
_MAX_DIRECTORY: Final = 64 << 20
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_SIZES_FOLLOW: Final = 0x8
_UTF8: Final = 0x800


class LayoutError(Exception):
    """What is wrong with an archive, or with one entry of it, as the rest of a sentence."""

    def __init__(self, why: str, name: str | None = None) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True, slots=True)
class ZipMember:
    """An entry: ``size`` bytes of content that take ``packed`` bytes from ``offset`` on.

    ``stored`` means that these bytes are the content itself; otherwise they are deflated.
    """

    name: str
    size: int
    packed: int
    offset: int
    stored: bool
    link: bool
    info: zipfile.ZipInfo


def check_end(stream: BinaryIO) -> int:
    """The number of entries that the end of the archive claims.

    Raises `LayoutError` when the end is missing or does not fit what lies before it: cut short,
    prepended to, appended to, or of the 64-bit kind, which Android does not read.
    """
    size = stream.seek(0, 2)
    start = max(0, size - _END.size - _MAX_COMMENT)
    stream.seek(start)
    tail = stream.read(size - start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise LayoutError("is no zip archive, or one that was cut short: it has no directory")
    _, disk, first, here, count, length, offset, comment = _END.unpack_from(tail, at)
    large = tail[max(0, at - 20) :].startswith(b"PK\x06\x07")
    if large or _IN_EXTRA in (length, offset) or count == 0xFFFF:
        raise LayoutError("is a 64-bit zip archive, which Android does not read")
    if disk or first or here != count:
        raise LayoutError("is one volume of an archive in several")
    if start + at + _END.size + comment != size:
        raise LayoutError("is damaged: something follows its end")
    if offset + length != start + at:
        raise LayoutError("is damaged: its directory is not where its end says")
    if length > _MAX_DIRECTORY:
        raise LayoutError(f"has a directory of {length} bytes, which is more than an app has")
    return int(count)


def members(opened: zipfile.ZipFile, stream: BinaryIO, count: int) -> dict[str, ZipMember]:
    """The entries by name, folders left out. Raises `LayoutError` for one that is out of order."""
    found: dict[str, ZipMember] = {}
    infos = opened.infolist()
    if len(infos) != count:
        raise LayoutError(f"is damaged: its directory has {len(infos)} entries, not {count}")
    end = opened.start_dir
    for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
        name = info.orig_filename
        _check_name(name)
        if info.header_offset >= end:
            raise LayoutError("is damaged: it does not lie where the directory says", name)
        member = _member(info, stream)
        if member.offset + member.packed > end:
            raise LayoutError("overlaps what lies behind it", name)
        end = info.header_offset
        if name in found:
            raise LayoutError("is there twice", name)
        if not name.endswith("/"):
            found[name] = member
    return dict(sorted(found.items()))


def _check_name(name: str) -> None:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or "\\" in name or name[1:2] == ":" or ".." in parts or "." in parts:
        raise LayoutError("is a path that leads elsewhere", name)
    if not all(parts) or _CONTROL.search(name):
        raise LayoutError("is not the name of a file", name)


def _member(info: zipfile.ZipInfo, stream: BinaryIO) -> ZipMember:
    """The entry, if its header says what the directory says."""
    name = info.orig_filename
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL.size)
    if len(header) != _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise LayoutError("is damaged: it has no header", name)
    _, _, flags, method, _, _, crc, packed, size, name_bytes, extra = _LOCAL.unpack(header)
    if (flags | info.flag_bits) & _ENCRYPTED:
        raise LayoutError("is encrypted", name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise LayoutError("is compressed in a way that Android does not read", name)
    stored = info.compress_type == zipfile.ZIP_STORED
    raw = stream.read(name_bytes)
    agree = (
        raw.decode("utf-8" if flags & _UTF8 else "cp437", errors="replace") == name
        and method == info.compress_type
        and _same(flags, crc, info.CRC)
        and _same(flags, packed, info.compress_size)
        and _same(flags, size, info.file_size)
        and (not stored or info.compress_size == info.file_size)
    )
    if not agree:
        raise LayoutError("is damaged: its header and the directory say different things", name)
    return ZipMember(
        name,
        info.file_size,
        info.compress_size,
        info.header_offset + _LOCAL.size + name_bytes + extra,
        stored,
        stat.S_ISLNK(info.external_attr >> 16),
        info,
    )


def _same(flags: int, local: int, central: int) -> bool:
    """Whether a header's number is the directory's, or left to what follows the content."""
    return local in (central, _IN_EXTRA) or (local == 0 and bool(flags & _SIZES_FOLLOW))
