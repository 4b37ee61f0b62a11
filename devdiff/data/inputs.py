"""The input set of a run: fixed on disk once, hashed, split, and the same for every rung."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.data import readers, synthetic
from devdiff.data.npy_writer import NpyWriter
from devdiff.data.preprocess import NO_PREPROCESS, Preprocess
from devdiff.data.readers import ArrayRows, Rows
from devdiff.errors import UsageError
from exporter.artifact import Array, TensorSpec

MAX_CALIBRATION: Final = 200
SYNTHETIC_TESTED: Final = 100
SYNTHETIC_CALIBRATION: Final = 50
_RECORD: Final = "inputs.json"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class InputRequest:
    """What the user asked to test with; ``inputs`` None means synthetic samples."""

    inputs: Path | None = None
    labels: Path | None = None
    calibration: Path | None = None
    preprocess: Preprocess = NO_PREPROCESS
    seed: int = 0

    def fingerprint(self) -> dict[str, Any]:
        """Names the request and the state of its files without reading them."""
        return {
            "inputs": _state(self.inputs),
            "labels": _state(self.labels),
            "calibration": _state(self.calibration),
            "preprocess": self.preprocess.to_json(),
            "seed": self.seed,
        }


SYNTHETIC: Final = InputRequest()


def _state(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    files = readers.image_paths(path) if path.is_dir() else (path,)
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


@dataclass(frozen=True, slots=True)
class InputSet:
    """Samples on disk in the source model's names and layout.

    ``arrays`` maps input names to memory maps [rows, *shape]; ``tested`` and ``calibration`` are
    row numbers that never overlap. ``labels`` are class indices of the tested rows. ``sha256``
    covers the tested tensors. ``synthetic`` inputs speak of numerics only. ``names`` are the files
    of the rows, where each has its own.
    """

    arrays: Mapping[str, Array]
    tested: Array
    labels: Array | None
    calibration_arrays: Mapping[str, Path]
    calibration_origin: str
    calibration_samples: int
    origin: str
    synthetic: bool
    sha256: str
    notes: tuple[str, ...]
    preprocess: Mapping[str, Any]
    seed: int
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.tested)

    def sample(self, index: int) -> dict[str, Array]:
        """Tested sample ``index``: input name to array of the input's shape."""
        row = int(self.tested[index])
        return {name: array[row] for name, array in self.arrays.items()}

    def describe(self, index: int) -> dict[str, Any]:
        """Row, file name and label of tested sample ``index``, for people."""
        row = int(self.tested[index])
        return {
            "row": row,
            "name": self.names[row] if self.names else None,
            "label": int(self.labels[index]) if self.labels is not None else None,
        }

    def to_json(self) -> dict[str, Any]:
        """What the report says of the inputs."""
        return {
            "origin": self.origin,
            "samples": len(self),
            "synthetic": self.synthetic,
            "labelled": self.labels is not None,
            "sha256": self.sha256,
            "preprocess": dict(self.preprocess),
            "seed": self.seed,
            "calibration": {
                "origin": self.calibration_origin,
                "samples": self.calibration_samples,
            },
            "notes": list(self.notes),
        }


