"""Puts the runners of every platform into the package, so that a wheel built from it has them.

Run it as ``python -m devdiff.android_harness.ship``. An installed devdiff then needs no compiler.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from typing import TYPE_CHECKING

from devdiff.android_harness import build
from devdiff.android_harness.errors import BuildError, HarnessError
from devdiff.system import kept_files
from devdiff.system.cache import whole_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def ship_runners() -> Iterator[Path]:
    """The shipped runner of each platform, one after the other, built where it is not there.

    What earlier versions of the sources left is removed. Raises `BuildError`.
    """
    try:
        for found in build.PREBUILT.glob("*"):
            if found.name not in build.TARGETS:
                shutil.rmtree(found)
        for abi in build.TARGETS:
            yield _ship(abi)
    except OSError as error:
        raise BuildError(f"cannot keep the runners in {build.PREBUILT}: {error}") from error


def _ship(abi: str) -> Path:
    key = build.build_key(abi)
    target = build.PREBUILT / abi / key
    if not kept_files.intact(target, key):
        built = build.runner_path(abi)
        shutil.rmtree(target, ignore_errors=True)
        with whole_directory(target) as directory:
            shutil.copy2(built, directory)
            kept_files.record(directory, key)
    for found in target.parent.iterdir():
        if found != target:
            shutil.rmtree(found)
    return target / build.EXECUTABLE


def main() -> int:
    try:
        for path in ship_runners():
            data = path.read_bytes()
            abi = path.parent.parent.name
            print(f"{abi:20} {len(data):6} bytes  sha256 {hashlib.sha256(data).hexdigest()}")
    except HarnessError as error:
        print(f"build_runners: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
