"""JSON and its like from outside, of which no part surprises the code that reads it later.

Python reads brackets as deep as its stack, integers of any length, and numbers beyond the largest
as infinity; whoever walks, prints or converts such values meets RecursionError and OverflowError
far away from the file that caused them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

MOST_DEEP: Final = 100
TOO_DEEP: Final = f"it is nested deeper than {MOST_DEEP} levels"
# More than any count, size or hash part that is written as a number.
_LARGEST: Final = 1 << 64

PairsHook = Callable[[list[tuple[str, Any]]], Any]


def parse(text: str | bytes, pairs_hook: PairsHook | None = None) -> Any:
    """The value of a JSON text.

    Raises `ValueError` when it is no JSON (NaN and the infinities are none), nested deeper than
    `MOST_DEEP`, or holds a number that is out of range. ``pairs_hook`` makes objects of their
    pairs, as `json.loads` calls it.
    """
    try:
        value = json.loads(text, object_pairs_hook=pairs_hook, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check(value)
    return value


def check(value: Any, infinite: bool = False) -> None:
    """Raises `ValueError` for a value that is nested too deep or holds a number out of range.

    ``infinite`` lets floats be infinite or none, which TOML can write.
    """
    left = [(value, 0)]
    while left:
        inner, depth = left.pop()
        if isinstance(inner, Mapping | list):
            if depth == MOST_DEEP:
                raise ValueError(TOO_DEEP)
            below = inner.values() if isinstance(inner, Mapping) else inner
            left += [(error_below, depth + 1) for error_below in below]
        elif (isinstance(inner, int) and abs(inner) > _LARGEST) or (
            isinstance(inner, float) and not infinite and not math.isfinite(inner)
        ):
            raise ValueError("a number in it is out of range")


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
