"""Debian's clang, for what the packaged compiler lacks: sanitizers, libFuzzer and coverage."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

INSTALL: Final = "apt-get install clang libclang-rt-dev llvm"
# Its warnings are not those of the packaged compiler, whose builds have to be clean.
_COMMON: Final = ("-std=gnu11", "-D_GNU_SOURCE", "-g", "-fno-omit-frame-pointer")


def missing_clang() -> str:
    """Why nothing can be compiled with clang's sanitizers here; empty when it can."""
    found = shutil.which("clang")
    if found is None:
        return f"clang is not installed; {INSTALL}"
    asked = subprocess.run(
        [found, f"--print-file-name=libclang_rt.fuzzer-{platform.machine()}.a"],
        capture_output=True,
        text=True,
        check=True,
    )
    if not Path(asked.stdout.strip()).is_file():
        return f"the sanitizers' runtime of clang is not installed; {INSTALL}"
    return ""


def clang_version() -> str:
    return subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout


def llvm_tool(name: str) -> Path:
    """A tool of the same release as clang, which reads what only that release writes."""
    found = shutil.which("clang")
    if found is None:
        raise FileNotFoundError(f"clang is not installed; {INSTALL}")
    tool = Path(found).resolve().parent / name
    if not tool.is_file():
        raise FileNotFoundError(f"{tool} is not there; {INSTALL}")
    return tool


def compile_with_clang(sources: Iterable[Path], output: Path, *flags: str) -> None:
    """Compiles C files into one program. Raises `RuntimeError` with what the compiler says."""
    done = subprocess.run(
        ["clang", *_COMMON, *flags, *map(str, sources), "-ldl", "-o", str(output)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"clang cannot compile {output.name}:\n{done.stderr[-4000:]}")


@pytest.fixture(scope="session")
def clang() -> None:
    """Skips what needs clang where it is missing; scripts/setup installs it for CI."""
    reason = missing_clang()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
