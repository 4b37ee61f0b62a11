"""A finished export is taken from the cache when nothing that decides it changed."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.exporter.artifact import sha256_file
from devdiff.exporter.export_cache import VARIABLE, ExportCache, export_key
from devdiff.exporter.manifest import MANIFEST_NAME
from devdiff.exporter.recipe import FLOAT32, INT8, Pruning
from devdiff.exporter.worker_client import ExportWorker
from tests.support.exporting import Exported, export

if TYPE_CHECKING:
    from pathlib import Path


def key(exported: Exported, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "source": exported.source,
        "recipes": (FLOAT32, INT8),
        "calibration": exported.calibration,
        "origin": "test",
        "seed": 0,
        "pruning": None,
        "full": False,
    }
    return export_key(**(arguments | changes))


def test_an_export_is_named_by_all_that_decides_it(two_by_two: Exported, tmp_path: Path) -> None:
    name, path = next(iter(two_by_two.calibration.items()))
    other = tmp_path / "other.npy"
    other.write_bytes(path.read_bytes()[:-1] + b"\1")
    source = two_by_two.source
    changed: list[dict[str, Any]] = [
        {"source": dataclasses.replace(source, files={"model.onnx": "0" * 64})},
        {"source": dataclasses.replace(source, inputs=source.inputs[::-1])},
        {"recipes": (FLOAT32,)},
        {"calibration": two_by_two.calibration | {name: other}},
        {"seed": 1},
        {"pruning": Pruning("prune", 0.5)},
        {"full": True},
    ]

    keys = {key(two_by_two), *(key(two_by_two, **change) for change in changed)}

    assert len(keys) == len(changed) + 1
    assert key(two_by_two) == key(two_by_two)


def test_a_kept_export_comes_back_as_it_was(two_by_two: Exported, tmp_path: Path) -> None:
    cache = ExportCache(tmp_path / "cache")
    assert cache.take("some", tmp_path) is None

    cache.put("some", two_by_two.folder, two_by_two.manifest)
    out = tmp_path / "out"
    out.mkdir()
    taken = cache.take("some", out)

    assert taken == two_by_two.manifest
    for name in (MANIFEST_NAME, "float.tflite", "int8.tflite"):
        assert sha256_file(out / name) == sha256_file(two_by_two.folder / name)


@pytest.mark.parametrize("file", [MANIFEST_NAME, "float.tflite", "int8.tflite"])
def test_a_damaged_entry_is_removed(two_by_two: Exported, tmp_path: Path, file: str) -> None:
    cache = ExportCache(tmp_path / "cache")
    cache.put("some", two_by_two.folder, two_by_two.manifest)
    path = tmp_path / "cache/some" / file
    path.write_bytes(path.read_bytes()[:-2])

    assert cache.take("some", tmp_path) is None
    assert not (tmp_path / "cache/some").exists()


def test_the_least_recently_used_make_room(two_by_two: Exported, tmp_path: Path) -> None:
    kept = [two_by_two.folder / MANIFEST_NAME, *two_by_two.folder.glob("*.tflite")]
    size = sum(path.stat().st_size for path in kept)
    cache = ExportCache(tmp_path / "cache", limit=size * 5 // 2)
    for age, name in enumerate(("used", "forgotten")):
        cache.put(name, two_by_two.folder, two_by_two.manifest)
        os.utime(tmp_path / "cache" / name, (age, age))
    assert cache.take("used", tmp_path) is not None

    cache.put("new", two_by_two.folder, two_by_two.manifest)

    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"used", "new"}


def test_a_folder_that_cannot_be_written_keeps_nothing(
    two_by_two: Exported, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    cache = ExportCache(tmp_path / "file/cache")

    cache.put("some", two_by_two.folder, two_by_two.manifest)

    assert cache.take("some", tmp_path) is None


@pytest.mark.slow
def test_a_worker_converts_the_same_model_once(
    two_by_two: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    model = tmp_path / "awkward model.onnx"
    shutil.copyfile(two_by_two.folder.parent / model.name, model)
    first = export(model, tmp_path / "first")
    phases: list[str] = []
    again = tmp_path / "again"
    again.mkdir()

    with ExportWorker(tmp_path / "log.txt") as worker:
        worker.describe(model, {})
        manifest = worker.export(
            again, (FLOAT32, INT8), first.calibration, "test", 0, phases.append
        )

    assert phases == ["taken from the export cache"]
    assert manifest == first.manifest == two_by_two.manifest
    assert sha256_file(again / "int8.tflite") == sha256_file(two_by_two.folder / "int8.tflite")
