"""Reading the archives that apps come in: .apk, .aab, .aar, archives of apks, bundles in them.

An archive comes from anywhere. It is refused when readers could disagree about what it holds (see
`zip_layout`) and when an entry that is read swells too much; content is read in blocks, and nothing
is unpacked to disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from devdiff.device_runner.errors import ArchiveError
from devdiff.system.zip_layout import LayoutError, ZipMember, check_end, members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from _typeshed import WriteableBuffer

ZIP: Final = b"PK\x03\x04"
BLOCK: Final = 1 << 20
# What shrinks a hundredfold is neither machine code nor a model, and fills a disk or a day.
_MAX_SWELLING: Final = 100
_MAX_ENTRY: Final = 4 << 30
_MAX_TOTAL: Final = 16 << 30
# An app in an archive of apks, in it a bundle: three. More is a riddle.
_MAX_DEPTH: Final = 4
_MAX_ARCHIVES: Final = 256
# An archive that is itself compressed is read in memory.
_MAX_PACKED_ARCHIVE: Final = 256 << 20
_PEEK: Final = 4096
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive does. Raises `OSError`."""
    with path.open("rb") as stream:
        return stream.read(4) in (ZIP, b"PK\x05\x06")


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The archive in a file. Raises `ArchiveError` when it is not to be trusted, and `OSError`."""
    with path.open("rb") as stream:
        if stream.read(4) not in (ZIP, b"PK\x05\x06"):
            raise ArchiveError(
                f"{path.name} is no zip archive: name an app's .apk, .aab or .aar, or an archive "
                "of apks"
            )
        yield Archive(path.name, stream, _Spent(), depth=1)


@dataclass(slots=True)
class _Spent:
    """What reading one file has cost so far, with everything in it."""

    bytes: int = 0
    archives: int = 0


class Archive:
    """One archive, ``label`` for messages. Everything raises `ArchiveError`."""

    def __init__(self, label: str, stream: BinaryIO, spent: _Spent, depth: int) -> None:
        self.label = label
        self._stream = stream
        self._spent = spent
        self._depth = depth
        try:
            count = check_end(stream)
            self._zip = zipfile.ZipFile(stream)
            self.members: Mapping[str, ZipMember] = members(self._zip, stream, count)
        except LayoutError as error:
            where = label if error.name is None else f"{error.name!r} in {label}"
            self._refuse(f"{where} {error}")
        except _DAMAGE as error:
            self._refuse(f"{label} is damaged: {str(error) or type(error).__name__}")

    def sha256(self) -> tuple[str, int]:
        """SHA-256 of the whole file as lower-case hex, and its size in bytes."""
        self._stream.seek(0)
        digest = hashlib.sha256()
        while block := self._stream.read(BLOCK):
            digest.update(block)
        return digest.hexdigest(), self._stream.tell()

    def head(self, member: ZipMember, size: int) -> bytes:
        """The first ``size`` bytes of an entry's content, or all when it has fewer."""
        self._stream.seek(member.offset)
        if member.stored:
            return self._stream.read(min(size, member.size))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        found, left = b"", member.packed
        try:
            # Empty blocks may come first, any number of them.
            while len(found) < size and left > 0 and not inflate.eof:
                raw = self._stream.read(min(left, _PEEK))
                left -= len(raw)
                found += inflate.decompress(raw, size - len(found))
        except zlib.error as error:
            self._refuse(f"{member.name} in {self.label} is damaged: {error}")
        return found

    def chunks(self, member: ZipMember, limit: int = _MAX_ENTRY) -> Iterator[bytes]:
        """An entry's content in blocks of at most `BLOCK` bytes, its checksum compared at the end.

        Refused when it is larger than ``limit`` bytes.
        """
        why = None
        if member.link:
            why = "is a link"
        elif member.size > limit:
            why = f"claims {member.size} bytes"
        elif member.size > _MAX_SWELLING * (member.packed + 1024):
            why = f"swells from {member.packed} to {member.size} bytes"
        self._spent.bytes += member.size
        if self._spent.bytes > _MAX_TOTAL:
            why = f"is beyond the {_MAX_TOTAL >> 30} GiB that are read of one app"
        if why is not None:
            self._refuse(f"{member.name} in {self.label} {why}")
        # Reading an entry ends at the size it claims and compares its checksum there.
        try:
            with self._zip.open(member.info) as source:
                while block := source.read(BLOCK):
                    yield block
        except _DAMAGE as error:
            self._refuse(
                f"{member.name} in {self.label} is damaged: {str(error) or type(error).__name__}"
            )

    def inside(self, member: ZipMember) -> Archive:
        """The archive that an entry is."""
        label = f"{member.name} in {self.label}"
        self._spent.archives += 1
        if self._depth == _MAX_DEPTH:
            self._refuse(f"{label} is an archive in an archive, {_MAX_DEPTH} deep")
        if self._spent.archives > _MAX_ARCHIVES:
            self._refuse(f"{label} is one of more than {_MAX_ARCHIVES} archives in it")
        if member.stored:
            window = _FileWindow(self._stream, member.offset, member.size)
            stream: BinaryIO = io.BufferedReader(window)
        else:
            stream = io.BytesIO(b"".join(self.chunks(member, _MAX_PACKED_ARCHIVE)))
        return Archive(label, stream, self._spent, self._depth + 1)

    def _refuse(self, problem: str) -> NoReturn:
        raise ArchiveError(f"{problem}, and was not read; build or download the app again")


class _FileWindow(io.RawIOBase):
    """A part of a file, as a file of its own."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream = stream
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        at = offset + (0, self._at, self._size)[whence]
        if at < 0:
            raise ValueError(f"{at} lies before the beginning")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        self._stream.seek(self._start + self._at)
        data = self._stream.read(max(0, min(len(view), self._size - self._at)))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
