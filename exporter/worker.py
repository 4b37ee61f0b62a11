"""The child process that reads, converts and inspects models: ``python -m
devdiff.exporter.worker``.

Whatever the frameworks do (print, exit, crash, keep state, look for the network) ends here. Jobs
come as JSON lines on standard input; events go as JSON lines to the file descriptor named on the
command line; standard output and error belong to the frameworks. A closed standard input means
that the parent is gone, and the worker goes too.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import queue
import random
import shutil
import socket
import sys
import threading
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.exporter import apart, prepare
from devdiff.exporter.artifact import Array, Binding, sha256_path
from devdiff.exporter.errors import ConversionError, ExporterError
from devdiff.exporter.manifest import PRUNED_NAME, ArtifactRecord, Manifest
from devdiff.exporter.prepare import PreparedModel, write
from devdiff.exporter.quantizers import calibration, quantizer
from devdiff.exporter.quantizers.quantizer import FloatModel
from devdiff.exporter.recipe import INT8, Pruning, Recipe
from devdiff.exporter.sources.formats import FORMATS, SourceFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.exporter.sources.source import ReadSource


class Worker:
    """Holds the loaded model between jobs, so that nothing is read or imported twice."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._described: Mapping[str, Any] | None = None
        self._converted: Mapping[str, Any] | None = None
        self._read: ReadSource | None = None
        self._made: PreparedModel | None = None
        self._steps: list[str] = []

    def _phase(self, text: str) -> None:
        """A step of an export begins; its number is known also in a copy of this process."""
        number = ""
        if text in self._steps:
            number = f", step {self._steps.index(text) + 1} of {len(self._steps)}"
        self.emit(event="phase", phase=f"{text}{number}")

    def emit(self, **event: Any) -> None:
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()

    def handle(self, job: Mapping[str, Any]) -> Any:
        match job["job"]:
            case "describe":
                return self._describe(job)
            case "inspect":
                return self._inspect(Path(job["path"]))
            case "export":
                return self._export(job)
            case "keep float":
                return self._keep_float(job)
            case unknown:
                raise ExporterError(f"unknown job {unknown!r}")

    def _describe(self, job: Mapping[str, Any]) -> Any:
        from devdiff.exporter.sources import reader

        path = Path(job["path"])
        made = self._made
        if made and (job, sha256_path(path)) == (self._converted, made.source.sha256):
            self._read = None
            return {**asdict(made.source), "path": str(path)}
        chosen = {name: tuple(shape) for name, shape in job["shapes"].items()}
        self._read = reader.read(path, chosen, job["signature"], job["trust"], Path.cwd())
        self._described = job
        return {**asdict(self._read.source), "path": str(path)}

    def _inspect(self, path: Path) -> Any:
        from devdiff.exporter import tflite_file

        return asdict(tflite_file.inspect(path))

    def _export(self, job: Mapping[str, Any]) -> Any:
        pruning = Pruning(**job["pruning"]) if job["pruning"] else None
        recipes = [Recipe.from_json(chosen) for chosen in job["recipes"]]
        self._steps = [
            *(prepare.phases(self._read, pruning) if self._read is not None else ()),
            *(_quantizing(recipe) for recipe in recipes if recipe.precision != "float32"),
        ]
        made = self._make(pruning)
        folder = Path(job["folder"])
        if made.pruned is not None:
            shutil.copyfile(made.pruned_path, folder / PRUNED_NAME)
        notes, records, dataset = list(made.notes), [], None
        step: Any = apart.run if made.large else _call
        for chosen in recipes:
            recipe = replace(chosen, pruning=pruning)
            path = folder / recipe.file_name
            if recipe.precision == "float32":
                shutil.copyfile(made.floating, partial_path := path.with_suffix(".partial"))
                partial_path.replace(path)
            else:
                arrays: dict[str, Array] = {}
                if recipe.calibrated:
                    arrays = made.calibration(job["calibration"]["arrays"])
                    dataset = calibration.info(job["calibration"], arrays)
                self._phase(_quantizing(recipe))
                ranges = Path.cwd() / "ranges.tflite"
                step(
                    partial(quantizer.calibrate, recipe, arrays, made.floating, ranges, made.large)
                )
                notes += step(partial(_compress, made, recipe, arrays, ranges, path))
            records.append(_record(path, recipe, made))

        manifest = Manifest(
            source=made.source.path.name,
            source_format=made.source.format,
            source_files=made.source.files,
            shapes={spec.name: spec.shape for spec in made.source.inputs},
            calibration=dataset,
            artifacts=tuple(records),
            versions=_versions(made.source.format),
            notes=tuple(notes),
            pruned=made.pruned,
        )
        manifest.save(folder)
        return manifest.to_json()

    def _keep_float(self, job: Mapping[str, Any]) -> Any:
        """int8 artifacts with layers in float32: one for each of the ``variants``, lists of names.

        One that is refused is its reason.
        """
        made = self._make(None)
        from devdiff.exporter.quantizers import calibrated, int8

        self.emit(event="phase", phase="measuring ranges")
        ranges = Path.cwd() / "ranges.tflite"
        calibrated.calibrate(made.floating, made.calibration(job["calibration"]), ranges)
        entries: list[Any] = []
        for place, names in enumerate(job["variants"]):
            # A fused layer has the names of all its parts.
            layer_names = ", ".join(name.split(";")[0] for name in names) or "no layer"
            which = f"variant {place + 1} of {len(job['variants'])}"
            self.emit(event="phase", phase=f"quantizing with {layer_names} in float, {which}")
            try:
                data = int8.to_integers(ranges, float_io=False, per_channel=True, layers=names)
            except ConversionError as error:
                entries.append(str(error))
                continue
            path = write(Path(job["folder"]) / f"keep-float-{place}.tflite", data)
            entries.append(asdict(_record(path, INT8, made)))
        return entries

    def _taken(self) -> ReadSource:
        read, self._read = self._read, None
        assert read is not None
        return read

    def _make(self, pruning: Pruning | None) -> PreparedModel:
        """The described model converted, the first time it is exported."""
        if self._made is None:
            if self._read is None:
                raise ExporterError("export before describe")
            # The frameworks hold copies of the weights; ours are not needed for longer.
            self._made = prepare.make(
                self._taken(),
                pruning,
                Path.cwd(),
                self._phase,
            )
            self._converted = self._described
        if self._read is not None or self._made.pruning != pruning:
            raise ExporterError("one worker converts one model in one way")
        return self._made


