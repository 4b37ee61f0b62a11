"""Whether what varies in an output survives a compression: the checks beside the plain SNR."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.comparison.expectation import MAX_FROZEN, CompressionExpectation
from devdiff.comparison.finding import Finding
from devdiff.comparison.variation import RESOLVED_STEPS, ChannelGroup, Variation
from devdiff.comparison.wording import count, number, percent
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.comparison.metrics import OutputMetrics

# Of an output that varies by less than this share of its magnitude, and by less than the candidate
# resolves, nothing can be said.
_LEAST_SHARE: Final = 1e-3
# What varies may drown in rounding; where it lies in elements that never move, it is gone.
_MOST_FLAT: Final = 0.5


def variation_findings(
    name: str, output: OutputMetrics, expectation: CompressionExpectation
) -> Iterator[Finding]:
    """The varying part of the whole output, and of each group of its channels.

    One that cannot be judged is said so and fails nothing: the reference itself hardly varies.
    """
    variation = output.variation
    if variation is None:
        return
    required = expectation.min_variation_snr_db
    if variation.snr_db is None:
        yield Finding(
            Verdict.PASS,
            f"{name} does not vary over the samples on the reference by more than rounding noise, "
            "so whether it answers the input cannot be judged.",
        )
        return
    if _unresolved(variation, output):
        yield Finding(
            Verdict.PASS,
            f"{name} varies over the samples by {number(variation.rms)} (root mean square) on the "
            f"reference, {percent(variation.share)} of its magnitude: too little beside the "
            f"candidate's step of {number(output.candidate.scale or 0.0)} for what varies to be "
            "judged.",
        )
    else:
        yield _judged(
            f"{name} has a variation SNR of {number(variation.snr_db)} dB, with {number(required)} "
            "required (each element's mean over the samples taken away)",
            variation.snr_db,
            required,
            _flat(output.flat_positions, math.prod(output.shape)),
        )
    for group in variation.groups:
        yield _judged(
            f"{name} has, in {_channels(group)}, a variation SNR of {number(group.snr_db)} dB, "
            f"with {number(required)} required",
            group.snr_db,
            required,
            _flat(group.flat_positions, group.positions),
        )


def frozen_findings(name: str, output: OutputMetrics) -> Iterator[Finding]:
    """Elements that move well beyond the candidate's resolution and never on the candidate."""
    variation = output.variation
    if variation is None or not variation.frozen_positions or _classes(output):
        return
    share = variation.frozen_positions / variation.moving_positions
    by = (
        f"by more than {RESOLVED_STEPS:g} steps of the candidate"
        if output.candidate.scale is not None
        else f"by more than {RESOLVED_STEPS:g}/255 of the largest movement"
    )
    examples = ", ".join(str(list(place)) for place in variation.frozen)
    if len(variation.frozen) < variation.frozen_positions:
        examples += ", \N{HORIZONTAL ELLIPSIS}"
    yield Finding(
        Verdict.FAIL if share > MAX_FROZEN else Verdict.PASS,
        f"{name} has {count(variation.frozen_positions, 'element')} ({examples}) that never "
        f"move{'s' if variation.frozen_positions == 1 else ''} on the candidate, of "
        f"{variation.moving_positions} that move over the samples {by}; {percent(MAX_FROZEN)} "
        "are allowed.",
    )


def _classes(output: OutputMetrics) -> bool:
    """Whether the output holds whole numbers, as class maps do: at a border one changes seldom."""
    return output.reference.scale is None and np.dtype(output.reference.dtype).kind in "iub"


def _unresolved(variation: Variation, output: OutputMetrics) -> bool:
    step = output.candidate.scale
    if step is None:
        return False
    if variation.share < _LEAST_SHARE and variation.spread < RESOLVED_STEPS * step:
        return True
    # Rounding alone leaves an error of step / sqrt(12).
    return variation.rms < step / math.sqrt(12) and variation.flat_share < _MOST_FLAT


def _judged(seen: str, snr: float, required: float, more: str) -> Finding:
    passing = {"min_variation_snr_db": math.floor(snr * 10) / 10} if math.isfinite(snr) else {}
    good = snr >= required
    return Finding(
        Verdict.PASS if good else Verdict.FAIL, f"{seen}{'' if good else more}.", passing
    )


def _flat(flat: int | None, positions: int) -> str:
    return f"; {flat} of {positions} elements vary and never on the candidate" if flat else ""


def _channels(group: ChannelGroup) -> str:
    noun = "channel" if group.count == 1 else "channels"
    return f"{noun} {group.channels} of axis {group.axis}"
