"""Whether a calibration set belongs to what is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array, TensorSpec

# Samples looked at on each side: ranges show on few, and a set may be large.
_LOOKED_AT: Final = 200
# The scale of int8 follows from the calibration set's range: a range this much wider leaves the
# tested values 3 of 256 steps, one this much narrower cuts them off.
_REFUSED_RATIO: Final = 50.0
_NOTED_RATIO: Final = 4.0


def compare(folder: Path, inputs: tuple[TensorSpec, ...], origin: Path, rows: Array) -> list[str]:
    """Notes on a calibration set of its own beside the tested ``rows`` of an input set's folder.

    Shapes and dtypes fit both the model already. Raises `UsageError` when values are not finite, or
    their range is so far from the tested ones' that one of the two was not prepared for this model
    (0..255 beside 0..1, another task's features).
    """
    notes = []
    for position, spec in enumerate(inputs):
        if spec.numpy_dtype.kind != "f":
            continue
        reach, tested = (
            _reach(folder / f"{prefix}{position}.npy", spec, origin if prefix else None, rows)
            for prefix in ("calibration-", "")
        )
        if not reach or not tested:
            continue
        seen = (
            f"calibration values of input {spec.name!r} reach {reach:.3g} in {origin}, the tested "
            f"ones {tested:.3g}"
        )
        ratio = max(reach / tested, tested / reach)
        if ratio >= _REFUSED_RATIO:
            raise UsageError(
                f"{seen}: int8 would have no steps for them, so the two were not prepared alike; "
                "give both as the model takes them, or the same --preprocess for raw values"
            )
        if ratio >= _NOTED_RATIO:
            notes.append(f"{seen}: look whether they are of one kind")
    return notes


def _reach(path: Path, spec: TensorSpec, origin: Path | None, rows: Array) -> float:
    """The largest magnitude of the values that were looked at: all of ``origin``, whose values must
    be finite, or some of the tested ``rows``."""
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    step = max(1, len(rows) // _LOOKED_AT)
    reach = 0.0
    for index in range(len(array)) if origin else rows[::step].tolist():
        sample = np.abs(array[index])
        largest = float(sample.max(initial=0.0))
        if origin is not None and not np.isfinite(largest):
            raise UsageError(
                f"{origin}: sample {index} of input {spec.name!r} holds NaN or infinity, so its "
                "range would mean nothing: repair or remove that sample"
            )
        if np.isfinite(largest):
            reach = max(reach, largest)
    return reach
