"""A smooth bend of a picture, as few numbers that a search can descend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.trigger import channel_axis

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

_POINTS: Final = 5
"""Control points along each side; what lies between follows them smoothly."""
_REACH: Final = 0.2
"""How far a pixel may come from, down or right, in parts of the picture's longer side."""


class Warp:
    """One field of displacements for pictures of ``shape`` [channels and sides in any order].

    ``points`` [2, k, k] is descended on; the field between them is their bicubic interpolation, as
    in WaNet (Nguyen and Tran, arXiv 2102.10369), which plants such triggers.
    """

    def __init__(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        channels = channel_axis(shape)
        assert channels is not None
        self._channels = channels
        self._sides = tuple(size for axis, size in enumerate(shape) if axis != channels)
        noise = torch.randn((2, _POINTS, _POINTS), generator=generator)
        self.points = noise.mul(0.2).requires_grad_()

    def field(self) -> Tensor:
        """Displacements [2, height, width] in pixels, down and right."""
        reach = _REACH * max(self._sides) * torch.tanh(self.points)
        (field,) = functional.interpolate(
            reach[None], self._sides, mode="bicubic", align_corners=True
        )
        return field

    def change(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [n, *shape] warped, and the size of the change as `Trigger.size` counts it."""
        field = self.field()
        height, width = self._sides
        rows = torch.arange(height)[:, None] + field[0]
        columns = torch.arange(width) + field[1]
        # grid_sample counts from -1 to 1 and takes columns first.
        grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], -1)
        planes = samples.movedim(self._channels + 1, 1)
        moved = functional.grid_sample(
            planes,
            grid.expand(len(samples), -1, -1, -1),
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )
        size = (field.square().sum(0) + 1e-12).sqrt().mean() / max(self._sides)
        return moved.movedim(1, self._channels + 1), size

    def array(self) -> Array:
        """The field as a trigger keeps it."""
        found: Array = self.field().detach().numpy()
        return found
