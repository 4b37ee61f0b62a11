"""Values of the report as a person reads them; missing ones as a dash."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from devdiff.system.printable import printable

if TYPE_CHECKING:
    from devdiff.comparison import OutputMetrics, OutputSide, Proportion
    from devdiff.report.model import PairRecord, RungRecord
    from devdiff.report.model.bisect import Agreeing

MISSING: Final = "–"
MARKS: Final = {
    "pass": "✓",
    "no finding": "✓",
    "fail": "✗",
    "finding": "✗",
    "inconclusive": "?",
    "error": "!",
}
_SHORT_S: Final = 10.0
_NOT_IN_XML: Final = {code: f"\\u{code:04x}" for code in (0xFFFE, 0xFFFF)}


def one_line(text: Any, limit: int | None = None) -> str:
    """Text from outside as one line that neither breaks nor disguises what it is put into.

    It is `printable`, and without U+FFFE and U+FFFF, for which XML has no room. What is longer than
    ``limit`` characters is cut off, which an ellipsis shows.
    """
    line = printable(" ".join(str(text).split())).translate(_NOT_IN_XML)
    return line if limit is None or len(line) <= limit else f"{line[: limit - 1]}…"


def number(value: Any) -> str:
    """Three digits of a number; infinity as ∞; anything else as its text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        return f"{value:.3g}"
    return str(value) if value or isinstance(value, str) else MISSING


def percent(value: Any) -> str:
    """Three digits of a share, or as many as tell it from all."""
    if not isinstance(value, int | float):
        return MISSING
    shown = ""
    for digits in range(3, 9):
        shown = f"{100 * value:.{digits}g}"
        if shown != "100" or value >= 1:
            break
    return f"{shown} %"


def size(amount: float) -> str:
    """Bytes in the largest unit that leaves a number of 1 or more: ``812 B``, ``1.23 MB``."""
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if amount >= 10**power:
            return f"{amount / 10**power:.3g} {unit}"
    return f"{amount:.0f} B"


def duration(seconds: float) -> str:
    """``0.8 s``, ``42 s``, ``3 min 5 s``, ``1 h 12 min``."""
    if seconds < _SHORT_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def proportion(value: Proportion | Agreeing | None) -> str:
    """``599/600 (99.1–100.0 %)``: the count, and the interval of the rate behind it."""
    if not value or not value.trials:
        return MISSING
    return f"{value.successes}/{value.trials} ({100 * value.low:.1f}–{100 * value.high:.1f} %)"


def largest_error(output: OutputMetrics) -> str:
    """In steps where both sides share them, in real units otherwise."""
    if output.lsb is not None and output.max_lsb is not None:
        return f"{number(output.max_lsb)} LSB"
    return number(output.max_abs_error)


def range_used(side: OutputSide) -> float | None:
    """The share of a quantized output's range between its lowest and its highest value; None of
    other outputs."""
    bits = {"int8": 8, "uint8": 8, "int16": 16}.get(side.dtype)
    if bits is None or side.scale is None or side.low is None or side.high is None:
        return None
    span: float = side.scale * (2**bits - 1)
    return min(1.0, (side.high - side.low) / span)


def differing(output: OutputMetrics) -> str:
    total = output.samples * math.prod(output.shape)
    return f"{output.differing_elements} of {total}"


def sentence(text: str) -> str:
    """A clause with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def mark(verdict: Any) -> str:
    """A sign beside a verdict's word, so that colour is never all there is."""
    return MARKS.get(str(verdict), "!")


def tone(verdict: Any) -> str:
    """The style of a verdict, safe as a class name."""
    text = str(verdict)
    if text.startswith("no finding"):
        return "pass"
    return {"finding": "fail"}.get(text, text if text in MARKS else "error")


def rate(pair: PairRecord) -> str:
    """What says most about a step in a few words: agreement, else the largest error."""
    comparison = pair.comparison
    if comparison is None:
        return "not compared"
    if comparison.classifications:
        return f"{proportion(comparison.classifications[0].top_1)} agree"
    if len(comparison.outputs) != 1:
        differing = sum(1 for output in comparison.outputs if output.differing_elements)
        return f"{differing} of {len(comparison.outputs)} outputs differ"
    (output,) = comparison.outputs
    varying = output.variation_snr_db
    of_variation = "" if varying in (None, math.inf) else f" ({number(varying)} varying)"
    return f"error ≤ {largest_error(output)}, SNR {number(output.snr_db)} dB{of_variation}"


def what_ran(rung: RungRecord) -> str:
    """Runtime and version, by its own word or by the package it came in, and the device."""
    library, device = rung.identity.library, rung.identity.phone
    version = rung.runtime_version or "version unknown"
    runtime = f"{rung.reported('runtime') or rung.reported('api')} {version}"
    if library is not None and library.origin:
        runtime = library.origin
    on = f"{device.serial} ({device.model})" if device is not None else None
    return ", ".join(filter(None, (on, runtime)))
