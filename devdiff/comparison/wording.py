"""Numbers as sentences show them."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """At least three significant digits; an exponent only below 0.0001 and from a million up."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1_000_000 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share of one as a percentage; never ``100 %`` or ``0 %`` for what is not quite."""
    text = f"{share:.1%}"
    if text in ("100.0%", "0.0%") and share not in (0.0, 1.0):
        text = f"{share:.6%}".rstrip("0%") + "%"
    return text.replace(".0%", "%").replace("%", " %")


def count(amount: int, noun: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"


def rounded_up(value: float) -> float:
    """A number of three significant digits above ``value``, so that it may stand for a limit."""
    if value == 0 or not math.isfinite(value):
        return value
    # The hair on top outweighs the rounding of the sums that a limit is compared by.
    value *= 1 + 1e-9
    rounded = float(f"{value:.2e}")
    if rounded >= value:
        return rounded
    return float(f"{value + 10.0 ** (math.floor(math.log10(value)) - 2):.2e}")


def rounded_down(value: float) -> float:
    """``value`` cut off after four decimals."""
    return math.floor(value * 10_000) / 10_000
