"""Frozen dataclasses to plain JSON values and back.

JSON has no infinities: they are written as the strings ``"inf"`` and ``"-inf"``. An absent value is
``null``.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from devdiff.errors import ComparisonError

T = TypeVar("T")


def encode(value: Any) -> Any:
    """``value`` in dicts, lists, strings, numbers, booleans and None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def decode(kind: type[T], data: Any) -> T:
    """The dataclass ``kind`` from what `encode` made of it; fields it does not know are ignored.

    Raises `ComparisonError` when a field without a default is missing or of another type.
    """
    return typing.cast("T", _decode(kind, data, kind.__name__))


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if data is None:
            return None
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _decode(kind, data, where)
    if origin is tuple and isinstance(data, list):
        return tuple(_decode(arguments[0], item, where) for item in data)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(data, dict):
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    if dataclasses.is_dataclass(kind) and isinstance(data, dict):
        hints = typing.get_type_hints(kind)
        fields = dataclasses.fields(kind)
        missing = [f.name for f in fields if f.name not in data and not _optional(f)]
        if missing:
            raise ComparisonError(f"{where} lacks {', '.join(missing)}")
        assert isinstance(kind, type)
        names = [field.name for field in fields if field.name in data]
        return kind(**{n: _decode(hints[n], data[n], f"{where}.{n}") for n in names})
    if isinstance(kind, type) and issubclass(kind, Enum) and data in [m.value for m in kind]:
        return kind(data)
    return _scalar(kind, data, where)


def _optional(field: dataclasses.Field[Any]) -> bool:
    """Whether what older comparisons lack has a value all the same."""
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is float and not isinstance(data, bool):
        if isinstance(data, int | float):
            return float(data)
        if data in ("inf", "-inf"):
            return float(data)
    if kind is int and isinstance(data, int) and not isinstance(data, bool):
        return data
    if kind in (str, bool) and isinstance(data, kind):
        return data
    raise ComparisonError(f"{where}: {data!r} is not what a comparison stores there")
