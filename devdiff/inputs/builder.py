"""Writing an input set to disk: array by array, chunk by chunk, hashed on the way."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.inputs import calibration, image_workers, lint, listing, readers, synthetic
from devdiff.inputs.digest import RowFacts, SetDigest, check_numbers, set_digest
from devdiff.inputs.images import ImageRows
from devdiff.inputs.listing import Labels
from devdiff.inputs.npy_writer import NpyWriter
from devdiff.inputs.pieces import pieces
from devdiff.inputs.preprocess import NO_PREPROCESS
from devdiff.inputs.selection import spread
from devdiff.inputs.sources import Opened, Opener
from devdiff.system.typed_json import encode

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from devdiff.exporter.artifact import Array, TensorSpec
    from devdiff.inputs.readers import Rows
    from devdiff.inputs.request import InputRequest, Progress

MAX_CALIBRATION: Final = 200
SYNTHETIC_TESTED: Final = 100
SYNTHETIC_CALIBRATION: Final = 50


class Builder:
    """Writes one input set; `build` says what it became."""

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
        self._preprocess = request.preprocess
        self._classes = listing.read_classes(request.classes) if request.classes else None
        self._scratch = folder / "staged"
        self._opener = Opener(inputs, request.preprocess, self._scratch, self._classes)

    def build(self) -> dict[str, Any]:
        """The record of the set. Raises `UsageError` when the data does not fit the model."""
        request, opened, labels = self._request, None, None
        if request.inputs is not None:
            opened = self._opener.open(request.inputs)
            self._preprocess = opened.preprocess
            self._notes += opened.notes
            rows, origin = opened.count, str(request.inputs)
            if rows == 0:
                raise UsageError(f"{origin} holds zero samples: there is nothing to test with")
            labels = self._labels(opened, rows, origin)
        elif request.labels is not None:
            raise UsageError("--labels needs --inputs: synthetic samples have no true class")
        else:
            rows = min(SYNTHETIC_TESTED, request.limit or SYNTHETIC_TESTED)
            origin = f"synthetic, seed {request.seed}"
            self._notes.append(
                "inputs are synthetic: the verdict speaks of numerics, not of answers on real data"
            )
        chosen = self._calibration_rows(rows)
        left = np.setdiff1d(np.arange(rows), chosen)
        tested = spread(left, request.limit or rows, request.seed)
        available = len(left) if opened is not None else SYNTHETIC_TESTED
        warnings: list[lint.DataWarning] = []
        if opened is not None:
            wanted = np.zeros(rows, np.bool_)
            wanted[tested] = wanted[chosen] = True
            sha256, facts = self._write(opened, origin, "", tested, wanted)
            if len(tested) < available:
                self._notes.append(
                    f"{len(tested)} of {available} samples are tested (--limit), spread over all "
                    f"of them (seed {request.seed})"
                )
            true_classes = labels.values[tested] if labels is not None else None
            warnings = lint.warnings(
                self._folder,
                self._inputs,
                self._preprocess,
                tested,
                facts,
                true_classes,
                opened.names,
            )
        else:
            self._write_synthetic(rows, "", request.seed)
            sha256 = set_digest(self._folder, self._inputs, tested)
        calibrated_by, calibrated = self._write_calibration(chosen, rows, tested)
        if labels is not None:
            np.save(self._folder / "labels.npy", labels.values[tested])
            self._notes += [labels.note] if labels.note else []
        np.save(self._folder / "tested.npy", tested)
        shutil.rmtree(self._scratch, ignore_errors=True)
        classes, classes_origin = self._known_classes(opened)
        return {
            "origin": origin,
            "synthetic": opened is None,
            "calibration_origin": calibrated_by,
            "calibration_samples": calibrated,
            "sha256": sha256,
            "available": available if len(tested) < available else None,
            "notes": self._notes,
            "warnings": encode(warnings),
            "preprocess": self._preprocess.to_json(),
            "seed": request.seed,
            "names": list(opened.names) if opened else [],
            "root": str(opened.root.resolve()) if opened and opened.root else None,
            "guessed_classes": labels.guessed if labels else None,
            "at_least": labels.at_least if labels else False,
            "class_names": list(labels.names) if labels else [],
            "known_classes": list(classes),
            "classes_origin": classes_origin,
        }

    def _known_classes(self, opened: Opened | None) -> tuple[Sequence[str], str]:
        """What the classes are called, in order, and who says so."""
        request = self._request
        if self._classes is not None and request.classes is not None:
            return self._classes, request.classes.name
        if opened is not None and opened.classes and request.labels is None:
            return opened.classes, f"the data set {Path(str(request.inputs)).name}"
        return (), ""

    def _labels(self, opened: Opened, rows: int, origin: str) -> Labels | None:
        """The true classes of all rows; those the user names outrank those in the data."""
        if self._request.labels is not None:
            return Labels(readers.read_labels(self._request.labels, rows))
        if opened.labels is not None:
            readers.check_labels(opened.labels.values, rows, origin)
        return opened.labels

    def _calibration_rows(self, rows: int) -> Array:
        """Rows of the inputs that calibrate and are not tested, where nothing else calibrates."""
        request = self._request
        if not self._calibrate or request.calibration is not None or request.inputs is None:
            return np.zeros(0, np.int64)
        if rows < 2:
            raise UsageError(
                f"{request.inputs} has {rows} sample: quantization needs a calibration set that is "
                "not the tested part; give more samples, or --calibration"
            )
        size = min(MAX_CALIBRATION, max(1, rows // 4))
        order = np.random.default_rng(request.seed).permutation(rows)
        self._notes.append(
            f"{size} of {rows} samples calibrate the quantization, the other {rows - size} are "
            f"{'left to test' if request.limit else 'tested'} (seed {request.seed}; --calibration "
            "names a set of its own)"
        )
        return np.sort(order[:size])

    def _write_calibration(self, chosen: Array, rows: int, tested: Array) -> tuple[str, int]:
        """Where the calibration set comes from, and its size."""
        request = self._request
        if not self._calibrate:
            return "none", 0
        if request.calibration is not None:
            opened, origin = self._opener.open(request.calibration), str(request.calibration)
            if opened.count == 0:
                raise UsageError(f"{origin} holds zero samples: there is nothing to calibrate with")
            everything = np.ones(opened.count, np.bool_)
            self._write(opened, origin, "calibration-", np.zeros(0, np.int64), everything)
            self._notes += calibration.compare(
                self._folder, self._inputs, request.calibration, tested
            )
            return origin, opened.count
        if request.inputs is None:
            seed = request.seed + 1
            self._write_synthetic(SYNTHETIC_CALIBRATION, "calibration-", seed)
            return f"synthetic, seed {seed}", SYNTHETIC_CALIBRATION
        for position in range(len(self._inputs)):
            array = np.load(self._folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
            with NpyWriter(self._folder / f"calibration-{position}.npy") as out:
                for row in chosen:
                    out.add(array[row : row + 1])
        return f"{len(chosen)} samples of {request.inputs}, seed {request.seed}", len(chosen)

    def _write_synthetic(self, count: int, prefix: str, seed: int) -> None:
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

    def _write(
        self, opened: Opened, origin: str, prefix: str, tested: Array, wanted: Array
    ) -> tuple[str, list[list[RowFacts]]]:
        """Bring the ``wanted`` rows (bool [N]) of one data set into the run, each to its place.

        Gives the hash of the ``tested`` ones, as `set_digest` has it, and what is known of each of
        these, input by input. Hashing while the values are at hand spares reading them all again.
        """
        total, numbers = opened.count, np.flatnonzero(wanted)
        hashed = np.zeros(total, np.bool_)
        hashed[tested] = True
        digest = SetDigest(len(tested))
        facts: list[list[RowFacts]] = []
        for position, spec in enumerate(self._inputs):
            rows = opened.rows[spec.name]
            digest.begin(spec)
            path = self._folder / f"{prefix}{position}.npy"
            if isinstance(rows, ImageRows) and len(numbers) >= image_workers.MANY:
                written = image_workers.write(rows, numbers.tolist(), origin, path)
            else:
                written = self._written(rows, wanted, spec, origin, path)
            kept = []
            with contextlib.closing(written):
                for done, (number, row) in enumerate(zip(numbers, written, strict=True), 1):
                    if hashed[number]:
                        digest.add_digest(row.digest)
                        kept.append(row)
                    self._progress(done, len(numbers))
            facts.append(kept)
        return digest.hex(), facts

    def _written(
        self, rows: Rows, wanted: Array, spec: TensorSpec, origin: str, path: Path
    ) -> Generator[RowFacts, None, None]:
        """Write the wanted rows of an input, with holes for the others; the facts of each."""
        with NpyWriter(path) as out:
            done = 0
            for first, chunk in pieces(rows, wanted):
                values = chunk if rows.ready else self._fit(chunk, spec, origin)
                values = np.ascontiguousarray(values)
                check_numbers(values, first, spec, origin)
                if first > done:
                    out.skip(first - done, values.shape[1:], values.dtype)
                out.add(values)
                done = first + len(values)
                yield from map(RowFacts.of, values)
            if done < len(wanted):
                out.skip(len(wanted) - done, spec.shape, spec.numpy_dtype)

    def _fit(self, chunk: Array, spec: TensorSpec, origin: str) -> Array:
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
            elif _one_channel_instead(value.shape[1:], spec.shape):
                hint = "; these are grey pictures, and it takes colour: repeat their channel"
            raise UsageError(
                f"{origin}: samples are {chunk.dtype}{list(chunk.shape[1:])}, input "
                f"{spec.describe()} needs [N,{','.join(map(str, spec.shape[1:]))}] or "
                f"[N,{','.join(map(str, spec.shape))}]{hint}"
            )
        wanted = spec.numpy_dtype
        if value.dtype == wanted:
            return value
        if not _fits(value, wanted):
            raise UsageError(
                f"{origin}: samples are {value.dtype}, input {spec.describe()} needs {wanted}: "
                "convert them, or see --preprocess"
            )
        note = (
            f"{chunk.dtype} values of {Path(origin).name} are fed to {spec.name!r} as {wanted}, "
            "unscaled"
        )
        if chunk.dtype == np.uint8 and value.dtype == np.uint8 and note not in self._notes:
            self._notes.append(f"{note} (--preprocess scale=1/255 if the model expects 0..1)")
        return value.astype(wanted)


def _one_channel_instead(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether pictures ``given`` have one channel where three or four are ``wanted``."""
    if len(given) != len(wanted) or len(wanted) != 4:
        return False
    pairs = [pair for pair in zip(given, wanted, strict=True) if pair[0] != pair[1]]
    return len(pairs) == 1 and pairs[0] in ((1, 3), (1, 4))


def _fits(value: Array, wanted: np.dtype[Any]) -> bool:
    """Whether ``wanted`` can hold these very values without a change of meaning."""
    if wanted.kind == "f":
        return value.dtype.kind in "fiub"
    if wanted.kind in "iu" and value.dtype.kind in "iu":
        info = np.iinfo(wanted)
        return bool(value.size == 0 or (value.min() >= info.min and value.max() <= info.max))
    return wanted.kind == "b" and value.dtype.kind == "b"
