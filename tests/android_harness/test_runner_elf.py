"""What Android's linker will find in the runner's files."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness import build, elf, stubs
from devdiff.android_harness.errors import ElfError

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.android_harness.elf import Elf

ANDROID = [abi for abi, target in build.TARGETS.items() if target.bionic]
MACHINES = {
    "android-arm64-v8a": ("aarch64", 64, "/system/bin/linker64"),
    "android-armeabi-v7a": ("arm", 32, "/system/bin/linker"),
    "android-x86_64": ("x86_64", 64, "/system/bin/linker64"),
    "linux-aarch64": ("aarch64", 64, "/lib/ld-linux-aarch64.so.1"),
    "linux-x86_64": ("x86_64", 64, "/lib64/ld-linux-x86-64.so.2"),
}
PAGE = 16384


@pytest.fixture(scope="module", params=ANDROID)
def android(request: pytest.FixtureRequest) -> tuple[str, Path, Elf]:
    path = build.runner_path(request.param)
    return request.param, path, elf.read(path)


def test_there_is_a_runner_for_every_platform() -> None:
    assert set(build.TARGETS) == set(MACHINES)


@pytest.mark.parametrize("abi", MACHINES)
def test_each_runner_is_for_its_machine(abi: str) -> None:
    machine, bits, interpreter = MACHINES[abi]
    found = elf.read(build.runner_path(abi))
    assert (found.machine, found.bits, found.interpreter) == (machine, bits, interpreter)
    assert not found.executable_stack


def test_only_the_systems_own_libraries_are_needed(android: tuple[str, Path, Elf]) -> None:
    assert set(android[2].needed) <= {"libc.so", "libdl.so", "libm.so"}
    assert "libc.so" in android[2].needed


def test_only_declared_symbols_are_imported(android: tuple[str, Path, Elf]) -> None:
    declared = {name for library in stubs.LIBRARIES.values() for name in library}
    assert elf.imported_symbols(android[1]) <= declared


def test_nothing_is_declared_that_no_build_imports() -> None:
    declared = {name for library in stubs.LIBRARIES.values() for name in library}
    used = set().union(*(elf.imported_symbols(build.runner_path(abi)) for abi in ANDROID))
    assert declared == used


def test_the_oldest_android_has_every_declared_symbol() -> None:
    """By the levels that bionic's version scripts give, see `stubs`."""
    levels = [level for library in stubs.LIBRARIES.values() for level in library.values()]
    # Android 6.0, the first for which wheels of runtimes are made.
    assert max(levels) <= 23


def test_the_program_is_position_independent(android: tuple[str, Path, Elf]) -> None:
    """Android refuses anything else since release 5."""
    assert android[2].position_independent


def test_no_thread_locals_are_in_it(android: tuple[str, Path, Elf]) -> None:
    """Android's linker refuses them in a program before release 10."""
    assert not android[2].thread_local


def test_pages_of_16_kib_are_kept_apart(android: tuple[str, Path, Elf]) -> None:
    """Every loaded part is aligned, its place in the file and in memory agree, and no page belongs
    to two parts."""
    parts = [segment for segment in android[2].segments if segment.loaded]
    assert len(parts) >= 2
    end = 0
    for part in parts:
        assert part.alignment == PAGE
        assert part.offset % PAGE == part.address % PAGE
        assert part.address // PAGE * PAGE >= end
        end = -(-(part.address + part.memory_size) // PAGE) * PAGE


def test_nothing_is_writable_and_executable(android: tuple[str, Path, Elf]) -> None:
    assert not any(part.writable and part.executable for part in android[2].segments)


def test_everything_is_bound_at_once_and_then_read_only(android: tuple[str, Path, Elf]) -> None:
    """What becomes read-only ends with a page of 16 KiB, so that nothing writable is on it."""
    _, _, found = android
    assert found.bind_now
    (relro,) = [segment for segment in found.segments if segment.relro]
    assert (relro.address + relro.memory_size) % PAGE == 0


@pytest.mark.parametrize("abi", [abi for abi in MACHINES if abi.startswith("linux")])
def test_linux_builds_ask_for_no_newer_glibc_than_promised(abi: str) -> None:
    data = build.runner_path(abi).read_bytes()
    versions = [part.split(b"\0")[0] for part in data.split(b"GLIBC_2.")[1:]]
    assert versions
    assert max(int(version.split(b".")[0]) for version in versions) <= 28


def test_symbols_are_told_apart_by_who_defines_them(litert: Path) -> None:
    exported, imported = elf.exported_symbols(litert), elf.imported_symbols(litert)
    assert "LiteRtCreateCompiledModel" in exported - imported
    assert "malloc" in imported - exported
    assert elf.read(litert).soname == "libLiteRt.so"
    assert elf.read(litert).thread_local


@pytest.mark.slow
@pytest.mark.parametrize("abi", ["android-arm64-v8a", "android-armeabi-v7a"])
def test_no_damage_surprises_the_reader(tmp_path: Path, abi: str) -> None:
    """Whatever is overwritten or cut off, the file is read or refused with a reason."""
    whole = build.runner_path(abi).read_bytes()
    generator = random.Random(1)
    path = tmp_path / "damaged"
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(4, 0x800, 2)
            word = generator.choice((0, 1, 0x7FFF, 0xFFFF, generator.randrange(1 << 16)))
            struct.pack_into("<H", changed, at, word)
        if generator.random() < 0.2:
            del changed[generator.randrange(len(changed)) :]
        path.write_bytes(changed)
        try:
            elf.read(path)
            elf.imported_symbols(path)
        except ElfError as error:
            assert str(path) in str(error)
            refused += 1
    assert 0 < refused < 300


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    for content in (b"", b"\x7fEL", b"#!/bin/sh\n" * 9):
        (tmp_path / "script").write_bytes(content)
        with pytest.raises(ElfError, match="script"):
            elf.read(tmp_path / "script")