def _quantizing(recipe: Recipe) -> str:
    return f"quantizing ({recipe.name})"


def _call(step: Callable[[], Any]) -> Any:
    return step()


def _compress(
    made: PreparedModel, recipe: Recipe, arrays: Mapping[str, Array], ranges: Path, path: Path
) -> tuple[str, ...]:
    """Write the artifact that ``recipe`` makes to ``path``; returns the notes on it."""
    model = FloatModel(made.saved_model, made.floating, ranges, made.constants, made.large)
    compressed = quantizer.compress(model, recipe, arrays)
    write(path, compressed.data)
    return compressed.notes


def _record(path: Path, recipe: Recipe, made: PreparedModel) -> ArtifactRecord:
    """The artifact's own record, with its tensors bound to the source's names and layout."""
    from devdiff.exporter import tflite_file

    record = tflite_file.inspect(path)
    stored_inputs = {binding.signature_name: binding.artifact for binding in record.inputs}
    stored_outputs = {binding.signature_name: binding.artifact for binding in record.outputs}
    inputs, outputs = made.inputs, made.outputs
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
            for spec, name in zip(made.converted.inputs, inputs, strict=True)
        ),
        outputs=tuple(
            Binding(output.source, stored_outputs[name], output.permutation, name)
            for output, name in zip(made.converted.outputs, outputs, strict=True)
        ),
    )


def _versions(kind: SourceFormat) -> dict[str, str]:
    """Versions of everything that had a part in the export of such a source."""
    versions = {"python": sys.version.split()[0], "devdiff": importlib.metadata.version("devdiff")}
    return versions | {name: importlib.metadata.version(name) for name in FORMATS[kind].packages}


def _no_network() -> None:
    """No framework may fetch anything: a conversion depends on its inputs alone."""

    def refuse(_socket: socket.socket, address: Any) -> None:
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
        # The parent is gone, or done with us; if it was killed, nobody else clears up. In place of
        # this process, so that a thread that still converts writes nothing behind it.
        os.execvp("rm", ("rm", "-rf", "--", str(scratch)))  # noqa: S606, S607

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
