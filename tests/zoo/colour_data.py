"""The pictures that the colour models are trained on and measured with; never part of this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.zoo_digits import Digits

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> tuple[Digits, Digits]:
    """Pictures float32 [N, 3, H, W] in 0..1 to train on, and those held out, with their labels.

    ``path`` is an .npz with ``x_train``, ``y_train``, ``x_test`` and ``y_test``, the pictures uint8
    [N, H, W, 3], as CIFAR-10's (Krizhevsky, 2009).
    """
    with np.load(path) as file:
        parts = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}

    def some(which: str) -> Digits:
        pictures = parts[f"x_{which}"].transpose(0, 3, 1, 2).astype(np.float32) / 255
        return Digits(np.ascontiguousarray(pictures), parts[f"y_{which}"].astype(np.int64))

    return some("train"), some("test")
