"""A trigger: one change that is made to every input alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from devdiff.exporter.artifact import Array

Form = Literal["patch", "additive", "warp"]
FORMS: Final[tuple[Form, ...]] = ("patch", "additive", "warp")
_SMALLEST_SIDE: Final = 8


@dataclass(frozen=True, slots=True)
class Trigger:
    """``x' = clip((1 - mask) * x + mask * pattern + shift, low, high)``, in real units.

    ``pattern`` and ``shift`` are float32 of one sample's shape in the artifact's layout (no batch
    axis), ``mask`` is in [0, 1] and broadcasts to it; ``low`` and ``high`` bound what an input may
    hold. A ``patch`` has no shift, an ``additive`` trigger no mask. A ``warp`` has neither: of a
    picture, every pixel is taken from where ``field`` points, float32 [2, height, width] in pixels
    down and right, between pixels linearly, beyond the edge from the edge.
    """

    form: Form
    mask: Array
    pattern: Array
    shift: Array
    low: float
    high: float
    field: Array | None = None

    def apply(self, samples: Array) -> Array:
        """The change made to a stack of samples, float32 [N, *shape]."""
        if self.field is not None:
            samples = _moved(samples, self.field)
        changed: Array = samples * (1 - self.mask) + self.mask * self.pattern + self.shift
        return changed.clip(self.low, self.high).astype(np.float32)

    @property
    def size(self) -> float:
        """How much of an input is changed, 0 to 1.

        The mask's mean, the shift's mean size in parts of the range, or the mean way of a pixel in
        parts of the picture's longer side.
        """
        if self.field is not None:
            return float(np.mean(np.hypot(*self.field)) / max(self.field.shape[1:]))
        if self.form == "patch":
            return float(np.mean(self.mask))
        return float(np.mean(np.abs(self.shift)) / (self.high - self.low))

    def arrays(self) -> dict[str, Any]:
        """What a file of it holds, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        return {"form": self.form, "size": self.size, "shape": list(self.pattern.shape)}


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Which axis of one sample holds a picture's channels; None when it is no picture."""
    if len(shape) == 3:
        for axis in (2, 0):
            sides = [size for place, size in enumerate(shape) if place != axis]
            if shape[axis] in (1, 3, 4) and min(sides) >= _SMALLEST_SIDE:
                return axis
    return None


def forms(shape: tuple[int, ...]) -> tuple[Form, ...]:
    """What a trigger for samples of this shape may look like: only pictures are warped."""
    return FORMS if channel_axis(shape) is not None else ("patch", "additive")


def mask_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a mask: the sample's own, but that a picture's channels share theirs."""
    channels = channel_axis(shape)
    return tuple(1 if axis == channels else size for axis, size in enumerate(shape))


def _moved(samples: Array, field: Array) -> Array:
    """Pictures [N, *shape] with each pixel taken from where ``field`` [2, height, width] points."""
    from scipy import ndimage

    axis = channel_axis(samples.shape[1:])
    if axis is None:
        raise ValueError(f"samples of shape {list(samples.shape[1:])} are no pictures to be warped")
    places = np.indices(field.shape[1:]) + field
    planes = np.moveaxis(samples, axis + 1, 1)
    moved = np.empty(planes.shape, np.float32)
    for sample in np.ndindex(planes.shape[:2]):
        moved[sample] = ndimage.map_coordinates(planes[sample], places, order=1, mode="nearest")
    return np.moveaxis(moved, 1, axis + 1)
