"""JSON that has a type: frozen structs to plain JSON values and back, and their JSON Schema.

JSON has no infinities: a field that may be infinite is `Extended`, and written as the strings
``"inf"`` and ``"-inf"``. An absent value is ``null``, or its field is left out where a struct is
defined with ``omit_defaults``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from devdiff.system.errors import FormatError

T = TypeVar("T")

if TYPE_CHECKING:
    Extended = float
else:

    class _OfFloats(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, float)

    class Extended(metaclass=_OfFloats):
        """A float that may be infinite; its values are plain floats."""


Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
# The length keeps out a line's end, which $ would let pass.
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]

_UNNAMED: Final = "[...]"
_WORDS: Final = (
    (re.compile(r"^Object missing required field `(.*)`$"), r"the field \1 is missing"),
    (re.compile(r"^Object contains unknown field `(.*)`$"), r"there is no field \1"),
)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all structs: their fields cannot be set, and what has others is not read."""


def encode(value: Any) -> Any:
    """``value``, of structs, dataclasses or collections, in plain JSON values."""
    return _spelled(msgspec.to_builtins(value, str_keys=True, enc_hook=_builtin))


def fields(value: Any) -> dict[str, Any]:
    """`encode` of a struct or a dataclass."""
    encoded: dict[str, Any] = encode(value)
    return encoded


def decode(kind: type[T], data: Any, *, closed: bool = False) -> T:
    """The ``kind`` from what `encode` made of it.

    Dataclasses inside may lack fields that have a default and, unless ``closed``, have others,
    which are not read. Raises `FormatError` for the first field that does not fit:
    ``pairs[2].comparison.outputs[0].snr_db: expected float, got str``.
    """
    try:
        value = msgspec.convert(data, kind, dec_hook=_extended)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        field = _named(kind, data, str(error), path.removesuffix("`"))
        raise FormatError(f"{field}: {_worded(message)}") from error
    except UnicodeEncodeError:
        # Half a pair of surrogates where only words that are known may stand.
        return decode(kind, _paired(data), closed=closed)
    if closed and (unread := _unread(data, encode(value), "")) is not None:
        raise FormatError(unread)
    return value


def converted(kind: type[T], value: Any) -> T:
    """The ``kind`` that has the fields of ``value``, a value of devdiff's own.

    Raises `TypeError` when it has others: that is no fault of a file.
    """
    try:
        return decode(kind, encode(value))
    except FormatError as error:
        raise TypeError(f"{kind.__name__}: {error}") from error


def schema(kind: type[Any], title: str, *, closed: bool = False) -> dict[str, Any]:
    """The JSON Schema that describes what `decode` reads as ``kind``."""
    (described,), parts = msgspec.json.schema_components(
        (kind,), schema_hook=_extended_schema, ref_template="#/$defs/{name}"
    )
    if closed:
        for part in parts.values():
            if "properties" in part:
                part.setdefault("additionalProperties", False)
    own = parts.pop(described["$ref"].rpartition("/")[2])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **own,
        "title": title,
        "$defs": dict(sorted(parts.items())),
    }


def _builtin(value: Any) -> Any:
    """What msgspec does not know: numbers of NumPy, and mappings that are no dictionary."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


def _spelled(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(inner) for inner in value]
    return value


def _extended(kind: type[Any], value: Any) -> Any:
    if kind is not Extended:
        raise NotImplementedError(kind)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if value in ("inf", "-inf"):
        return float(value)
    raise ValueError(f"expected float, got {type(value).__name__}")


def _extended_schema(kind: type[Any]) -> dict[str, Any]:
    if kind is not Extended:
        raise NotImplementedError(kind)
    return {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}]}


def _paired(value: Any) -> Any:
    """``value`` with a sign for every half of a pair of surrogates."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_paired(key): _paired(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_paired(inner) for inner in value]
    return value


def _unread(data: Any, read: Any, path: str) -> str | None:
    """The first field of ``data`` that is not in ``read`` and says something, as a sentence."""
    if isinstance(data, Mapping) and isinstance(read, Mapping):
        for key, inner in data.items():
            if key not in read:
                if inner in (None, [], {}):
                    continue
                return f"{path.removeprefix('.') or 'the whole'}: there is no field {key}"
            found = _unread(inner, read[key], f"{path}.{key}")
            if found is not None:
                return found
    if isinstance(data, list) and isinstance(read, list):
        for place, inner in enumerate(data):
            found = _unread(inner, read[place], f"{path}[{place}]")
            if found is not None:
                return found
    return None


def _worded(message: str) -> str:
    for pattern, words in _WORDS:
        if pattern.match(message):
            return pattern.sub(words, message)
    return message[:1].lower() + message[1:].replace("`", "")


def _named(kind: type[Any], data: Any, message: str, path: str) -> str:
    """The path of a field with the keys of mappings, which msgspec leaves out."""
    while _UNNAMED in path:
        before, _, behind = path.partition(_UNNAMED)
        mapping = _at(data, before)
        if not isinstance(mapping, Mapping):
            break
        keys = list(mapping)
        while len(keys) > 1:
            half = keys[: len(keys) // 2]
            tried = _replaced(data, before, {key: mapping[key] for key in half})
            keys = half if _refusal(kind, tried) == message else keys[len(keys) // 2 :]
        if not keys:
            break
        path = f"{before}.{keys[0]}{behind}"
        data = _replaced(data, before, {keys[0]: mapping[keys[0]]})
    return path.removeprefix("$").removeprefix(".") or "the whole"


def _refusal(kind: type[Any], data: Any) -> str | None:
    try:
        msgspec.convert(data, kind, dec_hook=_extended)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _steps(path: str) -> list[str | int]:
    found = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path.removeprefix("$"))
    return [int(place) if place else name for name, place in found]


def _at(data: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _replaced(data: Any, path: str, value: Any) -> Any:
    """A copy of ``data`` along ``path`` with another value at its end."""
    return _with(data, _steps(path), value)


def _with(data: Any, steps: list[str | int], value: Any) -> Any:
    if not steps:
        return value
    copied = list(data) if isinstance(data, list | tuple) else dict(data)
    copied[steps[0]] = _with(data[steps[0]], steps[1:], value)  # type: ignore[index]
    return copied
