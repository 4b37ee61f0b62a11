"""Broken and unusual models get one clear sentence with the next step."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto

from devdiff.exporter.errors import ArtifactError, SourceModelError, WorkerError
from devdiff.exporter.worker_client import ExportWorker
from tests.support import onnx_zoo

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.exporting import Exported


def test_empty_model(worker: ExportWorker, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.touch()
    with pytest.raises(SourceModelError, match="is empty"):
        worker.describe(path, {})


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes(worker: ExportWorker, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(random.Random(seed).randbytes(5000))
    with pytest.raises(SourceModelError, match=r"m\.onnx (is not|holds no)"):
        worker.describe(path, {})


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_model(worker: ExportWorker, tmp_path: Path, share: float) -> None:
    whole = onnx_zoo.two_by_two(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "m.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceModelError, match=r"m\.onnx"):
        worker.describe(path, {})


def test_missing_external_data_is_named(worker: ExportWorker, tmp_path: Path) -> None:
    path = onnx_zoo.external(tmp_path / "m.onnx")
    assert set(worker.describe(path, {}).files) == {"m.onnx", "weights.bin"}
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(SourceModelError, match=r"keeps weights in weights\.bin"):
        worker.describe(path, {})


def test_dynamic_axes_ask_for_a_choice(worker: ExportWorker, tmp_path: Path) -> None:
    path = onnx_zoo.dense(tmp_path / "m.onnx", ["n", "width"])
    with pytest.raises(SourceModelError, match=r"x\[n,width\] has dynamic axes.*--shape x:1,"):
        worker.describe(path, {})
    assert worker.describe(path, {"x": (1, 4)}).inputs[0].shape == (1, 4)


def test_free_batch_becomes_one(worker: ExportWorker, tmp_path: Path) -> None:
    path = onnx_zoo.dense(tmp_path / "m.onnx", ["batch", 4])
    assert worker.describe(path, {}).inputs[0].shape == (1, 4)


@pytest.mark.parametrize("chosen", [{"x": (1, 5)}, {"x": (4,)}, {"x": (0, 4)}, {"z": (1, 4)}])
def test_choice_that_does_not_fit(
    worker: ExportWorker, tmp_path: Path, chosen: dict[str, tuple[int, ...]]
) -> None:
    path = onnx_zoo.dense(tmp_path / "m.onnx", ["batch", 4])
    with pytest.raises(SourceModelError, match="--shape"):
        worker.describe(path, chosen)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.STRING])
def test_input_types_phones_do_not_take(worker: ExportWorker, tmp_path: Path, dtype: int) -> None:
    path = onnx_zoo.one_node(tmp_path / "m.onnx", "Identity", dtype)
    with pytest.raises(SourceModelError, match=r"input 'x' is \w+; devdiff takes float32"):
        worker.describe(path, {})


def test_wrong_extension(worker: ExportWorker, two_by_two: Exported, tmp_path: Path) -> None:
    disguised = tmp_path / "m.onnx"
    disguised.write_bytes((two_by_two.folder / "int8.tflite").read_bytes())
    with pytest.raises(SourceModelError, match="not an ONNX model"):
        worker.describe(disguised, {})
    with pytest.raises(ArtifactError, match=r"not a \.tflite file"):
        worker.inspect(two_by_two.source.path)


def test_damaged_artifacts_are_refused_or_read(
    worker: ExportWorker, two_by_two: Exported, tmp_path: Path
) -> None:
    whole = (two_by_two.folder / "int8.tflite").read_bytes()
    path = tmp_path / "m.tflite"
    generator = random.Random(0)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        if generator.random() < 0.5:
            del data[generator.randrange(len(data)) :]
        for _ in range(generator.randrange(1, 30)):
            if data:
                data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(data)
        try:
            worker.inspect(path)
        except ArtifactError as error:
            assert str(path) in str(error) or "quantized per channel" in str(error)
            refused += 1
    assert 75 < refused < 150


def test_inspection_reads_what_the_export_recorded(
    worker: ExportWorker, two_by_two: Exported
) -> None:
    seen = worker.inspect(two_by_two.folder / "int8.tflite")
    told = two_by_two.manifest.artifacts[1]
    assert (seen.sha256, seen.recipe, seen.operators) == (told.sha256, told.recipe, told.operators)
    assert {b.artifact for b in seen.outputs} == {b.artifact for b in told.outputs}


def test_death_of_the_worker_is_an_error_with_its_log(tmp_path: Path) -> None:
    path = onnx_zoo.dense(tmp_path / "m.onnx")
    with ExportWorker(tmp_path / "log.txt") as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"SIGKILL \(out of memory\?\).*log\.txt"):
            worker.describe(path, {})


def test_quantization_rounds_and_saturates() -> None:
    from devdiff.exporter.artifact import Quantization

    quantization = Quantization(scale=0.5, zero_point=-3)
    real = np.array([-100.0, -0.26, 0.0, 0.25, 0.76, 100.0], np.float32)
    stored = quantization.quantize(real, np.dtype(np.int8))
    assert stored.tolist() == [-128, -4, -3, -3, -1, 127]
    assert quantization.dequantize(stored)[1:5].tolist() == [-0.5, 0.0, 0.0, 1.0]
