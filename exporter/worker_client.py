"""The parent's side of the worker: start it, give it jobs, and survive it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, Self

from devdiff.exporter import errors
from devdiff.exporter.errors import (
    ConversionError,
    ExporterError,
    NotInstalledError,
    WorkerError,
)
from devdiff.exporter.export_cache import ExportCache, export_key
from devdiff.exporter.manifest import (
    ArtifactRecord,
    Manifest,
    SourceModel,
    record_from_json,
    spec_from_json,
)
from devdiff.exporter.recipe import FLOAT32, Pruning, Recipe
from devdiff.exporter.sources.formats import FORMATS, format_of
from devdiff.system import extras, interrupts, scratch

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

Progress = Callable[[str], None]

# How the worker's phases of quantization begin.
_QUANTIZING: Final = "quantizing"

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
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._phase = ""
        self._process = None
        # Ended backwards: what the process wrote into goes after the process.
        self._ending = contextlib.ExitStack()
        try:
            # An interrupt between a start and its assignment would leave what nobody knows of.
            with interrupts.deferred():
                self._start()
        except BaseException:
            self._ending.close()
            raise
        return self

    def _start(self) -> None:
        folder = str(self._ending.enter_context(scratch.scratch_directory("export")))
        self._ending.callback(self._kill)
        read_end, write_end = os.pipe()
        self._events = self._ending.enter_context(os.fdopen(read_end))
        try:
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "devdiff.exporter.worker", str(write_end)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(write_end,),
                    cwd=folder,
                    # TensorFlow leaves generated source files in the temporary directory.
                    env={**os.environ, **_ENVIRONMENT, "TMPDIR": folder},
                    start_new_session=True,
                    text=True,
                )
        finally:
            os.close(write_end)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # with its steps, see `apart`
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()

    @property
    def alive(self) -> bool:
        """Whether it still takes jobs."""
        return self._running.poll() is None

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def describe(
        self,
        path: Path,
        shapes: Mapping[str, tuple[int, ...]],
        signature: str | None = None,
        trust: bool = False,
    ) -> SourceModel:
        """Read a source model.

        ``signature`` chooses one of a SavedModel's, ``trust`` allows code in the file to run.
        Raises `SourceModelError` when it is not usable as it is, `ConversionError` when its
        framework cannot hand it on, `NotInstalledError` when that is not installed.
        """
        _require_framework(path)
        self._described = path, dict(shapes), signature, trust
        job = {"shapes": dict(shapes), "signature": signature, "trust": trust}
        data = self._call({"job": "describe", "path": str(path.resolve()), **job})
        self._source = SourceModel(
            path=path,
            format=data["format"],
            sha256=data["sha256"],
            files=data["files"],
            inputs=tuple(spec_from_json(spec) for spec in data["inputs"]),
            outputs=tuple(spec_from_json(spec) for spec in data["outputs"]),
            index_limits=data["index_limits"],
            runtime=data["runtime"],
            signature=data["signature"],
            trust=data["trust"],
        )
        return self._source

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
        cache = ExportCache.from_environment()
        if cache is None:
            return self._export(folder, recipes, calibration, origin, seed, progress, pruning, full)
        key = export_key(self._source, recipes, calibration, origin, seed, pruning, full)
        if (kept := cache.take(key, folder)) is not None:
            progress("taken from the export cache")
            return kept
        made = self._export(folder, recipes, calibration, origin, seed, progress, pruning, full)
        cache.put(key, folder, made)
        return made

    def _export(
        self,
        folder: Path,
        recipes: tuple[Recipe, ...],
        calibration: Mapping[str, Path],
        origin: str,
        seed: int | None,
        progress: Progress,
        pruning: Pruning | None,
        full: bool,
    ) -> Manifest:
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
            unpruned = other._export(
                folder,
                (FLOAT32,),
                {},
                origin,
                seed,
                lambda phase: progress(f"unpruned model: {phase}"),
                None,
                False,
            )
        whole = replace(manifest, artifacts=(*unpruned.artifacts, *manifest.artifacts))
        whole.save(folder)
        return whole

    def keep_float(
        self,
        folder: Path,
        variants: Sequence[Sequence[str]],
        calibration: Mapping[str, Path],
        progress: Progress = lambda phase: None,
    ) -> tuple[ArtifactRecord | str, ...]:
        """int8 artifacts of the model last described, in ``folder``, with some layers in float32.

        Each variant names the tensors that its float layers make; ``calibration`` is as in
        `export`. A variant that the quantizer refuses is its reason. Raises `ConversionError`,
        `CalibrationError` or `WorkerError`.
        """
        job = {
            "job": "keep float",
            "folder": str(folder.resolve()),
            "variants": [list(names) for names in variants],
            "calibration": {name: str(path.resolve()) for name, path in calibration.items()},
        }
        made = self._call(job, progress)
        return tuple(
            artifact if isinstance(artifact, str) else record_from_json(artifact)
            for artifact in made
        )

    def _call(self, job: Mapping[str, Any], progress: Progress = lambda phase: None) -> Any:
        stdin = self._running.stdin
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
                    self._phase = event["phase"]
                    progress(self._phase)
                case "result":
                    return event["result"]
                case "oserror":
                    raise OSError(event["errno"], event["message"])
                case "error":
                    kind = getattr(errors, event["kind"], ExporterError)
                    raise kind(event["message"])
        raise self._death()

    def _death(self) -> ExporterError:
        code = self._running.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        log_hint = f"what it printed is in {self._log_path}"
        if code in (-signal.SIGSEGV, -signal.SIGABRT) and self._phase.startswith(_QUANTIZING):
            return ConversionError(
                f"the TensorFlow Lite quantizer crashed on this model ({how}); a loop over a "
                "sequence (While, Loop, a long recurrent layer) is the usual reason: unroll it, or "
                f"ship float32 (--compress none); {log_hint}"
            )
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return WorkerError(f"the export process ended {how}{hint}; {log_hint}")


def _require_framework(path: Path) -> None:
    """Refuse a source model for which nothing is installed that reads it.

    Raises `NotInstalledError`, which names what to install, and as `format_of` does.
    """
    kind = format_of(path)
    if kind is None:
        return
    shortage = extras.shortage(f"{path.name}: reading and converting it", *FORMATS[kind].extras)
    if shortage:
        raise NotInstalledError(shortage)
