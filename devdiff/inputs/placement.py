"""Where an image lies on a model's input, so that boxes and masks can follow it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array
    from devdiff.inputs.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Placement:
    """The image resized to ``size`` with its upper left corner at ``offset``, both (x, y) in
    pixels; ``scale`` is by how much it was resized in each direction."""

    size: tuple[int, int]
    offset: tuple[int, int]
    scale: tuple[float, float]

    def boxes(self, boxes: Array) -> Array:
        """``boxes`` [n, 4] as x0, y0, x1, y1 in pixels of the image, in pixels of the input."""
        moved: Array = boxes * np.array([*self.scale, *self.scale]) + np.array(
            [*self.offset, *self.offset]
        )
        return moved


def place(
    image: tuple[int, int], size: tuple[int, int], pipeline: Preprocess, may_pad: bool
) -> Placement:
    """``image`` is (width, height), ``size`` the input's (height, width).

    Raises `ValueError` when a crop is larger than the image and ``may_pad`` is false.
    """
    width, height = image
    resized = image
    if pipeline.resize is not None:
        target = (pipeline.resize[1], pipeline.resize[0])
        if pipeline.resize_mode in ("letterbox", "cover"):
            ratios = [wanted / own for wanted, own in zip(target, image, strict=True)]
            if pipeline.resize_mode == "letterbox":
                resized = (max(1, round(width * min(ratios))), max(1, round(height * min(ratios))))
            else:
                # Cut off, not rounded, as torchvision does; the shorter side is the target's.
                resized = (
                    max(target[0], int(width * max(ratios))),
                    max(target[1], int(height * max(ratios))),
                )
        else:
            resized = target
    frame = (size[1], size[0])
    if (resized[0] < frame[0] or resized[1] < frame[1]) and not may_pad:
        raise ValueError(
            f"it is {resized[1]}x{resized[0]}, smaller than the {size[0]}x{size[1]} that is "
            "cropped; add resize=, or pad=0 to fill the rest"
        )
    offset = (_centred(frame[0], resized[0]), _centred(frame[1], resized[1]))
    return Placement(resized, offset, (resized[0] / width, resized[1] / height))


def _centred(frame: int, image: int) -> int:
    """Where an image begins on a frame; half pixels fall as they do in torchvision's CenterCrop."""
    return (frame - image) // 2 if frame >= image else -round((image - frame) / 2)
