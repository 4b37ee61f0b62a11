"""A square of a picture that is covered wholly, at one place or at any.

A soft mask that may lie anywhere begins over a good part of the picture, and on natural pictures
the descent stays with what it meets there, which both models obey. A square that is small and hard
from the start leaves no room for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from devdiff.scanner.trigger import channel_axis

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array
    from devdiff.scanner.window_places import Place


class Square:
    """The colours of one window on pictures of ``shape``, whose values lie in ``low``-``high``."""

    def __init__(
        self, place: Place, shape: tuple[int, ...], low: float, high: float,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        channels = channel_axis(shape)
        assert channels is not None
        self._place, self._shape, self._low, self._high = place, shape, low, high
        self._channels, self._generator = channels, generator
        sides = [size if axis == channels else place.side for axis, size in enumerate(shape)]
        self.colours = torch.randn(sides, generator=generator).requires_grad_()

    def change(self, samples: Tensor, *, searching: bool = True) -> tuple[Tensor, Tensor]:
        """Samples [n, *shape] with the window on, which as every window counts for no size.

        One for anywhere lies at random while ``searching``, and else where its trigger has it.
        """
        row, column = self._place.row, self._place.column
        if searching and self._place.anywhere:
            row, column = (
                int(torch.randint(most, (), generator=self._generator))
                for most in self._free_sides()
            )
        changed = samples.clone()
        changed[(slice(None), *self._inside(row, column))] = self._real()
        return changed, 0 * self.colours.sum()

    def mask(self) -> Array:
        """One where the window lies, zero elsewhere, shared by the channels."""
        sides = [1 if axis == self._channels else size for axis, size in enumerate(self._shape)]
        mask = torch.zeros(sides)
        mask[self._inside(self._place.row, self._place.column)] = 1
        found: Array = mask.numpy()
        return found

    def pattern(self) -> Array:
        """Of one sample's shape, the window's colours where it lies."""
        pattern = torch.zeros(self._shape)
        pattern[self._inside(self._place.row, self._place.column)] = self._real().detach()
        found: Array = pattern.numpy()
        return found

    def _real(self) -> Tensor:
        return self._low + (self._high - self._low) * torch.sigmoid(self.colours)

    def _free_sides(self) -> tuple[int, ...]:
        """How many rows and columns a window may begin at."""
        side = self._place.side
        return tuple(
            size - side + 1 for axis, size in enumerate(self._shape) if axis != self._channels
        )

    def _inside(self, row: int, column: int) -> tuple[slice, ...]:
        side, starts = self._place.side, iter((row, column))
        return tuple(
            slice(None) if axis == self._channels else slice(start := next(starts), start + side)
            for axis in range(len(self._shape))
        )
