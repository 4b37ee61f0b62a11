"""Whether the figures of a comparison in a report can be of any values at all."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

from devdiff.comparison.intervals import CONFIDENCE, clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.comparison import (
        ClassifierAgreement,
        OutputMetrics,
        OutputSide,
        PairComparison,
        Proportion,
    )
    from devdiff.report.model import Report

_TOLERANCE: Final = 1e-9
_ROUNDING: Final = 1e-3
_TINY: Final = 1e-30
_DECIBELS: Final = 0.1


def impossible_figures(field: str, comparison: PairComparison, report: Report) -> Iterator[str]:
    """Each figure of a comparison that no outputs on the report's samples have, by its field."""
    samples = report.inputs.samples
    if comparison.samples != samples:
        yield f"{field}.samples: {comparison.samples}, and there are {samples}"
    failed = comparison.reference_failed, comparison.candidate_failed
    low, high = samples - sum(failed), samples - max(failed)
    if not max(0, low) <= comparison.compared <= high:
        yield f"{field}.compared: {comparison.compared} of {samples} samples"
    names = [output.name for output in comparison.outputs]
    wanted = _output_names(report)
    if len(set(names)) != len(names) or (wanted is not None and set(names) != wanted):
        there = ", ".join(sorted(wanted or ()))
        yield f"{field}.outputs: {', '.join(names) or 'none'}, and the model has {there}"
    for output in comparison.outputs:
        if output.samples > comparison.compared:
            yield f"{field}.outputs: {output.name} has {output.samples} samples"
        wrong = _impossible(output)
        if wrong is not None:
            yield f"{field}.outputs: {output.name}: {wrong}"
    for answers in comparison.classifications:
        if answers.output not in names:
            yield f"{field}.classifications: there is no output {answers.output}"
        yield from _impossible_answers(field, answers, comparison)


def _impossible_answers(
    field: str, answers: ClassifierAgreement, comparison: PairComparison
) -> Iterator[str]:
    """The same of the answers that a classifying output gave."""
    top = answers.top_1
    if not _is_interval(top):
        yield (
            f"{field}.classifications: {top.low} to {top.high} is not the interval of "
            f"{top.successes} of {top.trials}"
        )
    elif top.trials + answers.undecided != comparison.compared:
        # Samples whose shapes differ have no answers, and fail by that.
        if not any(output.shape_mismatch for output in comparison.outputs):
            yield (
                f"{field}.classifications: {top.trials} answers of {comparison.compared} samples"
            )
    elif top.trials - top.successes != answers.flips + answers.lost_answers:
        yield f"{field}.classifications: {answers.flips} flips do not fit the agreement"
    matrix = answers.flip_matrix
    if matrix is not None and matrix.total != answers.flips:
        yield f"{field}.classifications: the matrix holds {matrix.total} flips, not {answers.flips}"


def _impossible(output: OutputMetrics) -> str | None:
    """What no values of an output can come to; None where the figures may be of some."""
    largest = output.max_abs_error
    if (largest is None) != (output.elements == 0):
        return f"there are {output.elements} elements, and max_abs_error is {largest}"
    if largest is None:
        return None
    for name, side in (("reference", output.reference), ("candidate", output.candidate)):
        wrong = _impossible_side(side)
        if wrong is not None:
            return f"{name}.{wrong}"
    percentiles = (
        output.p50_abs_error,
        output.p90_abs_error,
        output.p99_abs_error,
        output.p999_abs_error,
    )
    order = [percentile or 0.0 for percentile in percentiles]
    mean, rms = output.mean_abs_error or 0.0, output.rms_error or 0.0
    if any(low > _more(high) for low, high in itertools.pairwise((*order, largest))):
        return "its percentiles do not rise to max_abs_error"
    if mean > _more(rms) or rms > _more(largest):
        return "mean_abs_error, rms_error and max_abs_error do not rise"
    if any(worst.error > _more(largest) for worst in output.worst):
        return "a sample in worst is worse than max_abs_error"
    if output.lsb is not None and output.lsb.max_lsb != output.max_lsb:
        return "max_lsb is not that of its histogram"
    if output.snr_db is None or not rms:
        return None
    peak = output.reference.peak or 0.0
    # The mean square of the reference is at most the square of its peak.
    most = 20 * math.log10(peak / rms) if peak else -math.inf
    if output.snr_db > most + _DECIBELS:
        return "snr_db is above what peak and rms_error allow"
    return None


def _impossible_side(side: OutputSide) -> str | None:
    """The same of one side's values."""
    if side.peak is None:
        return None
    low, high, peak = side.low or 0.0, side.high or 0.0, side.peak
    if low > high or peak > _more(max(abs(low), abs(high))) or max(-low, high) > _more(peak):
        return "peak is not the largest of low and high"
    if side.all_zero and peak:
        return "all_zero does not fit its peak"
    return None


def _more(value: float) -> float:
    """A little more, since sums are rounded."""
    return value * (1 + _ROUNDING) + _TINY


def _output_names(report: Report) -> set[str] | None:
    """The model's outputs: as the manifest lists them, else as most of the steps have them."""
    for record in report.artifacts:
        return {binding.source.name for binding in record.outputs}
    found: set[str] = set()
    for pair in report.pairs:
        found |= {output.name for output in pair.outputs}
    return found or None


def _is_interval(proportion: Proportion) -> bool:
    try:
        low, high = clopper_pearson(proportion.successes, proportion.trials, proportion.confidence)
    except ValueError:
        return False
    off = abs(low - proportion.low), abs(high - proportion.high)
    # With less confidence any rate could be made to clear any limit.
    return proportion.confidence == CONFIDENCE and bool(max(off) < _TOLERANCE)
