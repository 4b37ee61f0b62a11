"""What the real exporter makes of a model of the zoo."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import onnx

from devdiff.exporter.prune import prune
from devdiff.exporter.recipe import FLOAT32, INT8, Pruning
from devdiff.exporter.worker_client import ExportWorker

if TYPE_CHECKING:
    from tests.zoo.catalogue import ZooModel

CALIBRATION: Final = 200


def export(spec: ZooModel, folder: Path, images: npt.NDArray[np.float32]) -> None:
    """Export ``folder``/model.onnx beside itself, with ``images`` [N, 1, 28, 28] to calibrate.

    Makes ``float.tflite`` and the compressed files: ``int8.tflite``, or, for a pruned model,
    ``pruned.onnx``, ``pruned-float.tflite`` and ``pruned-int8.tflite``. Raises what the exporter
    raises.
    """
    source = folder / "model.onnx"
    rate = spec.pruning_rate
    pruning = Pruning("prune", rate) if rate is not None else None
    names = ["float.tflite", "int8.tflite"]
    if pruning is not None:
        pruned, _, _ = prune(onnx.load(source), pruning)
        onnx.save(pruned, folder / "pruned.onnx")
        names = ["float.tflite", "pruned-float.tflite", "pruned-int8.tflite"]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        np.save(scratch / "images.npy", images[:CALIBRATION, np.newaxis])
        with ExportWorker(scratch / "export.log") as worker:
            worker.describe(source, {})
            manifest = worker.export(
                scratch,
                (FLOAT32, INT8),
                {"image": scratch / "images.npy"},
                "digits",
                spec.seed,
                pruning=pruning,
                full=pruning is not None,
            )
        for record, file in zip(manifest.artifacts, names, strict=True):
            shutil.copy(scratch / record.file, folder / file)


def compressed_file(spec: ZooModel) -> str:
    """The file that ``spec`` ships as."""
    if spec.pruning_rate is None:
        return "int8.tflite"
    return "pruned-int8.tflite" if spec.compression.endswith("+int8") else "pruned-float.tflite"
