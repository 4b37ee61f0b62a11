"""Results of long real runs, kept until something that they rest on changes."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from devdiff.system.cache import cache_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT: Final = Path(__file__).parents[2]
EXPORTER: Final = ("exporter", "constraints.txt")
"""What decides the artifacts of an export."""
PRODUCT: Final = ("devdiff", "device_runner", "android_harness", *EXPORTER)
"""What decides a whole run."""
FORGET: Final = "DEVDIFF_TEST_FORGET"
"""A variable; where it is set, nothing that was kept earlier counts."""
_SOURCES: Final = frozenset({".py", ".c", ".h", ".j2", ".json", ".txt"})


def kept(name: str, rests_on: Sequence[str], made_of: Any, make: Callable[[], Any]) -> Any:
    """The JSON value that ``make`` returned, or returned earlier for the same things.

    ``rests_on`` are files and folders of the project, ``made_of`` is what else decides the value;
    every installed package counts, too. Of several processes one makes it.
    """
    described = json.dumps([name, made_of, [_hash(part) for part in rests_on], _installed()])
    key = hashlib.sha256(described.encode()).hexdigest()[:24]
    path = cache_root() / "tests" / "results" / f"{name}-{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists() or os.environ.get(FORGET):
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(make()))
            for older in path.parent.glob(f"{name}-*.json"):
                older.unlink()
            partial.replace(path)
        return json.loads(path.read_text())


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
