"""Where squares are searched for on a picture; without PyTorch, as plans are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devdiff.scanner.trigger import channel_axis

_SIDE: Final = 0.25
"""Of the picture's shorter side: planted patches of up to a twenty-fifth of a picture fit in."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window lies: its first row and column, or a new place in every step."""

    side: int
    row: int
    column: int
    anywhere: bool = False


def places(shape: tuple[int, ...]) -> tuple[Place, ...]:
    """The windows to try on pictures of ``shape``: the corners, the middle, and anywhere.

    None for what is no picture in colour: on grey digits the other searches meet what is
    planted, and on other grey pictures nothing was measured.
    """
    channels = channel_axis(shape)
    if channels is None or shape[channels] == 1:
        return ()
    height, width = (size for axis, size in enumerate(shape) if axis != channels)
    side = max(2, round(_SIDE * min(height, width)))
    down, right = height - side, width - side
    corners = [Place(side, row, column) for row in (0, down) for column in (0, right)]
    middle = Place(side, down // 2, right // 2)
    return (*corners, middle, Place(side, middle.row, middle.column, anywhere=True))
