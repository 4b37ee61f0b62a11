"""The same samples as other usual preprocessings would have made them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array, TensorSpec
    from devdiff.inputs.preprocess import Preprocess

# Of the photographs of ImageNet, in 0..1, by channel RGB: what torchvision's models take away.
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
# Values of one byte, and what rounding may add to the range 0..1.
_BYTE: Final = 255.0
_HAIR: Final = 0.01


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``(x * scale - mean) / std`` with one value, or one a channel."""

    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @classmethod
    def of(cls, pipeline: Preprocess) -> Arithmetic:
        return cls(
            pipeline.scale if pipeline.scale is not None else 1.0, pipeline.mean, pipeline.std
        )

    def fits(self, spec: TensorSpec) -> bool:
        """Whether it can be undone for an input."""
        axis = channel_axis(spec)
        channels = spec.shape[-1 if axis is None else axis] if spec.shape else 1
        counts = {len(values) for values in (self.mean, self.std) if values}
        return self.scale != 0 and counts <= {1, channels}

    def apply(self, value: Array, axis: int | None) -> Array:
        made = value * self.scale - _along(self.mean or (0.0,), axis)
        done: Array = made / _along(self.std or (1.0,), axis)
        return done

    def undo(self, value: Array, axis: int | None) -> Array:
        made = value * _along(self.std or (1.0,), axis)
        done: Array = (made + _along(self.mean or (0.0,), axis)) / self.scale
        return done

    def describe(self) -> str:
        """As ``--preprocess`` takes it."""
        parts = []
        if self.scale != 1:
            share = Fraction(self.scale).limit_denominator(1000)
            exact = abs(float(share) - self.scale) <= 1e-12 * abs(self.scale)
            parts.append(f"scale={share}" if exact else f"scale={self.scale:g}")
        parts += [
            f"{name}={':'.join(f'{value:g}' for value in values)}"
            for name, values in (("mean", self.mean), ("std", self.std))
            if values
        ]
        return ",".join(parts) or "no scale, no mean, no std"


@dataclass(frozen=True, slots=True)
class Variant:
    """Another preparation of an input's samples: other arithmetic on the values as they were given,
    the channels in reversed order, or both. ``axis`` is the channels'."""

    declared: Arithmetic
    wanted: Arithmetic
    reverse: bool
    axis: int | None

    @property
    def kind(self) -> Literal["scale", "channel order", "scale and channel order"]:
        if not self.reverse:
            return "scale"
        return "channel order" if self.declared == self.wanted else "scale and channel order"

    @property
    def change(self) -> str:
        parts = [] if self.declared == self.wanted else [self.wanted.describe()]
        return ", ".join([*parts, *(["channels reversed (RGB ↔ BGR)"] if self.reverse else [])])

    def apply(self, value: Array) -> Array:
        """A sample, or several, as prepared now, in the other preparation; float32."""
        raw = self.declared.undo(value.astype(np.float64), self.axis)
        if self.reverse and self.axis is not None:
            raw = np.flip(raw, self.axis - 4)
        return self.wanted.apply(raw, self.axis).astype(np.float32)


def variants(spec: TensorSpec, pipeline: Preprocess, seen: Array) -> list[Variant]:
    """What else the samples of an input may have to look like; ``seen`` are some of them,
    [n, *shape] as ``pipeline`` made them. None for what holds no floating-point values."""
    if spec.numpy_dtype.kind != "f" or not seen.size or not np.isfinite(seen).all():
        return []
    axis = channel_axis(spec)
    colours = axis is not None and spec.shape[axis] == 3
    declared = Arithmetic.of(pipeline)
    if not declared.fits(spec):
        return []
    raw = declared.undo(seen.astype(np.float64), axis)
    choices = [declared]
    for made in _usual(raw, colours, declared):
        if made not in choices:
            choices.append(made)
    return [
        Variant(declared, wanted, reverse, axis)
        for reverse, wanted in itertools.product((False, True) if colours else (False,), choices)
        if reverse or wanted != declared
    ]


def bytes_like(raw: Array) -> bool:
    """Whether values are those of pixels as files hold them."""
    hair = _HAIR * _BYTE
    return float(raw.min()) >= -hair and 2 < float(raw.max()) <= _BYTE + hair


def channel_axis(spec: TensorSpec) -> int | None:
    """The axis of 1, 3 or 4 channels of an image input, of a sample with its batch axis."""
    if len(spec.shape) != 4:
        return None
    first, last = (spec.shape[axis] in (1, 3, 4) for axis in (1, 3))
    return None if first == last else 1 if first else 3


def _usual(raw: Array, colours: bool, declared: Arithmetic) -> Iterator[Arithmetic]:
    """Arithmetic that brings ``raw`` to the ranges that networks are usually trained with."""
    low, high = float(raw.min()), float(raw.max())
    if low >= -_HAIR and high <= 1 + _HAIR:
        unit, shift = 1.0, 0.0
    elif low >= -1 - _HAIR and high <= 1 + _HAIR:
        unit, shift = 0.5, 0.5
    elif bytes_like(raw):
        unit, shift = 1 / _BYTE, 0.0
    else:
        return
    # x * unit + shift lies in 0..1.
    yield Arithmetic(unit, (-shift,) if shift else ())
    yield Arithmetic(unit * _BYTE, (-shift * _BYTE,) if shift else ())
    yield Arithmetic(2 * unit, (1 - 2 * shift,) if shift != 0.5 else ())
    if colours:
        yield Arithmetic(unit, tuple(mean - shift for mean in _MEAN), _STD)
        yield Arithmetic(unit * _BYTE, tuple((mean - shift) * _BYTE for mean in _MEAN))
    if declared.mean or declared.std:
        yield replace(declared, scale=unit)


def _along(values: tuple[float, ...], axis: int | None) -> Array:
    """``values`` such that they meet the channels of a sample, or of several, from behind."""
    held = np.asarray(values, np.float64)
    if len(values) == 1 or axis is None:
        return held
    return held.reshape((-1, *([1] * (3 - axis))))
