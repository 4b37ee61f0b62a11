"""How the images behind the samples lie on the model's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.inputs.images import opened
from devdiff.inputs.input_set import InputSet
from devdiff.inputs.placement import Placement, place
from devdiff.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, TensorSpec

_ORIENTATION: Final = 0x0112
_TURNED: Final = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Frame:
    """``size`` is the input's (height, width); where samples come from files, each has its own
    placement, otherwise the samples are the input as it is."""

    size: tuple[int, int]
    samples: InputSet
    pipeline: Preprocess

    @classmethod
    def of(cls, samples: InputSet, inputs: tuple[TensorSpec, ...]) -> Frame:
        """Raises `UsageError` when the model has not one image input."""
        images = [spec for spec in inputs if len(spec.shape) == 4]
        if len(images) != 1:
            raise UsageError(
                "boxes and masks need a model with one image input, of shape [1,C,H,W] or [1,H,W,C]"
            )
        (spec,) = images
        pipeline = Preprocess.from_json(samples.preprocess)
        first = pipeline.layout == "NCHW" or (
            pipeline.layout is None
            and spec.shape[1] in (1, 3, 4)
            and spec.shape[3] not in (1, 3, 4)
        )
        dims = spec.shape[2:] if first else spec.shape[1:3]
        return cls((dims[0], dims[1]), samples, pipeline)

    def original(self, row: int) -> tuple[int, int]:
        """(width, height) of a row's image, upright."""
        if not self.samples.names or self.samples.root is None:
            return self.size[1], self.size[0]
        path = self.samples.root / self.samples.names[row]
        with opened(path, str(path)) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _TURNED
        return (height, width) if turned else (width, height)

    def placement(self, row: int) -> Placement:
        if not self.samples.names or self.samples.root is None:
            return Placement((self.size[1], self.size[0]), (0, 0), (1.0, 1.0))
        return place(self.original(row), self.size, self.pipeline, may_pad=True)

    def mask(self, row: int, mask: Array, outside: int, size: tuple[int, int]) -> Array:
        """A mask [H, W] of a row's image on an output of ``size``; ``outside`` where none is."""
        from PIL import Image

        placed = self.placement(row)
        image = Image.fromarray(mask.astype(np.int32))
        if image.size != placed.size:
            image = image.resize(placed.size, Image.Resampling.NEAREST)
        frame = Image.new("I", (self.size[1], self.size[0]), outside)
        frame.paste(image, placed.offset)
        if self.size != size:
            frame = frame.resize((size[1], size[0]), Image.Resampling.NEAREST)
        moved: Array = np.asarray(frame).astype(np.int64)
        return moved
