"""The parent's side of the worker: start it, give it jobs, and survive it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from exporter import errors
from exporter.errors import ExporterError, WorkerError
from exporter.manifest import (
    ArtifactRecord,
    Manifest,
    SourceModel,
    record_from_json,
    spec_from_json,
)
from exporter.recipe import FLOAT32, Pruning, Recipe

Progress = Callable[[str], None]

# Frameworks read these at import: quiet, deterministic, and blind to GPUs and to the network.
_ENVIRONMENT: Final = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_USE_LEGACY_KERAS": "1",
}


class ExportWorker:
    """A child process that reads, converts and inspects models; use it as a context manager.

    ``log`` receives everything the frameworks print. One worker converts one model once, since the
    conversion is byte-identical across processes, not within one; what is exported with it again,
    into other folders and by other recipes, is made of the same conversion.
    """

    def __init__(self, log: Path) -> None:
        self._log_path = log

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory(prefix="devdiff-export-")
        read_end, write_end = os.pipe()
        try:
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "exporter.worker", str(write_end)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(write_end,),
                    cwd=self._scratch.name,
                    # TensorFlow leaves generated source files in the temporary directory.
                    env={**os.environ, **_ENVIRONMENT, "TMPDIR": self._scratch.name},
                    start_new_session=True,
                    text=True,
                )
        except BaseException:
            os.close(read_end)
            self._scratch.cleanup()
            raise
        finally:
            os.close(write_end)
        self._events = os.fdopen(read_end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._events.close()
        self._scratch.cleanup()

    @property
    def alive(self) -> bool:
        """Whether it still takes jobs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def describe(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> SourceModel:
        """Read an ONNX model. Raises `SourceModelError` when it is not usable as it is."""
        self._described = path, dict(shapes)
        data = self._call({"job": "describe", "path": str(path.resolve()), "shapes": dict(shapes)})
        return SourceModel(
            path=path,
            format=data["format"],
            sha256=data["sha256"],
            files=data["files"],
            inputs=tuple(spec_from_json(spec) for spec in data["inputs"]),
            outputs=tuple(spec_from_json(spec) for spec in data["outputs"]),
            index_limits=data["index_limits"],
        )

    def inspect(self, path: Path) -> ArtifactRecord:
        """Read a .tflite file. Raises `ArtifactError` when it is damaged."""
        return record_from_json(self._call({"job": "inspect", "path": str(path.resolve())}))

    def export(
        self,
        folder: Path,
        recipes: tuple[Recipe, ...],
        calibration: Mapping[str, Path],
        origin: str,
        seed: int | None,
        progress: Progress = lambda phase: None,
        pruning: Pruning | None = None,
        full: bool = False,
    ) -> Manifest:
        """Export the model last described into ``folder``; the manifest is written there last.

        ``recipes`` are those of the artifacts, `FLOAT32` first. ``calibration`` maps source input
        names to .npy files [N, *shape]. ``progress`` is called with each phase. With ``pruning``,
        all artifacts are made of the pruned model; ``full`` leaves the float32 artifact of the
        unpruned one beside them. Raises `ConversionError`,
        `CompressionError`, `CalibrationError` or `WorkerError`.
        """
        job = {
            "job": "export",
            "folder": str(folder.resolve()),
            "recipes": [recipe.to_json() for recipe in recipes],
            "calibration": {
                "arrays": {name: str(path.resolve()) for name, path in calibration.items()},
                "origin": origin,
                "seed": seed,
            },
            "pruning": asdict(pruning) if pruning else None,
        }
        manifest = Manifest.from_json(self._call(job, progress))
        if not full or pruning is None:
            return manifest
        with ExportWorker(self._log_path) as other:
            other.describe(*self._described)
            unpruned = other.export(
                folder,
                (FLOAT32,),
                {},
                origin,
                seed,
                lambda phase: progress(f"unpruned model: {phase}"),
            )
        whole = replace(manifest, artifacts=(*unpruned.artifacts, *manifest.artifacts))
        whole.save(folder)
        return whole

    def _call(self, job: Mapping[str, Any], progress: Progress = lambda phase: None) -> Any:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        for line in self._events:
            event = json.loads(line)
            match event["event"]:
                case "phase":
                    progress(event["phase"])
                case "result":
                    return event["result"]
                case "oserror":
                    raise OSError(event["errno"], event["message"])
                case "error":
                    kind = getattr(errors, event["kind"], ExporterError)
                    raise kind(event["message"])
        raise self._death()

    def _death(self) -> WorkerError:
        code = self._process.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return WorkerError(
            f"the export process ended {how}{hint}; what it printed is in {self._log_path}"
        )
