"""Reads what a dynamic linker reads of a program or library: machine, needs, segments, symbols.

The files may come from anywhere, so every offset is checked before it is followed. The layout is
that of the System V ABI's chapters 4 and 5; only little-endian files are read.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from devdiff.android_harness.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

MACHINES: Final[Mapping[int, str]] = {
    3: "x86",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
}

_PT_LOAD: Final = 1
_PT_DYNAMIC: Final = 2
_PT_INTERP: Final = 3
_PT_TLS: Final = 7
_PT_GNU_STACK: Final = 0x6474E551
_PT_GNU_RELRO: Final = 0x6474E552
_DT_NEEDED: Final = 1
_DT_HASH: Final = 4
_DT_STRTAB: Final = 5
_DT_SYMTAB: Final = 6
_DT_SONAME: Final = 14
_DT_BIND_NOW: Final = 24
_DT_FLAGS: Final = 30
_DT_GNU_HASH: Final = 0x6FFFFEF5
_DT_FLAGS_1: Final = 0x6FFFFFFB
_DF_BIND_NOW: Final = 8
_DF_1_NOW: Final = 1
_ET_DYN: Final = 3
_MAX_TEXT: Final = 4096
_MAX_DYNAMIC: Final = 4096
_MAX_SYMBOLS: Final = 1 << 21


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header: ``offset`` and ``file_size`` in the file, the rest in memory, in bytes."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    alignment: int

    @property
    def loaded(self) -> bool:
        return self.kind == _PT_LOAD

    @property
    def relro(self) -> bool:
        """Whether this is what becomes read-only once it has been relocated."""
        return self.kind == _PT_GNU_RELRO

    @property
    def writable(self) -> bool:
        return bool(self.flags & 2)

    @property
    def executable(self) -> bool:
        return bool(self.flags & 1)


@dataclass(frozen=True, slots=True)
class Elf:
    """One file. ``machine`` is a name of `MACHINES` or ``machine N``; ``bits`` 32 or 64."""

    bits: int
    machine: str
    position_independent: bool
    segments: tuple[Segment, ...]
    interpreter: str | None
    soname: str | None
    needed: tuple[str, ...]
    bind_now: bool

    @property
    def page_size(self) -> int:
        """The largest page of memory, in bytes, with which every part can still be loaded."""
        return _page_size(self.segments)

    @property
    def thread_local(self) -> bool:
        return any(segment.kind == _PT_TLS for segment in self.segments)

    @property
    def executable_stack(self) -> bool:
        """Whether the stack is made executable, which it also is where nothing is said."""
        return all(s.executable for s in self.segments if s.kind == _PT_GNU_STACK)


def read(path: Path) -> Elf:
    """Raises `ElfError` when it is no whole ELF file, and `OSError` when it cannot be read."""
    with path.open("rb") as stream:
        return _opened(_File.of(path, stream.fileno()))


def imported_symbols(path: Path) -> frozenset[str]:
    """The names that other libraries must bring. Raises as `read` does."""
    with path.open("rb") as stream:
        file = _File.of(path, stream.fileno())
        return frozenset(name for name, defined in _symbols(file) if not defined)


def exported_symbols(path: Path) -> frozenset[str]:
    """The names that other files can use. Raises as `read` does."""
    with path.open("rb") as stream:
        file = _File.of(path, stream.fileno())
        return frozenset(name for name, defined in _symbols(file) if defined)


def exports_any(name: str, data: bytes, wanted: Collection[str]) -> bool:
    """Whether a file that is in memory exports one of the names. Raises `ElfError`."""
    return any(defined and symbol in wanted for symbol, defined in _symbols(_File(name, data)))


def load_headers(name: str, head: bytes, size: int) -> tuple[str, int]:
    """The machine and the page size, as in `Elf`, of a file of ``size`` bytes that begins so.

    Raises `ElfError` when it is no ELF file, or its program headers are not in ``head``.
    """
    file = _File(name, head, size)
    return _machine(file), _page_size(file.segments)


def _page_size(segments: Iterable[Segment]) -> int:
    """Declared alignment is a promise: address and offset must keep it, or no loader can."""
    pages = []
    for segment in segments:
        if segment.loaded:
            apart = abs(segment.address - segment.offset)
            pages.append(min(segment.alignment, apart & -apart or segment.alignment))
    return min(pages, default=0)


def _machine(file: _File) -> str:
    return MACHINES.get(file.machine, f"machine {file.machine}")


class _File:
    """The bytes of a file with checked access, and its headers.

    ``size`` is the size of the whole file where ``data`` is only its beginning.
    """

    def __init__(self, path: Path | str, data: mmap.mmap | bytes, size: int | None = None) -> None:
        self._path = path
        self._data = data
        self._size = len(data) if size is None else size
        if self.bytes_at(0, 4) != b"\x7fELF":
            raise ElfError(f"{path} is not a shared library or program for Linux or Android")
        kind, order = self.unpack("BB", 4)
        if kind not in (1, 2) or order != 1:
            raise ElfError(f"{path} is for a machine with another byte order")
        self.bits = 32 * kind
        self.type, self.machine = self.unpack("HH", 16)
        table, entry_size, count = (
            (*self.unpack("Q", 32), *self.unpack("HH", 54))
            if self.bits == 64
            else (*self.unpack("I", 28), *self.unpack("HH", 42))
        )
        smallest = 56 if self.bits == 64 else 32
        if entry_size < smallest:
            raise self.damaged("its program headers are too small")
        self.segments = tuple(self._segment(table + i * entry_size) for i in range(count))

    @cached_property
    def dynamic(self) -> tuple[tuple[int, int], ...]:
        return tuple(self._entries(2 * ("Q" if self.bits == 64 else "I")))

    @classmethod
    def of(cls, path: Path, descriptor: int) -> _File:
        try:
            data: mmap.mmap | bytes = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            data = b""
        return cls(path, data)

    def damaged(self, problem: str) -> ElfError:
        return ElfError(f"{self._path} is damaged or cut short: {problem}")

    def bytes_at(self, offset: int, size: int) -> bytes:
        found = self._data[offset : offset + size] if offset >= 0 else b""
        if len(found) != size:
            raise self.damaged(f"it has no {size} bytes at {offset}")
        return found

    def unpack(self, form: str, offset: int) -> tuple[int, ...]:
        form = f"<{form}"
        return struct.unpack(form, self.bytes_at(offset, struct.calcsize(form)))

    def text(self, offset: int) -> str:
        """The zero-terminated text at an offset."""
        end = self._data.find(b"\0", offset, offset + _MAX_TEXT) if offset >= 0 else -1
        if end < 0:
            raise self.damaged(f"a name at {offset} has no end")
        return self._data[offset:end].decode(errors="replace")

    def offset_of(self, address: int) -> int:
        """Where in the file lies what is loaded to an address."""
        for segment in self.segments:
            if segment.loaded and 0 <= address - segment.address < segment.file_size:
                return segment.offset + address - segment.address
        raise self.damaged(f"the address {address:#x} is in no part of it")

    def first(self, tag: int) -> int | None:
        return next((value for found, value in self.dynamic if found == tag), None)

    def _segment(self, at: int) -> Segment:
        if self.bits == 64:
            kind, flags, offset, address, _, size, memory, alignment = self.unpack("IIQQQQQQ", at)
        else:
            kind, offset, address, _, size, memory, flags, alignment = self.unpack("IIIIIIII", at)
        if kind == _PT_LOAD and offset + size > self._size:
            raise self.damaged("a part of it lies behind its end")
        return Segment(kind, flags, offset, address, size, memory, alignment)

    def _entries(self, form: str) -> Iterator[tuple[int, int]]:
        size = struct.calcsize(f"<{form}")
        for segment in self.segments:
            if segment.kind != _PT_DYNAMIC:
                continue
            # There is one such segment, and it has dozens of entries.
            for at in range(segment.offset, segment.offset + _MAX_DYNAMIC * size, size):
                tag, value = self.unpack(form, at)
                if tag == 0 or at + size > segment.offset + segment.file_size:
                    return
                yield tag, value
            raise self.damaged("its dynamic section has no end")


def _opened(file: _File) -> Elf:
    interpreter = next((file.text(s.offset) for s in file.segments if s.kind == _PT_INTERP), None)
    names = file.first(_DT_STRTAB)
    table = 0 if names is None else file.offset_of(names)
    soname = file.first(_DT_SONAME)
    now = file.first(_DT_BIND_NOW) is not None
    now |= bool((file.first(_DT_FLAGS) or 0) & _DF_BIND_NOW)
    now |= bool((file.first(_DT_FLAGS_1) or 0) & _DF_1_NOW)
    return Elf(
        bits=file.bits,
        machine=_machine(file),
        position_independent=file.type == _ET_DYN,
        segments=file.segments,
        interpreter=interpreter,
        soname=None if soname is None else file.text(table + soname),
        needed=tuple(file.text(table + value) for tag, value in file.dynamic if tag == _DT_NEEDED),
        bind_now=now,
    )


def _symbols(file: _File) -> Iterator[tuple[str, bool]]:
    """Name of each dynamic symbol, and whether it is defined here."""
    symbols, names = file.first(_DT_SYMTAB), file.first(_DT_STRTAB)
    if symbols is None or names is None:
        return
    table, texts = file.offset_of(symbols), file.offset_of(names)
    size, section = (24, 6) if file.bits == 64 else (16, 14)
    count = _symbol_count(file)
    if count > _MAX_SYMBOLS:
        raise file.damaged(f"it claims {count} symbols")
    for index in range(1, count):
        at = table + index * size
        (name,), (where,) = file.unpack("I", at), file.unpack("H", at + section)
        yield file.text(texts + name), where != 0


def _symbol_count(file: _File) -> int:
    """How many symbols there are, which only the hash tables tell."""
    table = file.first(_DT_HASH)
    if table is not None:
        return file.unpack("II", file.offset_of(table))[1]
    table = file.first(_DT_GNU_HASH)
    if table is None:
        return 0
    at = file.offset_of(table)
    buckets, first, bloom, _ = file.unpack("IIII", at)
    if buckets > _MAX_SYMBOLS:
        raise file.damaged(f"it claims {buckets} buckets of symbols")
    at += 16 + bloom * file.bits // 8
    last = max(file.unpack(f"{buckets}I", at), default=0)
    if last < first:
        return first
    at += 4 * buckets
    while not file.unpack("I", at + 4 * (last - first))[0] & 1:
        last += 1
        if last > _MAX_SYMBOLS:
            raise file.damaged("its table of symbols has no end")
    return last + 1
