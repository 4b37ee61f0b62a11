"""How a change between two runs reads: the same words on a terminal and on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from devdiff.comparison.wording import count, number
from devdiff.report.words import MISSING, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.changes.record import FigureChange, FigureValue, OutputComparison, Unit
    from devdiff.gate.baseline import Change

SIGNIFICANCE: Final = 0.05
"""Two-sided, as a 95 % interval speaks."""
_LEAST_P: Final = 0.001
_UNITS: Final[Mapping[str, str]] = {"dB": " dB", "LSB": " LSB", "elements": "", "ms": " ms"}


def sentence(changes: Sequence[Change], figures: Sequence[FigureChange]) -> str:
    """What it comes to, in one line."""
    errors = [change for change in changes if change.kind in ("error", "incomparable")]
    worse = [change for change in changes if change.kind == "worse"]
    better = sum(change.kind == "better" for change in changes)
    for found, word in ((errors, "cannot be compared"), (worse, "got worse")):
        if found:
            more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
            return f"{word}: {found[0].where}: {found[0].text}{more}"
    if better:
        return f"nothing got worse, {count(better, 'thing')} got better"
    quicker = [figure for figure in figures if figure.direction == "worse"]
    beside = ", ".join(dict.fromkeys(figure.measure for figure in quicker))
    return (
        f"nothing that counts got worse; worse without counting: {beside}"
        if beside
        else ("nothing got worse")
    )


def subject(figure: FigureChange) -> str:
    """What is measured: ``agreement``, or a metric's name."""
    return figure.name or figure.measure


def place(figure: FigureChange) -> str:
    """Where it is measured: the step, rung or file, with the output behind it."""
    return f"{figure.where}, {figure.output}" if figure.output else figure.where


def shown(figure: FigureValue | None, unit: Unit) -> str:
    """``99.2 % (98.1–99.8)``; a dash for what a run does not have."""
    if figure is None:
        return MISSING
    if unit == "share":
        if figure.low is None or figure.high is None:
            return f"{100 * figure.value:.1f} %"
        return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f}–{100 * figure.high:.1f})"
    if math.isinf(figure.value):
        return f"∞{_UNITS.get(unit, '')}"
    if unit == "bytes":
        return size(figure.value)
    text = f"{number(figure.value)}{_UNITS.get(unit, '')}"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({number(figure.low)}–{number(figure.high)})"


def delta(figure: FigureChange) -> str:
    """``-40.8 points``, ``1.25 times``; empty where one side is missing."""
    before, after = figure.before, figure.after
    if before is None or after is None:
        return "only before" if before else "only after" if after else ""
    if before.value == after.value:
        return "same"
    if math.isinf(before.value) or math.isinf(after.value):
        return ""
    difference = after.value - before.value
    if figure.unit == "share":
        return f"{100 * difference:+.1f} points"
    if figure.unit in ("ms", "bytes") and before.value:
        return f"{100 * difference / before.value:+.1f} %"
    sign = "+" if difference > 0 else ""
    return f"{sign}{number(difference)}{_UNITS.get(figure.unit, '')}"


def meaning(figure: FigureChange) -> str:
    """``worse (p < 0.001)``, ``~ (p = 0.4)``: a tilde is what chance alone explains."""
    word = {"worse": "worse", "better": "better", "same": "~", "changed": ""}[figure.direction]
    if figure.direction == "same" and _equal(figure):
        return ""
    p_value = figure.p_value
    if p_value is None or math.isnan(p_value):
        return word
    if figure.direction == "same" and p_value <= SIGNIFICANCE:
        # Too small a step to be told of, however sure it is.
        return word
    return f"{word} ({chance(p_value)})".strip()


def chance(p_value: float) -> str:
    """``p = 0.016``, ``p < 0.001``."""
    return f"p < {_LEAST_P:g}" if p_value < _LEAST_P else f"p = {p_value:.2g}"


def outputs_line(entry: OutputComparison) -> str:
    """What one rung's output gave in both runs, in a sentence."""
    where = f"{entry.rung}, {entry.output}" if entry.output else entry.rung
    if entry.reason and not entry.same_bytes:
        return f"{where}: not compared: {entry.reason}"
    model = "the same model" if entry.same_model else "another model"
    if entry.same_bytes:
        return f"{where}: {model}, the same outputs bit for bit"
    found = []
    if entry.answers is not None and entry.answers.trials:
        same, trials = entry.answers.successes, entry.answers.trials
        found.append(f"{same} of {trials} answers are the same")
    if entry.harmed is not None and entry.repaired is not None:
        found.append(f"{entry.harmed} harmed, {entry.repaired} repaired")
    if entry.snr_db is not None:
        found.append(f"SNR {_decibels(entry.snr_db)}")
    if entry.largest_error is not None:
        found.append(f"largest difference {number(entry.largest_error)}")
    return f"{where}: {model}: {', '.join(found) or 'the outputs differ'}"


def _equal(figure: FigureChange) -> bool:
    before, after = figure.before, figure.after
    return before is not None and after is not None and before.value == after.value


def _decibels(value: float) -> str:
    return "∞ dB" if math.isinf(value) else f"{value:.1f} dB"
