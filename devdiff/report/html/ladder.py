"""The ladder as a list of rungs, each with the step that leads to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devdiff.comparison.wording import percent
from devdiff.ladder.ladder import on_the_way
from devdiff.report.words import rate, what_ran

if TYPE_CHECKING:
    from devdiff.report.model import PairRecord, Report


@dataclass(frozen=True, slots=True)
class Arrow:
    """The step to a rung; ``rate`` is its headline figure, ``counts`` whether the verdict does."""

    step: str
    verdict: str
    counts: bool
    rate: str


@dataclass(frozen=True, slots=True)
class LadderRung:
    """A rung, what ran there or ``error``, the whole cause why nothing did.

    ``step`` leads to it; the first rung has none.
    """

    name: str
    ran: str
    error: str | None
    step: Arrow | None


def rungs(report: Report) -> tuple[LadderRung, ...]:
    """The way from the first rung to the last; side rungs stand in the table only."""
    names, pairs = _way(report)
    steps = [None, *(_arrow(pair) for pair in pairs)]
    return tuple(_rung(report, name, step) for name, step in zip(names, steps, strict=True))


def _rung(report: Report, name: str, step: Arrow | None) -> LadderRung:
    rung = report.rung(name)
    if rung is None:
        return LadderRung(name, "", "nothing is recorded of this rung", step)
    return LadderRung(name, "" if rung.error is not None else what_ran(rung), rung.error, step)


def _arrow(pair: PairRecord) -> Arrow:
    return Arrow(pair.step, pair.judgement.verdict, pair.gates, _figure(pair))


def _figure(pair: PairRecord) -> str:
    """Agreement, else what there is to say; the intervals stand in the table."""
    answers = [answers.top_1 for answers in pair.classifications if answers.top_1.trials]
    if not answers:
        return rate(pair)
    return f"{percent(min(top.rate or 0.0 for top in answers))} of answers agree"


def _way(report: Report) -> tuple[list[str], list[PairRecord]]:
    """Rungs and steps from the first on, each step beginning where the last one ended."""
    way = [report.rungs[0].name]
    steps = []
    for pair in report.pairs:
        beside = pair.step in ("all", "runtime") or not on_the_way(pair.candidate)
        if pair.reference == way[-1] and not beside:
            steps.append(pair)
            way.append(pair.candidate)
    return way, steps
