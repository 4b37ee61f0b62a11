"""Arrays as pictures: what counts as an image, and its PNG inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.exporter.artifact import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

# Larger pictures are made smaller: a page of samples must stay light.
LONGEST_SIDE: Final = 160
LONGEST_PHOTO: Final = 240
# Enough to say what a sample shows; what is beyond is said to be left out.
BUDGET_BYTES: Final = 2_500_000
_SMALLEST_SIDE: Final = 8
_PHOTO_SIDE: Final = 64
# Colours that differ to most eyes, and on photographs; the first class is left as it is.
_CLASS_COLOURS: Final = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
CLASS_COLOURS: Final = len(_CLASS_COLOURS)
_MASK_ALPHA: Final = 150
_CHANNELS: Final = (1, 3)
_WIDEST: Final = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG as a data URI, with the size of the image it was made of."""

    uri: str
    width: int
    height: int

    @property
    def coarse(self) -> bool:
        """Whether its pixels are worth seeing when it is shown larger than it is."""
        return max(self.width, self.height) < LONGEST_SIDE // 2


def as_image(array: Array) -> Array | None:
    """One sample as [H, W] or [H, W, 3]; None when it does not look like an image.

    A leading axis of one is the batch. One or three channels stand last or first (a picture is too
    large for both to be possible); both sides must be alike enough for a picture.
    """
    value = array
    while value.ndim > 2 and value.shape[0] == 1:
        value = value[0]
    if value.ndim == 2:
        return value if _is_plane(value.shape) else None
    if value.ndim != 3:
        return None
    if value.shape[2] not in _CHANNELS:
        value = np.moveaxis(value, 0, 2)
    if value.shape[2] not in _CHANNELS or not _is_plane(value.shape[:2]):
        return None
    return value[:, :, 0] if value.shape[2] == 1 else value


def _is_plane(shape: tuple[int, ...]) -> bool:
    return min(shape) >= _SMALLEST_SIDE and max(shape) <= _WIDEST * min(shape)


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a set of values becomes pixels: ``(value * factor + offset)`` on a scale of 0 to 255.

    ``stretched`` says that the true scale is unknown, and the set's lowest value is black and its
    highest white. ``factor`` and ``offset`` are float32 [1] or [3], one a channel.
    """

    factor: Array
    offset: Array
    stretched: bool
    reverse: bool = False

    def apply(self, image: Array) -> Array:
        """uint8 [H, W] or [H, W, 3] of an image of `as_image`; NaN becomes black."""
        value = image.astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            value = value * self.factor + self.offset
        shown = np.clip(np.nan_to_num(value, nan=0.0), 0, 255).round().astype(np.uint8)
        return shown[:, :, ::-1] if self.reverse and shown.ndim == 3 else shown


def pixels_between(low: float, high: float, stretched: bool = False) -> Pixels:
    """``low`` is black and ``high`` is white."""
    factor = 255.0 / (high - low) if high > low else 0.0
    return Pixels(np.array([factor], np.float32), np.array([-low * factor], np.float32), stretched)


def pixels_of(images: list[Array], preprocess: Mapping[str, Any]) -> Pixels:
    """What undoes the declared preprocessing of ``images`` (as `as_image` gives them)."""
    colours = bool(images) and images[0].ndim == 3
    mean, std = (
        np.asarray(preprocess.get(name) or [usual], np.float32)
        for name, usual in (("mean", 0.0), ("std", 1.0))
    )
    channels = 3 if colours else 1
    mean, std = (values if values.size == channels else values[:1] for values in (mean, std))
    scale = float(preprocess.get("scale") or 1.0)
    low, high = _range([image * std + mean for image in images])
    low, high = min(low / scale, high / scale), max(low / scale, high / scale)
    slack = 1e-3 * max(abs(low), abs(high))
    reverse = preprocess.get("channels") == "BGR"
    for top in (1.0, 255.0):
        if low >= -slack and high <= top + slack:
            unit = np.float32(255.0 / top / scale)
            return Pixels(std * unit, mean * unit, False, reverse)
    whole = pixels_between(low, high, stretched=True)
    unit = np.float32(whole.factor[0] / scale)
    return Pixels(std * unit, mean * unit + whole.offset, True, reverse)


def _range(values: list[Array]) -> tuple[float, float]:
    finite = [value[np.isfinite(value)] for value in values]
    filled = [value for value in finite if value.size]
    if not filled:
        return 0.0, 1.0
    return min(float(v.min()) for v in filled), max(float(v.max()) for v in filled)


def png(image: Array, longest: int = LONGEST_SIDE) -> Picture:
    """uint8 [H, W] or [H, W, 3] as a PNG, at most ``longest`` pixels long."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((longest, longest))
    return _picture(picture, "PNG", image.shape, optimize=True)


def photo(image: Array) -> Picture:
    """uint8 [H, W] or [H, W, 3]; a large one in colour as a JPEG of at most `LONGEST_PHOTO` pixels,
    which is a fifth of its PNG."""
    if image.ndim != 3 or max(image.shape[:2]) < _PHOTO_SIDE:
        return png(image)
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((LONGEST_PHOTO, LONGEST_PHOTO))
    return _picture(picture, "JPEG", image.shape, quality=85)


def small_mask(classes: Array) -> Array:
    """Class numbers [H, W] with as many pixels as a picture has, each that of the nearest one."""
    every = max(1, -(-max(classes.shape) // LONGEST_SIDE))
    return classes[every // 2 :: every, every // 2 :: every]


def mask_png(classes: Array) -> Picture:
    """Class numbers [H, W] as colours to lay over a picture; class 0 is transparent."""
    from PIL import Image

    numbers = np.where(classes > 0, (classes - 1) % CLASS_COLOURS + 1, 0).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(numbers), "P")
    picture.putpalette(bytes(value for colour in ((0, 0, 0), *_CLASS_COLOURS) for value in colour))
    alpha = bytes([0, *[_MASK_ALPHA] * CLASS_COLOURS])
    return _picture(picture, "PNG", classes.shape, optimize=True, transparency=alpha)


def _picture(picture: Any, form: str, shape: tuple[int, ...], **options: Any) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/{form.lower()};base64,{encoded}", shape[1], shape[0])
