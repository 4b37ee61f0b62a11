"""The child process that reads, converts and inspects models: ``python -m exporter.worker``.

Whatever the frameworks do (print, exit, crash, keep state, look for the network) ends here. Jobs
come as JSON lines on standard input; events go as JSON lines to the file descriptor named on the
command line; standard output and error belong to the frameworks. A closed standard input means
that the parent is gone, and the worker goes too.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import queue
import random
import shutil
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from exporter.artifact import Array, Binding, TensorSpec, sha256_file
from exporter.errors import CalibrationError, ConversionError, ExporterError
from exporter.manifest import (
    PRUNED_NAME,
    ArtifactRecord,
    CalibrationInfo,
    Manifest,
    PrunedSource,
    SourceModel,
)
from exporter.recipe import Pruning, Recipe

_VERSIONED: Final = ("onnx", "onnxsim", "onnx2tf", "tensorflow", "tf_keras", "numpy")


class Worker:
    """Holds the loaded model between jobs, so that nothing is read or imported twice."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._model: Any = None
        self._source: SourceModel | None = None
        self._made: _Made | None = None

    def emit(self, **event: Any) -> None:
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()

    def handle(self, job: Mapping[str, Any]) -> Any:
        match job["job"]:
            case "describe":
                return self._describe(Path(job["path"]), job["shapes"])
            case "inspect":
                return self._inspect(Path(job["path"]))
            case "export":
                return self._export(job)
            case unknown:
                raise ExporterError(f"unknown job {unknown!r}")

    def _describe(self, path: Path, shapes: Mapping[str, Sequence[int]]) -> Any:
        from exporter import onnx_source

        self._model = onnx_source.load(path)
        chosen = {name: tuple(shape) for name, shape in shapes.items()}
        self._source = onnx_source.describe(path, self._model, chosen)
        return {**asdict(self._source), "path": str(path)}

    def _inspect(self, path: Path) -> Any:
        from exporter import tflite_file

        return asdict(tflite_file.inspect(path))

    def _export(self, job: Mapping[str, Any]) -> Any:
        if self._source is None:
            raise ExporterError("export before describe")
        source, folder = self._source, Path(job["folder"])
        pruning = Pruning(**job["pruning"]) if job["pruning"] else None
        made = self._convert(source, pruning)
        pruned = made.pruned
        if pruned is not None:
            shutil.copyfile(made.scratch / PRUNED_NAME, folder / PRUNED_NAME)
        notes, records, calibration = list(made.notes), [], None
        for chosen in map(Recipe.from_json, job["recipes"]):
            recipe = replace(chosen, pruning=pruning)
            path = folder / recipe.file_name
            if recipe.precision == "float32":
                _write(path, made.floating.read_bytes())
            else:
                arrays = {}
                if recipe.calibrated:
                    arrays = made.calibration(job["calibration"]["arrays"])
                    calibration = _calibration_info(job["calibration"], arrays)
                self.emit(event="phase", phase=f"quantizing ({recipe.name})")
                from exporter import quantize

                data, extra = quantize.compress(made.saved_model, recipe, arrays, made.floating)
                notes += extra
                _write(path, data)
            records.append(_record(path, recipe, made.converted, made.inputs, made.outputs))

        manifest = Manifest(
            source=source.path.name,
            source_format=source.format,
            source_files=source.files,
            shapes={spec.name: spec.shape for spec in source.inputs},
            calibration=calibration,
            artifacts=tuple(records),
            versions=_versions(),
            notes=tuple(notes),
            pruned=pruned,
        )
        manifest.save(folder)
        return manifest.to_json()

    def _convert(self, source: SourceModel, pruning: Pruning | None) -> _Made:
        """The described model as a SavedModel and a float32 artifact, made once."""
        if self._made is not None:
            if (self._made.source, self._made.pruning) != (source, pruning):
                raise ExporterError("one worker converts one model in one way")
            return self._made
        scratch = Path.cwd()
        pruned: tuple[PrunedSource | None, tuple[str, ...]] = (None, ())
        if pruning is not None:
            pruned = self._prune(pruning, scratch)
        self.emit(event="phase", phase="loading TensorFlow")
        from exporter import convert, quantize

        self.emit(event="phase", phase="converting ONNX to TensorFlow")
        converted = convert.convert(source, self._model, scratch)
        self._model = None  # the frameworks hold copies of the weights; ours is no longer needed
        inputs = quantize.signature_names([spec.name for spec in converted.inputs])
        outputs = quantize.signature_names([out.source.name for out in converted.outputs])
        saved_model = scratch / "saved_model"
        quantize.save_function(converted, inputs, outputs, saved_model)
        self.emit(event="phase", phase="writing the float32 artifact")
        floating = _write(scratch / "float.tflite", quantize.to_float32(saved_model))
        notes = (*pruned[1], *converted.notes)
        self._made = _Made(
            source=source,
            pruning=pruning,
            scratch=scratch,
            converted=converted,
            inputs=inputs,
            outputs=outputs,
            saved_model=saved_model,
            floating=floating,
            notes=notes,
            pruned=pruned[0],
        )
        return self._made

    def _prune(self, pruning: Pruning, folder: Path) -> tuple[PrunedSource, tuple[str, ...]]:
        """Prune the loaded model and leave it in ``folder``; its record, and notes."""
        from exporter import prune

        self.emit(event="phase", phase=f"pruning ({pruning})")
        self._model, layers, notes = prune.prune(self._model, pruning)
        path = _write(folder / PRUNED_NAME, self._model.SerializeToString())
        return PrunedSource(path.name, sha256_file(path), pruning, layers), notes


