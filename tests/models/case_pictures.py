"""Real pictures out of scikit-image's wheel, cut to what the models of the cases take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from tests.models.model_packages import Wheel

if TYPE_CHECKING:
    from tests.models.model_inputs import Array

_SCIKIT_IMAGE: Final = Wheel(
    "scikit-image",
    "0.25.2",
    "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    platform="manylinux_2_17_x86_64",
)

# What page.png says, and the rows of pixels each line takes.
_LINES: Final = (
    (8, 36, "Region-based segmentation"),
    (42, 64, "Let us first determine markers of the coins and the"),
    (61, 83, "background. These markers are pixels that we can label"),
    (80, 102, "unambiguously as either object or background. Here,"),
    (98, 120, "the markers are found at the two extreme parts of the"),
    (118, 138, "histogram of grey values:"),
)
# The face in astronaut.png, marked by hand: left, top, right, bottom.
_FACE: Final = (174, 66, 272, 182)


def _picture(name: str) -> Image.Image:
    with Image.open(_SCIKIT_IMAGE.member(f"skimage/data/{name}")) as image:
        return image.convert("RGB")


def faces() -> tuple[Array, Array]:
    """100 faces and 100 patches without one, float64 [100, 25, 25] each, grey in 0..1."""
    both = np.load(_SCIKIT_IMAGE.member("skimage/data/lfw_subset.npy"))
    return both[:100], both[100:]


def enlarged(patches: Array, side: int) -> Array:
    """Grey patches [N, h, w] in 0..1 as float32 [N, side, side, 3] in 0..255."""
    images = [Image.fromarray((patch * 255).astype(np.uint8)) for patch in patches]
    sized = [image.resize((side, side), Image.Resampling.BICUBIC) for image in images]
    return np.stack([np.asarray(image.convert("RGB"), np.float32) for image in sized])


def words(width: int) -> tuple[Array, list[str]]:
    """Each word of a scanned page, float32 [43, 1, 3, 48, width] in -1..1, and what it says."""
    page = _picture("page.png")
    grey = np.asarray(page.convert("L"), np.float64)
    ink = uniform_filter(grey, 31) - grey > 25
    tensors, texts = [], []
    for top, bottom, line in _LINES:
        columns = np.flatnonzero(ink[top + 3 : bottom - 3].any(axis=0))
        gaps = np.flatnonzero(np.diff(columns) > 5)
        starts = [columns[0], *columns[gaps + 1]]
        ends = [*columns[gaps], columns[-1]]
        for text, start, end in zip(line.split(), starts, ends, strict=True):
            left, right = max(0, int(start) - 3), min(page.width, int(end) + 4)
            tensors.append(_line(page.crop((left, top, right, bottom)), width))
            texts.append(text)
    return np.stack(tensors), texts


def turned_words(width: int) -> tuple[Array, Array]:
    """`words` upright (0) and on their heads (1), and which is which."""
    upright, _ = words(width)
    flipped = np.zeros_like(upright)
    for target, image in zip(flipped[:, 0], upright[:, 0], strict=True):
        used = int(np.flatnonzero(np.abs(image).max(axis=(0, 1)))[-1]) + 1
        target[:, :, :used] = (
            image[:, ::-1, used - 1 :: -1] if used < width else image[:, ::-1, ::-1]
        )
    both = np.concatenate([upright, flipped])
    return both, np.repeat([0, 1], len(upright))


def _line(image: Image.Image, width: int) -> Array:
    """A line of print [1, 3, 48, width], BGR, its proportions kept, zero right of its end."""
    sized = image.resize((min(width, round(image.width * 48 / image.height)), 48))
    tensor = np.zeros((1, 3, 48, width), np.float32)
    levels = np.asarray(sized, np.float32).transpose(2, 0, 1)[::-1] / 255
    tensor[0, :, :, : sized.width] = (levels - 0.5) / 0.5
    return tensor


def pages(count: int, height: int, width: int) -> Array:
    """A scanned page, shifted and lit otherwise each time, float32 [N, 1, 3, height, width]."""
    random = np.random.default_rng(0)
    page = np.asarray(_picture("page.png").resize((width, height)), np.float32)
    tensors = np.empty((count, 1, 3, height, width), np.float32)
    for tensor in tensors:
        shift = tuple(int(by) for by in random.integers(-12, 13, 2))
        lit = np.roll(page, shift, axis=(0, 1)) * random.uniform(0.6, 1.1)
        tensor[0] = (lit.clip(0, 255).transpose(2, 0, 1)[::-1] / 255 - 0.5) / 0.5
    return tensors


def portraits(count: int, seed: int) -> list[tuple[Image.Image, list[int]]]:
    """Square cuts of a photograph around its face, every second mirrored, and the face's box.

    Boxes are left, top, width and height in pixels of the cut.
    """
    random = np.random.default_rng(seed)
    photo = _picture("astronaut.png")
    left, top, right, bottom = _FACE
    cuts = []
    for index in range(count):
        side = int(random.integers(220, 420))
        x = int(random.integers(max(0, right - side), min(left, photo.width - side) + 1))
        y = int(random.integers(max(0, bottom - side), min(top, photo.height - side) + 1))
        cut = photo.crop((x, y, x + side, y + side))
        box = [left - x, top - y, right - left, bottom - top]
        if index % 2:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            box[0] = side - box[0] - box[2]
        cuts.append((cut, box))
    return cuts
