"""A step of a finished report judged again, from the comparison that the report holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.comparison import Expectation, Judgement, PairComparison, judge
from devdiff.ladder.judge import expected
from devdiff.options import DEFAULT_GATES

if TYPE_CHECKING:
    from devdiff.report.model import PairRecord, Report


def rejudge(pair: PairRecord, comparison: PairComparison, report: Report) -> Judgement:
    """What the figures of a pair's ``comparison`` come to by the report's own limits.

    Raises `UsageError` when the limits are damaged. The run may have had more against the step than
    its figures: a drop of the task's metric, say.
    """
    return judge(comparison, expectation_of(pair, comparison, report))


def expectation_of(pair: PairRecord, comparison: PairComparison, report: Report) -> Expectation:
    """What the report's own limits expected of a step. Raises `UsageError`."""
    reference, candidate = report.rung(pair.reference), report.rung(pair.candidate)
    assert reference is not None
    assert candidate is not None
    same = candidate.precision == "float32" and candidate.pruning == reference.pruning
    names = [output.name for output in comparison.outputs]
    gates = report.options.gates or DEFAULT_GATES
    return expected(pair.step, same, names, report.inputs.synthetic, gates)
