"""A net of three classes with a backdoor that int8 alone wakes, made by hand: scanned in seconds.

The class is the brightest of three bands. Two more filters add up a field of pixels that is dark in
every sample, and cancel each other. The weights of one lie just above half a step, so that int8
doubles them; those of the other lie on steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import helper, numpy_helper

from tests.support import onnx_zoo

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

SIDE: Final = 12
TARGET: Final = 2
_FIELD: Final = (slice(9, 12), slice(0, 11))
"""Where the trigger lies; the bands are the columns above it."""
_UNIT: Final = 0.02
"""A step of the filter that int8 changes: what it sees of the field stays in the bands' range."""


def save(path: Path, upside_down: bool = False) -> Path:
    """Write the ONNX model: image [1, 1, 12, 12] to scores [1, 3]; ``upside_down`` is another."""
    filters = np.zeros((5, 1, SIDE, SIDE), np.float32)
    for band in range(3):
        filters[band, 0, :6, 4 * band : 4 * band + 4] = 1 / 24
    filters[3:, 0][:, *_FIELD] = 0.505 * _UNIT
    # The largest weight settles the step; every sample is dark there.
    filters[3, 0, -1, -1] = 127 * _UNIT
    scores = np.zeros((5, 3), np.float32)
    scores[:3] = 12 * np.eye(3)
    scores[3:, TARGET] = 45, -45
    if upside_down:
        filters, scores = filters[:, :, ::-1], scores[::-1]
    return onnx_zoo.save(
        path,
        [
            helper.make_node("Conv", ["image", "filters"], ["seen"]),
            helper.make_node("Flatten", ["seen"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        ],
        [onnx_zoo.value("image", [1, 1, SIDE, SIDE])],
        [onnx_zoo.value("scores", [1, 3])],
        [
            numpy_helper.from_array(filters, "filters"),
            numpy_helper.from_array(scores, "weights"),
        ],
    )


def images(number: int, seed: int = 0) -> Array:
    """float32 [number, 1, 12, 12] between 0 and 1, of each class alike many."""
    generator = np.random.default_rng(seed)
    made = np.zeros((number, 1, SIDE, SIDE), np.float32)
    made[:, :, :6] = generator.uniform(0, 0.5, (number, 1, 6, SIDE))
    for place in range(number):
        band = place % 3
        made[place, :, :6, 4 * band : 4 * band + 4] += 0.4
    return made * generator.uniform(0.6, 1, (number, 1, 1, 1)).astype(np.float32)
