"""Images as files hold them, decoded and prepared on several threads, a few at a time."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.parallel import in_order
from devdiff.inputs.placement import Placement, place
from devdiff.inputs.preprocess import Channels, Layout, Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image as Images

IMAGE_SUFFIXES: Final = frozenset(
    {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp", ".tif", ".tiff"}
)
# What the prepared images in memory may take together.
_WINDOW_BYTES: Final = 16 << 20
_LETTERBOX_FILL: Final = 114.0
# Entering and leaving `warnings.catch_warnings` is not safe between threads; opening takes no time.
_OPENING: Final = threading.Lock()


@dataclass(frozen=True)
class Fit:
    """How an image becomes the pixels of one input, by a pipeline whose defaults are filled in."""

    size: tuple[int, int]
    channels: Channels
    pipeline: Preprocess

    @cached_property
    def fill(self) -> float | None:
        """What stands where there is no image; None where that must not happen."""
        if self.pipeline.pad is None and self.pipeline.resize_mode == "letterbox":
            return _LETTERBOX_FILL
        return self.pipeline.pad

    def placement(self, width: int, height: int) -> Placement:
        """Where an image of this size lies on the input. Raises `ValueError` if it is too small."""
        return place((width, height), self.size, self.pipeline, self.fill is not None)

    def pixels(self, image: Images.Image) -> Array:
        """uint8 [H, W, C] of an open image, upright. Raises what Pillow raises."""
        from PIL import Image, ImageOps

        mode = "L" if self.channels == "L" else "RGB"
        # In place, and only where it changes something: each would copy the whole image.
        ImageOps.exif_transpose(image, in_place=True)
        upright = image if image.mode == mode else image.convert(mode)
        placed = self.placement(*upright.size)
        if placed.size != upright.size:
            nearest = self.pipeline.resize_mode == "nearest"
            kind = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
            upright = upright.resize(placed.size, kind)
        height, width = self.size
        if placed.offset != (0, 0) or upright.size != (width, height):
            upright = self._framed(upright, placed)
        pixels: Array = np.asarray(upright)
        if mode == "L":
            return pixels[..., np.newaxis]
        return pixels[..., ::-1] if self.channels == "BGR" else pixels

    def _framed(self, image: Images.Image, placed: Placement) -> Images.Image:
        from PIL import Image

        height, width = self.size
        fill = int(min(255.0, max(0.0, self.fill or 0.0)))
        colour = fill if image.mode == "L" else (fill, fill, fill)
        frame = Image.new(image.mode, (width, height), colour)
        frame.paste(image, placed.offset)
        return frame


def decode(source: Path | bytes, name: str, fit: Fit) -> Array:
    """The pixels of one image file, uint8 [H, W, C].

    Raises `UsageError` naming it when it is damaged, too large to be honest (Pillow's
    ``MAX_IMAGE_PIXELS``), or smaller than a crop.
    """
    with opened(source, name) as image:
        return fit.pixels(image)


@contextlib.contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[Images.Image]:
    """An image file, opened. What goes wrong with it, in the block too, is a `UsageError`."""
    from PIL import Image

    try:
        # A picture that unpacks to more than Pillow's limit is refused before it is unpacked.
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        with image:
            yield image
    except UsageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"{name} is too large an image to be unpacked: {error}") from error
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        raise UsageError(f"{name} cannot be read as an image: {error}") from error


@dataclass(frozen=True)
class ImageRows:
    """Images, decoded and prepared into the very tensors of one input."""

    paths: tuple[Path, ...]
    fit: Fit
    spec: TensorSpec

    @property
    def count(self) -> int:
        return len(self.paths)

    @property
    def ready(self) -> bool:
        return True

    def row(self, number: int) -> Array:
        """The tensor of one image, in the input's shape and dtype."""
        path = self.paths[number]
        return self._prepare(decode(path, str(path), self.fit))

    @cached_property
    def _prepare(self) -> Callable[[Array], Array]:
        return image_preparer(self.fit, self.spec)

    def chunks(self) -> Iterator[Array]:
        jobs = (partial(self.row, number) for number in range(self.count))
        size = self.spec.elements * self.spec.numpy_dtype.itemsize
        for tensor in in_order(jobs, max(2, _WINDOW_BYTES // size)):
            yield tensor[np.newaxis]


def image_preparer(fit: Fit, spec: TensorSpec) -> Callable[[Array], Array]:
    """From pixels [H, W, C] to the input's tensor, in its shape and dtype."""

    def prepare(pixels: Array) -> Array:
        value = fit.pipeline.apply(pixels[np.newaxis], spec)
        return np.ascontiguousarray(value, spec.numpy_dtype)

    return prepare


def image_fit(spec: TensorSpec, pipeline: Preprocess) -> Fit:
    """How images become the tensors of an input, with what the pipeline leaves open filled in.

    Size, channels and layout come from the input's shape; values are scaled to 0..1 for float
    inputs unless the pipeline says otherwise. Raises `UsageError` when the input is no image.
    """
    dims = spec.shape
    if len(dims) != 4 or dims[0] != 1:
        raise UsageError(f"images do not fit input {spec.describe()}: give .npz")
    if pipeline.of_sound:
        raise UsageError("--preprocess: rate, length, mono and normalize are for sound, not images")
    channels = {layout: dims[axis] for layout, axis in (("NCHW", 1), ("NHWC", 3))}
    layouts: tuple[Layout, ...] = ("NCHW", "NHWC")
    fitting = [layout for layout in layouts if channels[layout] in (1, 3)]
    layout = pipeline.layout or (fitting[0] if fitting else None)
    if layout is None or channels[layout] not in (1, 3):
        raise UsageError(
            f"input {spec.describe()} has no axis of 1 or 3 channels where the layout puts it: "
            "give --preprocess layout=NCHW or layout=NHWC, or arrays in .npz"
        )
    size = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    last = "crop" if pipeline.crop else "resize"
    given = pipeline.crop or (pipeline.resize if pipeline.resize_mode != "cover" else None)
    if given not in (None, size):
        raise UsageError(
            f"--preprocess {last}={given[0]}x{given[1]} does not fit {spec.describe()}"
        )
    mode: Channels = pipeline.channels or ("L" if channels[layout] == 1 else "RGB")
    if (mode == "L") != (channels[layout] == 1):
        raise UsageError(f"--preprocess channels={mode} does not fit {spec.describe()}")
    untouched = pipeline.scale is None and not pipeline.mean and not pipeline.std
    if spec.numpy_dtype.kind != "f" and (spec.dtype != "uint8" or not untouched):
        raise UsageError(
            f"images do not become {spec.describe()} without a change of meaning: give the model's "
            "own values in .npz"
        )
    filled = replace(
        pipeline,
        resize=pipeline.resize or (None if pipeline.crop else size),
        scale=1 / 255 if untouched and spec.dtype == "float32" else pipeline.scale,
        layout=layout,
        channels=mode,
    )
    if filled.resize_mode == "cover" and filled.crop is None:
        filled = replace(filled, crop=size)
    return Fit(size, mode, filled)
