"""Runtime libraries come from where they are pinned to, whole, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import RuntimeLibraryError
from devdiff.device_runner.runtimes import runtime
from devdiff.device_runner.runtimes.wheels import PinnedRuntime
from devdiff.exporter.artifact import sha256_file

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = b"\x7fELF, says this file, and \0LiteRtCreateCompiledModel\0 too"


def make_wheel(folder: Path, content: bytes) -> Path:
    """A wheel as pip knows it, with one library inside."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "tiny_runtime-1.0-py3-none-any.whl"
    info = "tiny_runtime-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_runtime/libtiny.so", content)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-runtime\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only index, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def pinned(index: Path) -> PinnedRuntime:
    wheel = make_wheel(index, LIBRARY)
    return PinnedRuntime(
        name="tiny",
        abi="linux-x86_64",
        requirement="tiny-runtime",
        version="1.0",
        platform="manylinux_2_27_x86_64",
        wheel_sha256=sha256_file(wheel),
        member="tiny_runtime/libtiny.so",
        sha256=hashlib.sha256(LIBRARY).hexdigest(),
        api="litert",
    )


def kept(tmp_path: Path) -> list[str]:
    """What the cache holds beside lock files."""
    folder = tmp_path / "cache" / "runtimes"
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_pinned_library_is_fetched_once(pinned: PinnedRuntime, index: Path) -> None:
    library = runtime.fetch(pinned)
    assert library.path.read_bytes() == LIBRARY
    assert library.sha256 == sha256_file(library.path)
    assert (library.version, library.api) == ("1.0", "litert")
    assert "tiny-runtime 1.0" in library.origin
    assert [path.name for path in library.path.parent.iterdir()] == ["libtiny.so"]
    for path in index.iterdir():
        path.unlink()
    assert runtime.fetch(pinned) == library


def test_a_changed_file_in_the_cache_is_replaced(pinned: PinnedRuntime) -> None:
    library = runtime.fetch(pinned)
    library.path.write_bytes(b"something else")
    assert runtime.fetch(pinned).path.read_bytes() == LIBRARY


def test_another_wheel_than_the_pinned_one_is_not_used(
    pinned: PinnedRuntime, index: Path, tmp_path: Path
) -> None:
    make_wheel(index, LIBRARY + b" but changed")
    with pytest.raises(RuntimeLibraryError, match=r"is pinned.*another file.*not used"):
        runtime.fetch(pinned)
    assert kept(tmp_path) == []


def test_another_library_than_the_pinned_one_is_not_used(
    pinned: PinnedRuntime, tmp_path: Path
) -> None:
    other = dataclasses.replace(pinned, sha256="0" * 64)
    with pytest.raises(RuntimeLibraryError, match=r"libtiny\.so.*not the pinned library"):
        runtime.fetch(other)
    assert kept(tmp_path) == []


def test_a_wheel_without_the_library_is_named(pinned: PinnedRuntime, tmp_path: Path) -> None:
    other = dataclasses.replace(pinned, member="tiny_runtime/libhuge.so")
    with pytest.raises(RuntimeLibraryError, match=r"does not hold tiny_runtime/libhuge\.so"):
        runtime.fetch(other)
    assert kept(tmp_path) == []


def test_without_a_network_the_next_step_is_said(
    pinned: PinnedRuntime, index: Path, tmp_path: Path
) -> None:
    for path in index.iterdir():
        path.unlink()
    with pytest.raises(RuntimeLibraryError) as caught:
        runtime.fetch(pinned)
    said = str(caught.value)
    assert "could not fetch tiny-runtime==1.0" in said
    assert "check the connection" in said
    assert "library file of your own" in said
    assert "No matching distribution" in said  # pip's own reason
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_named(
    pinned: PinnedRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(RuntimeLibraryError, match="DEVDIFF_CACHE_DIR"):
        runtime.fetch(pinned)


@pytest.mark.slow
def test_processes_that_fetch_at_once_end_with_one_library(
    pinned: PinnedRuntime, tmp_path: Path
) -> None:
    code = f"from devdiff.device_runner.runtimes.wheels import *; print(fetch_library({pinned!r}))"
    command = [sys.executable, "-c", code]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=120)[0].strip() for process in racing}
    assert said == {str(pinned.path)}
    assert pinned.path.read_bytes() == LIBRARY
    assert len(kept(tmp_path)) == 1


def test_the_default_is_the_pinned_litert(litert: Path) -> None:
    library = runtime.find()
    assert library.path == litert
    assert library.api == runtime.guess_api(litert) == "litert"
    assert library.sha256 == sha256_file(litert)
    assert runtime.find("litert") == library


@pytest.mark.slow
def test_the_second_pinned_library_has_the_other_api(tflite: Path) -> None:
    library = runtime.find("litert-lm")
    assert library.path == tflite
    assert library.api == runtime.guess_api(tflite) == "tflite"


def test_any_library_may_be_named_by_its_path(litert: Path, tmp_path: Path) -> None:
    link = tmp_path / "mine.so"
    link.symlink_to(litert)
    library = runtime.find(link)
    assert library.path == litert.resolve()
    assert library.sha256 == sha256_file(litert)
    assert (library.api, library.version) == ("litert", None)
    assert library.to_json()["path"] == str(library.path)


def test_a_library_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeLibraryError, match=r"gone\.so.*No such file.*litert"):
        runtime.find(tmp_path / "gone.so")


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.so").write_text("not a library")
    with pytest.raises(RuntimeLibraryError, match=r"notes\.so is not a shared library"):
        runtime.find(tmp_path / "notes.so")


def test_a_folder_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(RuntimeLibraryError, match="cannot read the runtime library"):
        runtime.find(tmp_path)
