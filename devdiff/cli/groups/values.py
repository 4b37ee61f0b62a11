"""What options hold, and how what was given becomes the fields of a value."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALL: Final = 1e-3


def given(args: argparse.Namespace, fields: Mapping[str, str]) -> dict[str, Any]:
    """Field to value of what was given; ``fields`` maps options, as attributes, to fields."""
    values = {field: getattr(args, name) for name, field in fields.items()}
    return {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in values.items()
        if value is not None and value != []
    }


def option(name: str) -> str:
    """An attribute of the parsed command line as the option that sets it."""
    return f"--{name.replace('_', '-')}"


def shown(value: float) -> str:
    """A number as people write it: 0.95, 10, 1e-5."""
    if not 0 < abs(value) < _SMALL:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def seconds(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of more than 0 seconds")
    return value


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def number(text: str) -> float:
    value = _number(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value


def share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
