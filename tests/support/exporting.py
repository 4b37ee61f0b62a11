"""Fixtures: a worker for what needs no conversion, and one conversion many tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.exporter.manifest import Manifest, SourceModel
from devdiff.exporter.recipe import FLOAT32, INT8
from devdiff.exporter.worker_client import ExportWorker
from tests.support import onnx_zoo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array

DIGITS = Path(__file__).parents[2] / "examples/digits/digits.onnx"


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportWorker]:
    log = tmp_path_factory.mktemp("worker") / "log.txt"
    with ExportWorker(log) as running:
        yield running


@dataclass(frozen=True)
class Exported:
    source: SourceModel
    manifest: Manifest
    folder: Path
    calibration: dict[str, Path]
    log: Path


def calibration_files(source: SourceModel, folder: Path, samples: int = 8) -> dict[str, Path]:
    generator = np.random.default_rng(0)
    paths = {}
    for position, spec in enumerate(source.inputs):
        paths[spec.name] = folder / f"calibration-{position}.npy"
        shape = (samples, *spec.shape)
        if "int" in spec.dtype:
            np.save(paths[spec.name], generator.integers(0, 5, shape).astype(spec.dtype))
        else:
            np.save(paths[spec.name], generator.normal(size=shape).astype(spec.dtype))
    return paths


def export(model: Path, folder: Path) -> Exported:
    folder.mkdir(exist_ok=True)
    log = folder / "log.txt"
    with ExportWorker(log) as running:
        source = running.describe(model, {})
        calibration = calibration_files(source, folder)
        manifest = running.export(folder, (FLOAT32, INT8), calibration, "test", 0)
    return Exported(source, manifest, folder, calibration, log)


def digit_images() -> Array:
    """The shipped model's held-out images: float32 [N, 1, 1, 28, 28] in 0..1."""
    with np.load(DIGITS.parent / "heldout.npz") as arrays:
        images: Array = (arrays["image"][:, np.newaxis] / 255).astype(np.float32)
    return images


def export_digits(folder: Path) -> tuple[Exported, Array]:
    """The shipped model exported, and its held-out images."""
    images = digit_images()
    np.save(folder / "calibration.npy", images[:100])
    with ExportWorker(folder / "log.txt") as running:
        source = running.describe(DIGITS, {})
        calibration = {"image": folder / "calibration.npy"}
        manifest = running.export(folder, (FLOAT32, INT8), calibration, "test", 0)
    return Exported(source, manifest, folder, calibration, folder / "log.txt"), images


@pytest.fixture(scope="session")
def two_by_two(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("two_by_two")
    return export(onnx_zoo.two_by_two(folder / "awkward model.onnx"), folder / "out")
