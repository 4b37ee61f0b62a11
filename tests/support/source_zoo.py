"""Fixtures: the PyTorch and the Keras zoo, each made once, by a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devdiff.exporter.worker_client import ExportWorker

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def _make(module: str, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        # A pickled module among them has its code there, where only a test looks for it.
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def torch_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make("tests.support.torch_zoo", tmp_path_factory.mktemp("torch_zoo"))


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make("tests.support.keras_zoo", tmp_path_factory.mktemp("keras_zoo"))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportWorker]:
    """One process for a whole module: it imports its framework once."""
    with ExportWorker(tmp_path_factory.mktemp("reader") / "log.txt") as worker:
        yield worker
