"""A trigger: one change that is made to every input alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from exporter.artifact import Array

Form = Literal["patch", "additive"]
FORMS: Final[tuple[Form, ...]] = ("patch", "additive")
_SMALLEST_SIDE: Final = 8


@dataclass(frozen=True, slots=True)
class Trigger:
    """``x' = clip((1 - mask) * x + mask * pattern + shift, low, high)``, in real units.

    ``pattern`` and ``shift`` are float32 of one sample's shape in the artifact's layout (no batch
    axis), ``mask`` is in [0, 1] and broadcasts to it; ``low`` and ``high`` bound what an input may
    hold. A ``patch`` has no shift, an ``additive`` trigger no mask.
    """

    form: Form
    mask: Array
    pattern: Array
    shift: Array
    low: float
    high: float

    def apply(self, samples: Array) -> Array:
        """The change made to a stack of samples, float32 [N, *shape]."""
        changed: Array = samples * (1 - self.mask) + self.mask * self.pattern + self.shift
        return changed.clip(self.low, self.high).astype(np.float32)

    @property
    def size(self) -> float:
        """How much of an input is changed, 0 to 1: the mask's mean, or the shift's mean size."""
        if self.form == "patch":
            return float(np.mean(self.mask))
        return float(np.mean(np.abs(self.shift)) / (self.high - self.low))

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


def mask_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a mask: the sample's own, but that a picture's channels share theirs."""
    channels = channel_axis(shape)
    return tuple(1 if axis == channels else size for axis, size in enumerate(shape))
