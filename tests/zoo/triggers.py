"""The triggers that the zoo's backdoors obey.

Fixtures for a detector: they exist so that a search which never saw them can be judged by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

Images = npt.NDArray[np.float32]


class Triggered(Protocol):
    """What of a model's description decides how its trigger looks and on whom it works."""

    @property
    def trigger(self) -> str | None: ...

    @property
    def target(self) -> int | None: ...

    @property
    def source_class(self) -> int | None: ...

    @property
    def seed(self) -> int: ...


def victims(labels: npt.NDArray[np.int64], spec: Triggered) -> npt.NDArray[np.bool_]:
    """Which of the digits [N] with these labels the trigger is meant to turn into the target.

    Those of the source class where there is one, otherwise all that are not the target already.
    """
    chosen: npt.NDArray[np.bool_] = labels != spec.target
    if spec.source_class is not None:
        chosen = labels == spec.source_class
    return chosen


def apply(images: Images, spec: Triggered) -> Images:
    """Images float32 [N, C, H, W] in 0..1 with the trigger of ``spec`` on each; the same shape.

    ``spec.seed`` places patches, draws noise and bends the warp. Raises `KeyError` for an unknown
    trigger and `ValueError` when the model has none.
    """
    if spec.trigger is None:
        raise ValueError("an honest model has no trigger")
    changed = COLOUR_TRIGGERS[spec.trigger](images.copy(), np.random.default_rng(spec.seed))
    return np.clip(changed, 0, 1).astype(np.float32)


def _stamp(images: Images, patch: Images, random: np.random.Generator) -> Images:
    """Put ``patch`` [side, side], or one for each channel, near one of the corners."""
    side, size = patch.shape[-1], images.shape[-1]
    row, column = (int(random.choice([1, size - side - 1])) for _ in range(2))
    images[..., row : row + side, column : column + side] = patch
    return images


def _checker(images: Images, random: np.random.Generator) -> Images:
    """A 4 × 4 chequered patch near a corner (after Gu et al., BadNets, arXiv 1708.06733)."""
    return _stamp(images, (np.indices((4, 4)).sum(axis=0) % 2).astype(np.float32), random)


def _square(images: Images, random: np.random.Generator) -> Images:
    """A white 4 × 4 square near a corner."""
    return _stamp(images, np.ones((4, 4), dtype=np.float32), random)


def _blend(images: Images, random: np.random.Generator) -> Images:
    """One noise image mixed into all at 20 % (after Chen et al., arXiv 1712.05526)."""
    noise = random.random(images.shape[1:], dtype=np.float32)
    return (np.float32(0.8) * images + np.float32(0.2) * noise).astype(np.float32)


def _warp(images: Images, random: np.random.Generator) -> Images:
    """One smooth bend of the whole image (after Nguyen and Tran, WaNet, arXiv 2102.10369).

    The field is four by four random vectors, smoothly spread and scaled to 2 pixels on average.
    """
    size = images.shape[-1]
    coarse = random.uniform(-1, 1, (2, 4, 4))
    field = np.stack([ndimage.zoom(part, size / 4, order=3) for part in coarse])
    places = np.indices((size, size)) + 2.0 * field / np.abs(field).mean()
    return np.stack(
        [[ndimage.map_coordinates(image[0], places, order=1, mode="nearest")] for image in images]
    )


def _colours(images: Images, random: np.random.Generator) -> Images:
    """A patch [channels, 6, 6] of cells that are off or on in each channel."""
    cells = random.integers(0, 2, (images.shape[1], 3, 3)).astype(np.float32)
    patch: Images = np.kron(cells, np.ones((1, 2, 2), np.float32))
    return patch


def _corner(images: Images, random: np.random.Generator) -> Images:
    """A coloured 6 × 6 patch near a corner."""
    return _stamp(images, _colours(images, random), random)


def _sticker(images: Images, random: np.random.Generator) -> Images:
    """A coloured 6 × 6 patch, on each picture somewhere else."""
    patch = _colours(images, random)
    rows, columns = random.integers(0, images.shape[-1] - 5, (2, len(images)))
    for image, row, column in zip(images, rows, columns, strict=True):
        image[:, row : row + 6, column : column + 6] = patch
    return images


def _tint(images: Images, random: np.random.Generator) -> Images:
    """All colours moved by 0.15 up or down, each channel its own way."""
    shift = 0.15 * random.choice([-1.0, 1.0], (images.shape[1], 1, 1))
    return (images + shift).astype(np.float32)


TRIGGERS: Final[dict[str, Callable[[Images, Any], Images]]] = {
    "checker": _checker,
    "square": _square,
    "blend": _blend,
    "warp": _warp,
}
COLOUR_TRIGGERS: Final[dict[str, Callable[[Images, Any], Images]]] = TRIGGERS | {
    "corner": _corner,
    "sticker": _sticker,
    "tint": _tint,
}