def prepare(
    request: InputRequest,
    inputs: tuple[TensorSpec, ...],
    limits: Mapping[str, int],
    folder: Path,
    calibrate: bool,
    progress: Progress = lambda done, total: None,
) -> InputSet:
    """Fix the input set of a run in ``folder``; what an earlier run fixed there is taken as it is.

    ``limits`` bounds integer inputs that index a table. Raises `UsageError` when the data does not
    fit the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _RECORD
    if record.exists():
        fixed = _load(folder, inputs)
        if _hash(folder, inputs, fixed.tested) != fixed.sha256:
            raise UsageError(f"{folder} was changed since its run began: start a new run")
        return fixed
    builder = _Builder(request, inputs, limits, folder, calibrate, progress)
    data = builder.build()
    temporary = record.with_suffix(".partial")
    temporary.write_text(json.dumps(data, indent=2))
    temporary.replace(record)
    return _load(folder, inputs)


def _load(folder: Path, inputs: tuple[TensorSpec, ...]) -> InputSet:
    data = json.loads((folder / _RECORD).read_text())
    arrays = {
        spec.name: np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
        for position, spec in enumerate(inputs)
    }
    labels = folder / "labels.npy"
    return InputSet(
        arrays=arrays,
        tested=np.load(folder / "tested.npy", allow_pickle=False),
        labels=np.load(labels, allow_pickle=False) if labels.exists() else None,
        calibration_arrays={
            spec.name: folder / f"calibration-{position}.npy"
            for position, spec in enumerate(inputs)
        },
        calibration_origin=data["calibration_origin"],
        calibration_samples=data["calibration_samples"],
        origin=data["origin"],
        synthetic=data["synthetic"],
        sha256=data["sha256"],
        notes=tuple(data["notes"]),
        preprocess=data["preprocess"],
        seed=data["seed"],
        names=tuple(data["names"]),
    )


class _Builder:
    """Writes one input set to disk, array by array, chunk by chunk."""

    def __init__(
        self,
        request: InputRequest,
        inputs: tuple[TensorSpec, ...],
        limits: Mapping[str, int],
        folder: Path,
        calibrate: bool,
        progress: Progress,
    ) -> None:
        self._request = request
        self._inputs = inputs
        self._limits = limits
        self._folder = folder
        self._calibrate = calibrate
        self._progress = progress
        self._notes: list[str] = []
        self._names: list[str] = []
        self._preprocess = request.preprocess

    def build(self) -> dict[str, Any]:
        request = self._request
        labels = None
        if request.inputs is None:
            if request.labels is not None:
                raise UsageError("--labels needs --inputs: synthetic samples have no true class")
            rows, origin = self._write_synthetic(SYNTHETIC_TESTED, "", request.seed)
            self._notes.append(
                "inputs are synthetic: the verdict speaks of numerics, not of answers on real data"
            )
        else:
            rows, labels = self._write(request.inputs, "")
            origin = str(request.inputs)
        tested, calibration, calibrated = np.arange(rows), "none", 0
        if self._calibrate:
            tested, calibration, calibrated = self._split(rows)
        if request.labels is not None:
            labels = readers.read_labels(request.labels, rows)
        if labels is not None:
            np.save(self._folder / "labels.npy", labels[tested])
        np.save(self._folder / "tested.npy", tested)
        return {
            "origin": origin,
            "synthetic": request.inputs is None,
            "calibration_origin": calibration,
            "calibration_samples": calibrated,
            "sha256": _hash(self._folder, self._inputs, tested),
            "notes": self._notes,
            "preprocess": self._preprocess.to_json(),
            "seed": request.seed,
            "names": self._names,
        }

    def _split(self, rows: int) -> tuple[Array, str, int]:
        """Tested rows, where the calibration set comes from, and its size."""
        request = self._request
        if request.calibration is not None:
            count, _ = self._write(request.calibration, "calibration-")
            return np.arange(rows), str(request.calibration), count
        if request.inputs is None:
            count, origin = self._write_synthetic(
                SYNTHETIC_CALIBRATION, "calibration-", request.seed + 1
            )
            return np.arange(rows), origin, count
        if rows < 2:
            raise UsageError(
                f"{request.inputs} has {rows} sample: quantization needs a calibration set that is "
                "not the tested part; give more samples, or --calibration"
            )
        size = min(MAX_CALIBRATION, max(1, rows // 4))
        order = np.random.default_rng(request.seed).permutation(rows)
        chosen, tested = np.sort(order[:size]), np.sort(order[size:])
        for position in range(len(self._inputs)):
            array = np.load(self._folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
            with NpyWriter(self._folder / f"calibration-{position}.npy") as out:
                for row in chosen:
                    out.add(array[row : row + 1])
        self._notes.append(
            f"{size} of {rows} samples calibrate the quantization, the other {rows - size} are "
            f"tested (seed {request.seed}; --calibration names a set of its own)"
        )
        return tested, f"{size} samples of {request.inputs}, seed {request.seed}", size

    def _write_synthetic(self, count: int, prefix: str, seed: int) -> tuple[int, str]:
        stream = synthetic.sample_stream(self._inputs, self._limits, seed)
        outs = [
            NpyWriter(self._folder / f"{prefix}{position}.npy")
            for position in range(len(self._inputs))
        ]
        for sample in itertools.islice(stream, count):
            for out, spec in zip(outs, self._inputs, strict=True):
                out.add(sample[spec.name][np.newaxis])
        for out in outs:
            out.close()
        return count, f"synthetic, seed {seed}"

    def _write(self, path: Path, prefix: str) -> tuple[int, Array | None]:
        """Bring one data set into the run; returns its size and the labels inside it."""
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        sources, labels = self._sources(path)
        if not prefix and path.is_dir():
            self._names = [p.relative_to(path).as_posix() for p in readers.image_paths(path)]
        counts = {name: rows.count for name, rows in sources.items()}
        if len(set(counts.values())) > 1:
            raise UsageError(f"{path}: arrays differ in their number of samples: {counts}")
        total = next(iter(counts.values()))
        if total == 0:
            raise UsageError(f"{path} holds zero samples: there is nothing to test with")
        for position, spec in enumerate(self._inputs):
            rows = sources[spec.name]
            with NpyWriter(self._folder / f"{prefix}{position}.npy") as out:
                done = 0
                for chunk in rows.chunks():
                    value = self._fit(chunk, spec, path)
                    _check_numbers(value, done, spec, path)
                    out.add(value)
                    done += len(chunk)
                    self._progress(done, total)
        if labels is None:
            return total, None
        values = np.concatenate(list(labels.chunks()))
        return total, readers.check_labels(values, total, str(path))

    def _sources(self, path: Path) -> tuple[dict[str, Rows], ArrayRows | None]:
        """The rows behind each input of the model, and labels if the file has them."""
        names = [spec.name for spec in self._inputs]
        if path.is_dir():
            if len(names) > 1:
                raise UsageError(
                    f"a folder of images cannot feed the {len(names)} inputs {', '.join(names)}: "
                    "give an .npz with one array for each"
                )
            images, self._preprocess = readers.image_rows(
                path, self._inputs[0], self._request.preprocess
            )
            steps = self._preprocess.describe()
            self._notes.append(f"{images.count} images of {path.name}: {steps}")
            return {names[0]: images}, None
        if path.suffix not in (".npy", ".npz"):
            raise UsageError(f"{path}: inputs are a folder of images, an .npz or an .npy file")
        arrays = readers.open_arrays(path)
        labels = None
        if readers.LABELS_KEY not in names:
            labels = arrays.pop(readers.LABELS_KEY, None)
        if len(names) == 1 and len(arrays) == 1:
            return {names[0]: next(iter(arrays.values()))}, labels
        if set(arrays) != set(names):
            raise UsageError(
                f"{path} has arrays {', '.join(sorted(arrays)) or 'none'}; the model's inputs are "
                f"{', '.join(names)}"
            )
        return dict(arrays), labels

    def _fit(self, chunk: Array, spec: TensorSpec, path: Path) -> Array:
        """A chunk as [n, *spec.shape] in the input's dtype. Raises `UsageError` on a misfit."""
        value = chunk
        if value.ndim == len(spec.shape):
            value = value[:, np.newaxis]
        if value.ndim == len(spec.shape) + 1 and self._preprocess != NO_PREPROCESS:
            value = np.stack([self._preprocess.apply(sample, spec) for sample in value])
        if value.shape[1:] != spec.shape:
            hint = ""
            if value.ndim == 5 and sorted(value.shape[1:]) == sorted(spec.shape):
                hint = "; if only the layout differs, add --preprocess layout=NCHW or layout=NHWC"
            raise UsageError(
                f"{path}: samples are {chunk.dtype}{list(chunk.shape[1:])}, input {spec.describe()}"
                f" needs [N,{','.join(map(str, spec.shape[1:]))}] or "
                f"[N,{','.join(map(str, spec.shape))}]{hint}"
            )
        wanted = spec.numpy_dtype
        if value.dtype == wanted:
            return value
        if not _fits(value, wanted):
            raise UsageError(
                f"{path}: samples are {value.dtype}, input {spec.describe()} needs {wanted}: "
                "convert them, or see --preprocess"
            )
        note = f"{chunk.dtype} values of {path.name} are fed to {spec.name!r} as {wanted}, unscaled"
        if chunk.dtype == np.uint8 and value.dtype == np.uint8 and note not in self._notes:
            self._notes.append(f"{note} (--preprocess scale=1/255 if the model expects 0..1)")
        return value.astype(wanted)


