"""How far a float output may be off, for all outputs or for one by name.

``atol`` is in the output's own units. ``rtol`` is relative to the output's *peak*: its largest
magnitude on the reference rung over the whole input set. A tolerance relative to each element, as
``numpy.isclose`` has it, demands the most where it means the least: near zero, where a sum of large
terms cancels and only rounding is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from devdiff.errors import UsageError
from devdiff.options import ATOL, RTOL


@dataclass(frozen=True, slots=True)
class Tolerance:
    """An absolute part, and one relative to the output's peak on the reference rung."""

    atol: float
    rtol: float

    def allowed(self, peak: float) -> float:
        """The largest error allowed to an output with this peak, in the output's units."""
        return self.atol + self.rtol * peak


DEFAULT_TOLERANCE: Final = Tolerance(ATOL, RTOL)


@dataclass(frozen=True, slots=True)
class Tolerances:
    """A tolerance for every output: ``default``, unless ``outputs`` names another."""

    default: Tolerance = DEFAULT_TOLERANCE
    outputs: Mapping[str, Tolerance] = field(default_factory=dict)

    def of(self, output: str) -> Tolerance:
        return self.outputs.get(output, self.default)

    @classmethod
    def parse(cls, atol: Sequence[str], rtol: Sequence[str], outputs: Iterable[str]) -> Self:
        """Tolerances as ``--atol`` and ``--rtol`` give them: each ``VALUE`` or ``OUTPUT:VALUE``.

        An output's name may hold colons; the last one counts. What is not given keeps its default.
        Raises `UsageError` for what is no number, is given twice, or names none of ``outputs``.
        """
        known = tuple(outputs)
        atols = _parse("--atol", atol, known)
        rtols = _parse("--rtol", rtol, known)
        default = Tolerance(
            atols.get(None, DEFAULT_TOLERANCE.atol), rtols.get(None, DEFAULT_TOLERANCE.rtol)
        )
        named = {
            name: Tolerance(atols.get(name, default.atol), rtols.get(name, default.rtol))
            for name in known
            if name in atols or name in rtols
        }
        return cls(default, named)


def _parse(option: str, values: Sequence[str], outputs: tuple[str, ...]) -> dict[str | None, float]:
    parsed: dict[str | None, float] = {}
    for text in values:
        name, colon, number = text.rpartition(":")
        key = name if colon else None
        if key is not None and key not in outputs:
            raise UsageError(
                f"{option} {text}: there is no output {key!r}; the outputs are {', '.join(outputs)}"
            )
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(
                f"{option} {text}: {number!r} is no tolerance; give a number from 0 up, as "
                f"{option} 1e-5 or {option} OUTPUT:1e-5"
            )
        if key in parsed:
            of = f"output {key!r}" if key is not None else "all outputs"
            raise UsageError(f"{option} {text}: the tolerance of {of} is given twice")
        parsed[key] = value
    return parsed
