"""What files hold that are compressed one by one: gzip, zlib, xz, LZMA, bzip2, one in another.

Readers disagree about what follows the end of compressed data: another member of the same kind,
which counts as more of the content, or anything else, which some pass over. The former is read on,
the latter is refused.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Final, Literal, Protocol

from devdiff.device_runner.errors import ArchiveError
from devdiff.device_runner.runtimes.archive import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Packing = Literal["gzip", "zlib", "xz", "lzma", "bzip2"]

_MAX_BYTES: Final = 4 << 30
_MAX_SWELLING: Final = 100
_MAX_LZMA_MEMORY: Final = 256 << 20
_DAMAGE: Final = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class TrailingError(ArchiveError):
    """Something follows the end of compressed data that is no more of it."""


class _Decompressor(Protocol):
    """As Python's own for xz and bzip2."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflate:
    """zlib's decompressor in the form of the others."""

    def __init__(self, window: int) -> None:
        self._inflate = zlib.decompressobj(window)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        # A full block may leave more of the same input inside zlib.
        return not self._full and not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        limit = max(0, max_length)
        found = self._inflate.decompress(self._inflate.unconsumed_tail + data, limit)
        self._full = len(found) == limit and not self._inflate.eof
        return found


_OPENED: Final[dict[Packing, Callable[[], _Decompressor]]] = {
    "gzip": lambda: _Inflate(16 + zlib.MAX_WBITS),
    "zlib": lambda: _Inflate(zlib.MAX_WBITS),
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_LZMA_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MAX_LZMA_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
}


def packing_of(head: bytes) -> Packing | None:
    """How a file with this beginning seems to be compressed."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "bzip2"
    if head.startswith(b"\x5d\0\0") and len(head) > 13 and head[13] == 0:
        return "lzma"
    # Of two bytes, the first names the method, and both together are a multiple of 31.
    if len(head) > 2 and head[0] & 0x8F == 0x08 and not head[1] & 0x20:
        return "zlib" if (head[0] << 8 | head[1]) % 31 == 0 else None
    return None


def unpacked(packing: Packing, blocks: Iterable[bytes], size: int, where: str) -> Iterator[bytes]:
    """The content of compressed ``blocks``, ``size`` bytes in all, in blocks of at most `BLOCK`.

    Raises `ArchiveError` when it is damaged, cut short, or swells beyond reason, `TrailingError`
    when something else follows its end; messages begin with ``where``.
    """
    most = min(_MAX_BYTES, _MAX_SWELLING * (size + 1024))
    total = 0
    for block in _members(packing, blocks, where):
        total += len(block)
        if total > most:
            raise ArchiveError(
                f"{where} swells from {size} to more than {total} bytes, and was not read; build "
                "or download the app again"
            )
        yield block


def _members(packing: Packing, blocks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """All members, one behind the other; zeros between and behind them are padding."""
    member: _Decompressor | None = None
    members = 0
    try:
        for block in blocks:
            left = block
            while left or (member is not None and not member.needs_input):
                if member is None:
                    left = left.lstrip(b"\0") if members else left
                    if not left:
                        break
                    if members and packing in ("zlib", "lzma"):
                        raise TrailingError(_trailing(where))
                    member = _OPENED[packing]()
                yield from _some(member, left)
                left = b""
                if member.eof:
                    left, member = member.unused_data, None
                    members += 1
    except _DAMAGE as error:
        if members:
            raise TrailingError(_trailing(where)) from error
        raise ArchiveError(f"{where} is damaged: {error}; build the app again") from error
    if member is not None:
        raise ArchiveError(f"{where} is cut short; build the app again")


def _some(member: _Decompressor, data: bytes) -> Iterator[bytes]:
    found = member.decompress(data, BLOCK)
    if found:
        yield found


def _trailing(where: str) -> str:
    return (
        f"{where} has bytes behind the end of its compressed data, which some readers take for "
        "more of it; build the app again"
    )