@dataclass(frozen=True, slots=True)
class _Made:
    """What a source model was converted into, in the worker's scratch folder."""

    source: SourceModel
    pruning: Pruning | None
    scratch: Path
    converted: Any
    inputs: list[str]
    outputs: list[str]
    saved_model: Path
    floating: Path
    notes: tuple[str, ...]
    pruned: PrunedSource | None

    def calibration(self, paths: Mapping[str, str]) -> dict[str, Array]:
        """The representative dataset by signature name."""
        return {
            signature: _calibration_array(spec, paths)
            for spec, signature in zip(self.converted.inputs, self.inputs, strict=True)
        }


def _write(path: Path, data: bytes) -> Path:
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(data)
    temporary.replace(path)
    return path


def _calibration_array(spec: TensorSpec, paths: Mapping[str, str]) -> Array:
    """The memory-mapped representative samples of one input, [N, *shape] in its dtype."""
    array: Array = np.load(paths[spec.name], mmap_mode="r", allow_pickle=False)
    if array.shape[1:] != spec.shape or array.dtype != spec.numpy_dtype or len(array) == 0:
        raise CalibrationError(
            f"calibration data for {spec.describe()} has dtype {array.dtype} and shape "
            f"{list(array.shape)}; it must be [N,{','.join(map(str, spec.shape))}]"
        )
    if spec.dtype.startswith("float"):
        for index, sample in enumerate(array):
            if not np.isfinite(sample).all():
                raise CalibrationError(
                    f"calibration sample {index} of input {spec.name!r} holds NaN or infinity: "
                    "its range would be meaningless; repair or remove that sample"
                )
    return array


def _calibration_info(job: Mapping[str, Any], arrays: Mapping[str, Array]) -> CalibrationInfo:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}:{arrays[name].dtype}:{arrays[name].shape};".encode())
        for sample in arrays[name]:
            digest.update(np.ascontiguousarray(sample).data)
    samples = len(next(iter(arrays.values())))
    return CalibrationInfo(job["origin"], samples, digest.hexdigest(), job["seed"])


def _record(
    path: Path, recipe: Recipe, converted: Any, inputs: list[str], outputs: list[str]
) -> ArtifactRecord:
    """The artifact's own record, with its tensors bound to the source's names and layout."""
    from exporter import tflite_file

    record = tflite_file.inspect(path)
    stored_inputs = {binding.signature_name: binding.artifact for binding in record.inputs}
    stored_outputs = {binding.signature_name: binding.artifact for binding in record.outputs}
    if set(stored_inputs) != set(inputs) or set(stored_outputs) != set(outputs):
        raise ConversionError(
            f"the converter changed the signature: {sorted(stored_inputs)} → "
            f"{sorted(stored_outputs)} instead of {sorted(inputs)} → {sorted(outputs)}"
        )
    return replace(
        record,
        recipe=recipe,
        inputs=tuple(
            Binding(spec, stored_inputs[name], tuple(range(len(spec.shape))), name)
            for spec, name in zip(converted.inputs, inputs, strict=True)
        ),
        outputs=tuple(
            Binding(output.source, stored_outputs[name], output.permutation, name)
            for output, name in zip(converted.outputs, outputs, strict=True)
        ),
    )


def _versions() -> dict[str, str]:
    versions = {"python": sys.version.split()[0], "devdiff": importlib.metadata.version("devdiff")}
    for name in _VERSIONED:
        versions[name] = importlib.metadata.version(name)
    return versions


def _no_network() -> None:
    """No framework may fetch anything: a conversion depends on its inputs alone."""

    def refuse(self: socket.socket, address: Any) -> None:
        raise OSError(f"the export runs without network; something wanted {address!r}")

    socket.socket.connect = refuse  # type: ignore[assignment, method-assign]


def main() -> None:
    events = os.fdopen(int(sys.argv[1]), "w")
    # Frameworks spawn nothing that should hold the event pipe open.
    os.set_inheritable(events.fileno(), False)
    worker = Worker(events)
    random.seed(0)
    np.random.seed(0)
    _no_network()
    jobs: queue.Queue[str] = queue.Queue()
    scratch = Path.cwd()

    def read() -> None:
        for line in sys.stdin:
            jobs.put(line)
        # The parent is gone, or done with us; if it was killed, nobody else clears up.
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        try:
            worker.emit(event="result", result=worker.handle(job))
        except ExporterError as error:
            worker.emit(event="error", kind=type(error).__name__, message=str(error))
        except OSError as error:
            worker.emit(event="oserror", errno=error.errno, message=str(error))
        except MemoryError:
            worker.emit(
                event="error",
                kind="WorkerError",
                message="out of memory while exporting: close other programs, or export elsewhere",
            )


if __name__ == "__main__":
    main()
