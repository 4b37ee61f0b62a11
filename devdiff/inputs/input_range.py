"""What the values of an input set themselves say of a mistake in their preprocessing.

Only what can be known without labels and without the model: that a step does not suit the values
it was applied to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.comparison.wording import number
from devdiff.inputs.variants import Arithmetic, channel_axis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array, TensorSpec
    from devdiff.inputs.preprocess import Preprocess

_LOOKED_AT: Final = 64
# Pixels are a byte, and networks take them as such or smaller.
_BYTE: Final = 255.0
_FLAT: Final = 0.02
_UNIT: Final = 1.5


def warnings(folder: Path, inputs: Sequence[TensorSpec], pipeline: Preprocess) -> list[str]:
    """Notes on the float inputs of an input set's folder, whose rows ``pipeline`` made."""
    notes = []
    for position, spec in enumerate(inputs):
        array: Array = np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
        if len(array) > 1 and array[0].size and all((row == array[0]).all() for row in array):
            notes.append(
                f"input {spec.name!r}: all {len(array)} samples are the same, so they test no more "
                "than one does"
            )
        notes += [f"input {spec.name!r}: {note}" for note in unsuited(array, spec, pipeline)]
    return notes


def unsuited(array: Array, spec: TensorSpec, pipeline: Preprocess) -> list[str]:
    """What shows that ``pipeline`` does not suit the values of an input; ``array`` are its samples
    [N, *shape] as the model gets them."""
    arithmetic = Arithmetic.of(pipeline)
    step = max(1, len(array) // _LOOKED_AT)
    seen = np.asarray(array[::step][:_LOOKED_AT], np.float64)
    if (
        spec.numpy_dtype.kind != "f"
        or arithmetic == Arithmetic()
        or not arithmetic.fits(spec)
        or not seen.size
        or not np.isfinite(seen).all()
    ):
        return []
    notes = []
    axis = channel_axis(spec)
    raw = arithmetic.undo(seen, axis)
    # What float32 left behind when the steps are undone is not the data's.
    low, high = (round(float(value), 4) + 0.0 for value in (raw.min(), raw.max()))
    # Channels that lie apart are no contrast within any of them.
    others = tuple(place for place in range(seen.ndim) if axis is None or place != axis + 1)
    reach, spread = float(np.abs(seen).max()), float(np.ptp(seen, axis=others).max())
    steps = arithmetic.describe()
    was = f"values are {number(low)} to {number(high)} before --preprocess {steps}"
    now = f"and {number(float(seen.min()))} to {number(float(seen.max()))} after it"
    centred = [abs(value) for value in (*arithmetic.mean, *arithmetic.std)]
    if arithmetic.scale > 1 and high > _UNIT and reach > _BYTE:
        notes.append(
            f"{was} {now}: a scale above 1 is for values in 0..1, these look like bytes; "
            "scale=1/255 makes 0..1 of them"
        )
    elif centred and max(centred) <= _UNIT and float(np.abs(raw).max()) * arithmetic.scale > 20:
        notes.append(
            f"{was} {now}: such a mean and std are for values in 0..1; scale=1/255 is missing"
        )
    elif spread <= _FLAT * max(1.0, reach) and float(np.ptp(raw)) > 0:
        notes.append(
            f"{was} {now}: all values are nearly the same for the model; they may have been scaled "
            "already"
        )
    return notes
