"""What the values of an input set themselves say of a mistake in their preprocessing.

Only what can be known without labels and without the model: that a step does not suit the values
it was applied to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.comparison.wording import number
from devdiff.inputs.variants import Arithmetic, bytes_like, channel_axis

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, TensorSpec
    from devdiff.inputs.preprocess import Preprocess

# Pixels are a byte, and networks take them as such or smaller.
_BYTE: Final = 255.0
_FLAT: Final = 0.02
_UNIT: Final = 1.5
# What centred values do not reach: those of ImageNet's pictures end below 3.
_CENTRED: Final = 20.0
_SHORT: Final = 32768.0
_WAVEFORM: Final = 1000
_FEWEST_PIXELS: Final = 64


def another_scale(seen: Array, spec: TensorSpec, pipeline: Preprocess) -> list[str]:
    """What shows that pictures or sound lie on another scale than networks are usually trained
    with, where no step says that this is meant; ``seen`` are some samples [n, *shape].

    There are models that take such values: only answers tell.
    """
    if (
        spec.numpy_dtype.kind != "f"
        or Arithmetic.of(pipeline) != Arithmetic()
        or not seen.size
        or not np.isfinite(seen).all()
    ):
        return []
    low, high = float(seen.min()), float(seen.max())
    reach = max(abs(low), abs(high))
    held = f"values are {number(low)} to {number(high)}"
    if channel_axis(spec) is None:
        long = max(spec.shape, default=0) >= _WAVEFORM and spec.elements == max(spec.shape)
        if long and _BYTE < reach <= _SHORT and bool((seen == np.rint(seen)).all()):
            return [
                f"{held}, as 16-bit sound has them: networks are usually trained with -1 to 1 "
                "(--preprocess scale=1/32768)"
            ]
        return []
    if spec.elements < _FEWEST_PIXELS:
        return []
    usual = "networks are usually trained with 0 to 1 or -1 to 1"
    if bytes_like(seen) and high > _CENTRED:
        return [
            f"{held}, as pictures have them in files: {usual} (--preprocess scale=1/255); if this "
            "model takes bytes, nothing is wrong"
        ]
    if reach > _BYTE * (1 + _FLAT):
        deep = " (16-bit pictures: --preprocess scale=1/65535)" if low >= 0 else ""
        return [f"{held}: {usual}{deep}"]
    if 0 < reach <= _FLAT:
        return [f"{held}: {usual}; they may have been scaled twice"]
    return []


def unsuited(seen: Array, spec: TensorSpec, pipeline: Preprocess) -> list[str]:
    """What shows that ``pipeline`` does not suit the values of an input; ``seen`` are some samples
    [n, *shape] as the model gets them."""
    arithmetic = Arithmetic.of(pipeline)
    seen = np.asarray(seen, np.float64)
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
