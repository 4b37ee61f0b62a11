"""Finished exports, kept by everything they were made of and taken instead of converting again.

Off unless ``DEVDIFF_EXPORT_CACHE`` names a folder. Exports are byte-identical for identical inputs,
so an entry is named by the hash of them all: the source's files, the recipes, the representative
dataset, this package's sources, and every installed distribution.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.exporter.artifact import sha256_file
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import MANIFEST_NAME, Manifest, SourceModel, bind
from devdiff.system.cache import whole_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.recipe import Pruning, Recipe

VARIABLE: Final = "DEVDIFF_EXPORT_CACHE"
LIMIT_BYTES: Final = 4 << 30


class ExportCache:
    """A folder of exports of at most ``limit`` bytes; the least recently used go first."""

    def __init__(self, root: Path, limit: int = LIMIT_BYTES) -> None:
        self.root = root
        self._limit = limit

    @classmethod
    def from_environment(cls) -> ExportCache | None:
        """The cache that ``DEVDIFF_EXPORT_CACHE`` names; None when it names none."""
        named = os.environ.get(VARIABLE)
        return cls(Path(named).absolute()) if named else None

    def take(self, key: str, folder: Path) -> Manifest | None:
        """Copy the export named ``key`` into ``folder``, its manifest last.

        None when there is none, or its bytes are not those of its manifest: such an entry goes.
        """
        entry = self.root / key
        if not entry.is_dir():
            return None
        try:
            manifest = Manifest.load(entry)
            for record in manifest.artifacts:
                bind(record, entry)
            if manifest.pruned is not None:
                manifest.pruned_source(entry)
        except ArtifactError:
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)
        for name in _files(manifest):
            partial = folder / f"{name}.partial"
            shutil.copyfile(entry / name, partial)
            partial.replace(folder / name)
        manifest.save(folder)
        return manifest

    def put(self, key: str, folder: Path, manifest: Manifest) -> None:
        """Keep the export in ``folder``; on a full or unwritable disk nothing is kept."""
        with contextlib.suppress(OSError):
            with whole_directory(self.root / key) as entry:
                for name in (*_files(manifest), MANIFEST_NAME):
                    shutil.copyfile(folder / name, entry / name)
            self._evict(key)

    def _evict(self, newest: str) -> None:
        entries = [entry for entry in self.root.iterdir() if not entry.name.startswith(".")]
        entries.sort(key=lambda entry: (entry.name == newest, entry.stat().st_mtime), reverse=True)
        total = 0
        for entry in entries:
            total += sum(path.stat().st_size for path in entry.iterdir())
            if total > self._limit and entry.name != newest:
                shutil.rmtree(entry, ignore_errors=True)


def export_key(
    source: SourceModel,
    recipes: tuple[Recipe, ...],
    calibration: Mapping[str, Path],
    origin: str,
    seed: int | None,
    pruning: Pruning | None,
    full: bool,
) -> str:
    """Names an export by all that decides its bytes and its manifest; arguments as `export`'s."""
    made_of = {
        "environment": _environment(),
        "name": source.path.name,
        "format": source.format,
        "files": dict(source.files),
        "inputs": [asdict(spec) for spec in source.inputs],
        "signature": source.signature,
        "trust": source.trust,
        "recipes": [recipe.to_json() for recipe in recipes],
        "calibration": {name: sha256_file(path) for name, path in calibration.items()},
        "origin": origin,
        "seed": seed,
        "pruning": asdict(pruning) if pruning else None,
        "full": full,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def _environment() -> str:
    """This package's sources and every installed distribution with its version, hashed."""
    digest = hashlib.sha256(f"{platform.machine()} {platform.python_version()}".encode())
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}:{sha256_file(path)};".encode())
    installed = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    digest.update("".join(sorted(path.name for path in installed)).encode())
    return digest.hexdigest()


def _files(manifest: Manifest) -> tuple[str, ...]:
    pruned = (manifest.pruned.file,) if manifest.pruned is not None else ()
    return (*pruned, *(record.file for record in manifest.artifacts))
