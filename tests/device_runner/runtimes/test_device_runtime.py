"""Each device gets a library it can load, or a message that says what it takes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness import elf
from devdiff.android_harness.build import TARGETS, compile_program, runner_path
from devdiff.device_runner.errors import RuntimeLibraryError
from devdiff.device_runner.runtimes import runtime
from devdiff.device_runner.runtimes.wheels import PinnedRuntime, pinned_for
from devdiff.exporter.artifact import sha256_file

if TYPE_CHECKING:
    from pathlib import Path

PINS = [pin for abi in TARGETS for pin in pinned_for(abi).values()]


def library(folder: Path, abi: str, *flags: str) -> Path:
    """A library of the test's own for one of the runner's platforms."""
    source = folder / "library.c"
    source.write_text("int answer(void); int answer(void) { return 42; }\n")
    target = folder / f"{abi}.so"
    flags = ("-shared", "-fPIC", "-nostdlib", *flags)
    compile_program((source,), target, TARGETS[abi].triple, flags)
    return target


def test_a_phone_without_a_published_library_asks_for_one() -> None:
    with pytest.raises(RuntimeLibraryError, match=r"android-armeabi-v7a.*--runtime.*\.apk"):
        runtime.for_device("android-armeabi-v7a")


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(RuntimeLibraryError, match=r"'android-mips'.*android-arm64-v8a"):
        runtime.for_device("android-mips")


def test_a_pinned_name_that_the_device_has_not_says_what_it_has() -> None:
    with pytest.raises(RuntimeLibraryError, match=r"no litert library.*android-x86_64.*litert-lm"):
        runtime.for_device("android-x86_64", "litert")
    with pytest.raises(RuntimeLibraryError, match="nothing is pinned"):
        runtime.for_device("android-armeabi-v7a", "litert-lm")


@pytest.mark.parametrize(
    ("abi", "other", "both"),
    [
        ("android-arm64-v8a", "android-x86_64", r"is for x86_64, .* android-arm64-v8a \(aarch64\)"),
        ("android-armeabi-v7a", "android-arm64-v8a", r"is for aarch64, .*armeabi-v7a \(arm\)"),
        ("linux-x86_64", "linux-aarch64", r"is for aarch64, .* linux-x86_64 \(x86_64\)"),
    ],
)
def test_a_library_for_another_processor_is_refused(
    tmp_path: Path, abi: str, other: str, both: str
) -> None:
    with pytest.raises(RuntimeLibraryError, match=both):
        runtime.for_device(abi, library(tmp_path, other))


def test_a_library_for_another_system_is_refused(litert: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeLibraryError, match=r"is for linux, the device is android"):
        runtime.for_device("android-x86_64", litert)
    phone = runner_path("android-x86_64")
    with pytest.raises(RuntimeLibraryError, match=r"is for android, the device is linux"):
        runtime.for_device("linux-x86_64", phone)


@pytest.mark.parametrize(
    ("abi", "page", "noted"),
    [
        ("android-arm64-v8a", 4096, True),
        ("android-arm64-v8a", 16384, False),
        ("android-x86_64", 4096, True),
        ("android-armeabi-v7a", 4096, False),  # there are no 32-bit phones with larger pages
        ("linux-x86_64", 4096, False),
    ],
)
def test_small_pages_are_worth_a_note_where_large_ones_exist(
    tmp_path: Path, abi: str, page: int, noted: bool
) -> None:
    found = runtime.for_device(abi, library(tmp_path, abi, f"-Wl,-z,max-page-size={page}"))
    assert elf.read(found.path).page_size == page
    assert any("16 KiB" in note for note in found.notes) is noted
    assert found.to_json()["notes"] == list(found.notes)


def test_a_damaged_library_is_refused(litert: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.so"
    shutil.copy(litert, short)
    with short.open("r+b") as stream:
        stream.truncate(1_000_000)
    with pytest.raises(RuntimeLibraryError, match=r"short\.so is damaged or cut short"):
        runtime.for_device("linux-x86_64", short)


def test_every_platform_with_a_wheel_has_its_default_first() -> None:
    defaults = {abi: next(iter(pinned_for(abi)), None) for abi in TARGETS}
    assert defaults == {
        "android-arm64-v8a": "litert-lm",
        "android-armeabi-v7a": None,
        "android-x86_64": "litert-lm",
        "linux-aarch64": "litert",
        "linux-x86_64": "litert",
    }


@pytest.mark.slow
@pytest.mark.parametrize("pin", PINS, ids=lambda pin: f"{pin.name}-{pin.abi}")
def test_each_pinned_library_is_published_and_for_its_device(pin: PinnedRuntime) -> None:
    found = runtime.for_device(pin.abi, pin.name)
    assert found.sha256 == sha256_file(found.path) == pin.sha256
    assert found.api == runtime.guess_api(found.path) == pin.api
    assert runtime.for_device(pin.abi, found.path).notes == ()
