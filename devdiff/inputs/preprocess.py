"""A small declared pipeline from pixels or arrays to a model's input tensor.

The same tensors go to every rung, so a wrong pipeline cannot look like a difference between rungs;
it is recorded in the report, since it can still make every rung wrong in the same way.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np

from devdiff.errors import UsageError
from devdiff.system.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array, TensorSpec

Layout = Literal["NCHW", "NHWC"]
Channels = Literal["RGB", "BGR", "L"]
ResizeMode = Literal["bilinear", "nearest", "letterbox", "cover"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Steps in this order: decode, channels, resize, crop, ``x * scale``, ``(x - mean) / std``,
    layout; for sound decode, mono, rate, length, normalize, and then as above.

    ``resize`` and ``crop`` are (height, width). Mode ``letterbox`` fits the whole image inside and
    fills the rest with ``pad`` (usually 114), ``cover`` fills the size and may be larger in one
    direction. ``crop`` takes the centre; an image smaller than it is filled with ``pad`` where that
    is given. ``mean`` and ``std`` have one value, or one a channel. ``layout`` is the model's.
    ``rate`` is in Hz, ``length`` in samples a channel: longer sound is cut, shorter one ends in
    zeros. ``normalize`` divides sound by its largest magnitude.
    """

    resize: tuple[int, int] | None = None
    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Layout | None = None
    channels: Channels | None = None
    resize_mode: ResizeMode | None = None
    crop: tuple[int, int] | None = None
    pad: float | None = None
    rate: int | None = None
    length: int | None = None
    mono: bool | None = None
    normalize: bool | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The value of ``--preprocess``. Raises `UsageError` naming the part that is wrong."""
        fields: dict[str, Any] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key, separator, value = part.partition("=")
            if key in _SWITCHES and not separator:
                value = "yes"
            elif not separator or key not in STEPS:
                meant = did_you_mean(key, STEPS) if key not in STEPS else ""
                raise UsageError(f"--preprocess: {part!r} is not a step{meant or '; ' + _HELP}")
            if key in fields:
                raise UsageError(f"--preprocess: {key} is given twice")
            try:
                mode, colon, size = value.rpartition(":")
                if key == "resize" and colon:
                    fields["resize_mode"] = _mode(mode)
                    value = size
                elif key == "crop" and mode == "center":
                    value = size
                fields[key] = STEPS[key].parse(value)
            except (ValueError, OverflowError, ZeroDivisionError) as error:
                raise UsageError(f"--preprocess: {part!r} is not a {key}; {_HELP}") from error
        return cls(**fields)

    @property
    def of_sound(self) -> bool:
        """Whether a step is declared that only sound has."""
        return self._declares("sound")

    @property
    def of_images(self) -> bool:
        """Whether a step is declared that only images have."""
        return self._declares("images")

    def _declares(self, kind: str) -> bool:
        values = (getattr(self, step.name) for step in STEPS.values() if step.of == kind)
        return any(value is not None and value is not False for value in values)

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in dataclasses.asdict(self).items() if v not in (None, ())}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)

    def describe(self) -> str:
        """One line for people, which `parse` takes again; empty when nothing is done."""
        shown: dict[str, Any] = self.to_json()
        mode = shown.pop("resize_mode", None)
        steps = {key: _shown(key, value) for key, value in shown.items() if value is not False}
        if mode is not None and "resize" in steps:
            steps["resize"] = f"{mode}:{steps['resize']}"
        return ",".join(key if key in _SWITCHES else f"{key}={text}" for key, text in steps.items())

    def apply(self, pixels: Array, spec: TensorSpec) -> Array:
        """Values [B, H, W, C] or in the model's own layout, as ``spec`` wants them.

        A value is moved between NHWC and NCHW only when ``layout`` is given and its shape is the
        other layout's. Integers become float32 before any arithmetic.
        """
        value = pixels
        if self.scale is not None or self.mean or self.std:
            value = value.astype(np.float32)
            axis = self._channel_axis(value, spec)
            if self.scale is not None:
                value *= np.float32(self.scale)
            if self.mean:
                value -= _spread(self.mean, value, axis, "mean")
            if self.std:
                value /= _spread(self.std, value, axis, "std")
        if self.layout is not None and value.ndim == 4 and value.shape != spec.shape:
            moved = np.moveaxis(value, 3, 1) if self.layout == "NCHW" else np.moveaxis(value, 1, 3)
            if moved.shape == spec.shape:
                value = moved
        return value

    def _channel_axis(self, value: Array, spec: TensorSpec) -> int:
        if value.ndim != 4:
            return value.ndim - 1
        in_model_layout = value.shape == spec.shape
        channels_first = (self.layout == "NCHW") == in_model_layout and self.layout is not None
        return 1 if channels_first else 3


NO_PREPROCESS: Final = Preprocess()


def _spread(values: tuple[float, ...], array: Array, axis: int, step: str) -> Array:
    if len(values) not in (1, array.shape[axis]):
        raise UsageError(
            f"--preprocess: {step} has {len(values)} values, the data has {array.shape[axis]} "
            "channels"
        )
    shape = [1] * array.ndim
    shape[axis] = len(values)
    return np.asarray(values, np.float32).reshape(shape)


def _shown(key: str, value: Any) -> str:
    """The value of a step as `Preprocess.parse` reads it; floats as short as they stay the same."""
    if key in ("resize", "crop"):
        return "x".join(map(str, value))
    return ":".join(map(_digits, value)) if isinstance(value, (tuple, list)) else _digits(value)


def _digits(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    # A scale of 1/255 is read by people as that.
    turned = round(1 / value) if 0 < value < 1 else 0
    return f"1/{turned}" if turned and float(Fraction(1, turned)) == value else f"{value!r}"


def _mode(text: str) -> str:
    if text not in ("bilinear", "nearest", "letterbox", "cover"):
        raise ValueError(text)
    return text


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _switch(text: str) -> bool:
    if text != "yes":
        raise ValueError(text)
    return True


def _size(text: str) -> tuple[int, int]:
    height, width = text.lower().split("x")
    size = (int(height), int(width))
    if min(size) < 1:
        raise ValueError(text)
    return size


def _number(text: str) -> float:
    value = float(Fraction(text)) if "/" in text else float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in text.split(":"))


def _deviations(text: str) -> tuple[float, ...]:
    values = _numbers(text)
    if 0.0 in values:
        raise ValueError(text)
    return values


def _choice(*choices: str) -> Any:
    def parse(text: str) -> str:
        if text.upper() not in choices:
            raise ValueError(text)
        return text.upper()

    return parse


@dataclass(frozen=True, slots=True)
class Step:
    """A step that can be declared.

    ``name`` is that of the field of `Preprocess` and of the option, ``parse`` reads the option's
    value and raises `ValueError`, ``syntax`` is what the help shows. ``of``: what alone has it. A
    step on images is applied in `devdiff.inputs.images`, one on sound in `devdiff.inputs.sound`,
    any other in `Preprocess.apply`.
    """

    name: str
    parse: Callable[[str], Any]
    syntax: str
    of: Literal["anything", "images", "sound"] = "anything"

    @property
    def switch(self) -> bool:
        """Whether its name alone declares it."""
        return "=" not in self.syntax


STEPS: Final[Mapping[str, Step]] = {
    step.name: step
    for step in (
        Step("resize", _size, "resize=[bilinear|nearest|letterbox|cover:]HxW", "images"),
        Step("crop", _size, "crop=[center:]HxW", "images"),
        Step("pad", _number, "pad=NUMBER", "images"),
        Step("scale", _number, "scale=NUMBER"),
        Step("mean", _numbers, "mean=A:B:C"),
        Step("std", _deviations, "std=A:B:C"),
        Step("layout", _choice("NCHW", "NHWC"), "layout=NCHW|NHWC"),
        Step("channels", _choice("RGB", "BGR", "L"), "channels=RGB|BGR|L", "images"),
        Step("rate", _count, "rate=HZ", "sound"),
        Step("mono", _switch, "mono", "sound"),
        Step("length", _count, "length=SAMPLES", "sound"),
        Step("normalize", _switch, "normalize", "sound"),
    )
}
_SWITCHES: Final = frozenset(step.name for step in STEPS.values() if step.switch)


def _help() -> str:
    syntax = {
        kind: ", ".join(step.syntax for step in STEPS.values() if (step.of == "sound") is kind)
        for kind in (False, True)
    }
    return (
        f"give comma-separated {syntax[False]}, for sound {syntax[True]}, for example "
        "resize=224x224,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=NCHW"
    )


_HELP: Final = _help()