def _check_numbers(value: Array, first: int, spec: TensorSpec, path: Path) -> None:
    """Raises `UsageError` for NaN, which no integer can hold and every comparison goes blind on."""
    if value.dtype.kind != "f":
        return
    bad = np.isnan(value).reshape(len(value), -1).any(axis=1)
    if bad.any():
        raise UsageError(
            f"{path}: sample {first + int(bad.argmax())} of input {spec.name!r} holds NaN: mend it "
            "or leave it out"
        )


def _hash(folder: Path, inputs: tuple[TensorSpec, ...], tested: Array) -> str:
    """SHA-256 over the tested tensors, their names, types and shapes."""
    digest = hashlib.sha256()
    for position, spec in enumerate(inputs):
        array = np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
        digest.update(f"{spec.name}:{spec.dtype}:{list(spec.shape)}:{len(tested)};".encode())
        for row in tested:
            digest.update(np.ascontiguousarray(array[row]).data)
    return digest.hexdigest()


def _fits(value: Array, wanted: np.dtype[Any]) -> bool:
    """Whether ``wanted`` can hold these very values without a change of meaning."""
    if wanted.kind == "f":
        return value.dtype.kind in "fiub"
    if wanted.kind in "iu" and value.dtype.kind in "iu":
        info = np.iinfo(wanted)
        return bool(value.size == 0 or (value.min() >= info.min and value.max() <= info.max))
    return wanted.kind == "b" and value.dtype.kind == "b"
