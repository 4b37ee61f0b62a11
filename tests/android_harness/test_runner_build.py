"""Building the native runner: once, whole, the same everywhere, with more than one toolchain."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devdiff.android_harness import build, elf
from devdiff.android_harness.errors import BuildError
from devdiff.exporter.artifact import sha256_file
from devdiff.system import kept_files
from devdiff.system.cache import whole_directory


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_shipped: None) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(cache))
    return cache


def test_an_unknown_platform_names_the_known_ones() -> None:
    with pytest.raises(BuildError, match=r"no native runner for 'amiga'.*linux-x86_64"):
        build.runner_path("amiga")


def test_a_built_runner_is_found_again(bench: object) -> None:
    first = build.runner_path()
    before = first.stat().st_mtime_ns
    assert build.runner_path() == first
    assert first.stat().st_mtime_ns == before


def test_the_runner_asks_for_no_newer_glibc_than_promised() -> None:
    versions = re.findall(rb"GLIBC_2\.(\d+)", build.runner_path().read_bytes())
    assert versions
    assert max(int(version) for version in versions) <= 28


def test_a_runner_shipped_with_the_package_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = build.build_key("linux-x86_64")
    shipped = tmp_path / "linux-x86_64" / key / build.EXECUTABLE
    shipped.parent.mkdir(parents=True)
    shipped.write_bytes(b"shipped")
    kept_files.record(shipped.parent, key)
    monkeypatch.setattr(build, "PREBUILT", tmp_path)
    assert build.runner_path() == shipped
    shipped.write_bytes(b"Shipped")
    assert build.runner_path() != shipped


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize("damage", ["a byte", "no hashes", "another's hashes"])
def test_a_runner_that_is_not_as_it_was_built_is_built_again(
    empty_cache: Path, damage: str
) -> None:
    built = build.runner_path()
    whole = built.read_bytes()
    hashes = built.with_name(kept_files.HASHES)
    if damage == "a byte":
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        built.write_bytes(changed)
    elif damage == "no hashes":
        hashes.unlink()
    else:
        kept_files.record(built.parent, "another key")
    before = built.stat().st_ctime_ns
    assert build.runner_path() == built
    assert built.read_bytes() == whole
    assert built.stat().st_ctime_ns != before


def test_holes_and_zeros_are_one_and_every_byte_counts(tmp_path: Path) -> None:
    size = 5 << 20
    for name in ("holes", "zeros"):
        (tmp_path / name).write_bytes(bytes(size if name == "zeros" else 0))
        with (tmp_path / name).open("r+b") as stream:
            stream.truncate(size)
            stream.seek(3_000_000)
            stream.write(b"some memory")
    same = {kept_files.digest(tmp_path / name) for name in ("holes", "zeros")}
    assert len(same) == 1
    for place in (0, 2_999_999, 3_000_000, size - 1):
        with (tmp_path / "holes").open("r+b") as stream:
            stream.seek(place)
            before = stream.read(1)
            stream.seek(place)
            stream.write(b"x")
            stream.flush()
            assert kept_files.digest(tmp_path / "holes") not in same
            stream.seek(place)
            stream.write(before)
    assert kept_files.digest(tmp_path / "holes") in same
    with (tmp_path / "holes").open("r+b") as stream:
        stream.truncate(size + 1)
    assert kept_files.digest(tmp_path / "holes") not in same


def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.metadata.version

    def version(name: str) -> str:
        if name == "ziglang":
            raise importlib.metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_without_a_compiler_what_is_shipped_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = build.build_key("linux-x86_64")
    shipped = tmp_path / "linux-x86_64" / key / build.EXECUTABLE
    shipped.parent.mkdir(parents=True)
    shipped.write_bytes(b"shipped")
    kept_files.record(shipped.parent, key)
    monkeypatch.setattr(build, "PREBUILT", tmp_path)
    without_compiler(monkeypatch)
    assert build.runner_path() == shipped


def test_without_a_compiler_and_a_shipped_runner_the_extra_is_named(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_compiler(monkeypatch)
    with pytest.raises(BuildError, match=r"needs ziglang: pip install 'devdiff\[native\]'"):
        build.runner_path()
    assert list((empty_cache / "runners").glob("*/*")) == []


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_shipped: None
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(BuildError, match="DEVDIFF_CACHE_DIR"):
        build.runner_path()


def test_nothing_is_left_of_a_directory_that_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_directory(tmp_path / "thing") as directory:
        (directory / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_first_finished_directory_stays(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with whole_directory(target) as late:
        (late / "who").write_text("late")
        with whole_directory(target) as early:
            (early / "who").write_text("early")
    assert (target / "who").read_text() == "early"
    assert list(tmp_path.iterdir()) == [target]


def test_a_compiler_error_is_shown(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return nothing; }\n")
    triple = build.TARGETS["linux-x86_64"].triple
    with pytest.raises(BuildError, match=r"(?s)failed with code 1.*nothing"):
        build.compile_program((source,), tmp_path / "wrong", triple, ("-O1",))


@pytest.mark.parametrize("abi", [abi for abi in build.TARGETS if abi.startswith("linux")])
def test_linux_runners_carry_the_checks_of_buffers(abi: str) -> None:
    imported = elf.imported_symbols(build.runner_path(abi))
    assert {"__stack_chk_fail", "__memcpy_chk", "__vsnprintf_chk", "__read_chk"} <= imported


@pytest.mark.parametrize(
    ("body", "said"),
    [
        # Past a block whose size only the running program knows: level 3 sees it, level 2 does not.
        ("char *to = malloc(size); memset(to, 'x', size + 8); return to[0];", "buffer overflow"),
        ("char to[8]; for (size_t i = 0; i < size * 8; i++) at(to, i); return to[0];", "stack"),
    ],
)
def test_a_write_past_a_buffer_ends_the_process(tmp_path: Path, body: str, said: str) -> None:
    target = build.TARGETS["linux-x86_64"]
    (tmp_path / "past.c").write_text(
        "#include <stdlib.h>\n#include <string.h>\n"
        "__attribute__((noinline)) static void at(char *to, size_t i) "
        "{ ((volatile char *)to)[i] = 'x'; }\n"
        "int main(int count, char **words) { (void)words; (void)at; "
        f"size_t size = 8 * (size_t)count; {body} }}\n"
    )
    flags = ("-std=gnu11", "-O2", *target.flags)
    build.compile_program((tmp_path / "past.c",), tmp_path / "past", target.triple, flags)
    done = subprocess.run([tmp_path / "past"], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGABRT
    assert said in done.stderr


@pytest.mark.slow
def test_two_processes_at_once_build_the_same_runner_and_one_reuses_it(empty_cache: Path) -> None:
    code = (
        "from devdiff.android_harness import build; from pathlib import Path; "
        f"build.PREBUILT = Path({str(build.PREBUILT)!r}); print(build.runner_path())"
    )
    command = [sys.executable, "-c", code]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=300)[0].strip() for process in racing}
    assert [process.returncode for process in racing] == [0, 0]
    (path,) = said
    assert Path(path).is_relative_to(empty_cache)
    names = [entry.name for entry in (empty_cache / "runners").iterdir()]
    assert sorted(names) == [Path(path).parent.name, Path(path).parent.name + ".lock"]


@pytest.mark.slow
@pytest.mark.parametrize("abi", build.TARGETS)
def test_the_same_sources_give_the_same_file_wherever_they_lie(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abi: str
) -> None:
    built = sha256_file(build.runner_path(abi))
    elsewhere = tmp_path / "another place"
    shutil.copytree(build.SOURCES, elsewhere / "runner")
    shutil.copytree(build.BIONIC, elsewhere / "bionic")
    monkeypatch.setattr(build, "SOURCES", elsewhere / "runner")
    monkeypatch.setattr(build, "BIONIC", elsewhere / "bionic")
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "second"))
    assert sha256_file(build.runner_path(abi)) == built


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_builds_for_another_machine(tmp_path: Path) -> None:
    """As it does with the NDK: a cross compiler, and nothing else said."""
    compiler = f"{sys.executable} -m ziglang cc -target aarch64-linux-gnu"
    configure = ["cmake", "-S", str(build.SOURCES.parent), "-B", str(tmp_path)]
    configure += ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    for command in (configure, ["cmake", "--build", str(tmp_path)]):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "CC": compiler}
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert elf.read(tmp_path / "devdiff-runner").machine == "aarch64"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_builds_the_same_sources(tmp_path: Path) -> None:
    configure = ["cmake", "-S", str(build.SOURCES.parent), "-B", str(tmp_path)]
    for command in (configure, ["cmake", "--build", str(tmp_path)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    about = subprocess.run(
        [tmp_path / "devdiff-runner", "--about"], capture_output=True, check=True
    )
    assert json.loads(about.stdout)["ok"] is True
