"""Results of long real runs, kept until something that they rest on changes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT: Final = Path(__file__).parents[2]
EXPORTER: Final = ("exporter", "constraints.txt")
"""What decides the artifacts of an export."""
PRODUCT: Final = ("devdiff", "device_runner", "android_harness", *EXPORTER)
"""What decides a whole run."""
FORGET: Final = "DEVDIFF_TEST_FORGET"
"""A variable; where it is set, nothing that was kept earlier counts."""
_SOURCES: Final = frozenset({".py", ".c", ".h", ".j2", ".css", ".js", ".json", ".txt"})


def kept(name: str, rests_on: Sequence[str], made_of: Any, make: Callable[[], Any]) -> Any:
    """The JSON value that ``make`` returned, or returned earlier for the same things.

    ``rests_on`` are files and folders of the project, ``made_of`` is what else decides the value;
    every installed package counts, too. Of several processes one makes it.
    """
    with place(f"{name}.json", rests_on, made_of) as path:
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(make()))
            partial.replace(path)
        return json.loads(path.read_text())


def copy_kept(
    name: str,
    rests_on: Sequence[str],
    made_of: Any,
    make: Callable[[Path], None],
    target: Path,
) -> None:
    """Copy into ``target`` what ``make`` put into the folder it was given, now or earlier."""
    with place(name, rests_on, made_of) as path:
        if not path.exists():
            with whole_directory(path) as folder:
                make(folder)
        shutil.copytree(path, target, dirs_exist_ok=True)


@contextlib.contextmanager
def kept_in_place(
    name: str, rests_on: Sequence[str], made_of: Any, make: Callable[[Path], None]
) -> Iterator[Path]:
    """The folder that ``make`` filled, now or earlier, where it did: for one process at a time."""
    with place(name, rests_on, made_of) as path:
        whole = path / ".whole"
        if not whole.exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            make(path)
            whole.touch()
        yield path


@contextlib.contextmanager
def place(name: str, rests_on: Sequence[str], made_of: Any) -> Iterator[Path]:
    """Where something is kept, for one process at a time; what it was made of earlier is gone."""
    described = json.dumps([name, made_of, sources_hash(rests_on), _installed()])
    key = hashlib.sha256(described.encode()).hexdigest()[:24]
    folder = cache_root() / "tests" / "results" / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        path = folder / key
        for older in folder.iterdir():
            if older.name != "lock" and (older != path or os.environ.get(FORGET)):
                shutil.rmtree(older) if older.is_dir() else older.unlink()
        yield path


def sources_hash(rests_on: Sequence[str]) -> str:
    """SHA-256 over the sources in these files and folders of the project."""
    return hashlib.sha256("".join(map(_hash, rests_on)).encode()).hexdigest()


@functools.cache
def _hash(part: str) -> str:
    path = ROOT / part
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    digest = hashlib.sha256()
    for file in files:
        if file.suffix in _SOURCES and file.is_file():
            digest.update(f"{file.relative_to(ROOT)}:".encode() + file.read_bytes())
    return digest.hexdigest()


@functools.cache
def _installed() -> list[str]:
    return sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
