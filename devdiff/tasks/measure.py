"""The metric of a task on every rung, and what each step costs of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.intervals import CONFIDENCE, clopper_pearson
from devdiff.comparison.judge import Judgement
from devdiff.comparison.rungs import RungOutputs, sample_outputs
from devdiff.comparison.wording import count, number, percent
from devdiff.errors import ComparisonError, UnmeasurableError, UsageError
from devdiff.ladder.ladder import RungPair, RungResult
from devdiff.tasks import bootstrap
from devdiff.tasks.bootstrap import RESAMPLES, Estimate
from devdiff.tasks.resolve import ResolvedTask
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from devdiff.ladder.judge import JudgedPair
    from devdiff.tasks.task import Figure, Scores

# Resampling fewer says more of the few than of samples in general.
FEWEST: Final = 20
CHANGED_KEPT: Final = 24
_MOST_SAMPLES: Final = 10_000_000
# Steps whose sides are held to the same answers element by element: no change is none.
_ALIKE: Final = frozenset({"conversion", "deployment", "runtime"})


@dataclass(frozen=True, slots=True)
class RungMetrics:
    """A rung's figures by name; ``error`` says why there are none."""

    rung: str
    values: Mapping[str, Estimate]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ChangedSample:
    """A sample whose answer got better or worse on a step: `Scores.by_sample` on both sides."""

    sample: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class StepDrop:
    """By how much a step makes each figure worse; ``judgement`` None where it does not count.

    ``most_changed`` are the at most `CHANGED_KEPT` samples that it changes most, those that get
    worse first.
    """

    pair: RungPair
    drops: Mapping[str, Estimate]
    changed: int
    judgement: Judgement | None
    most_changed: tuple[ChangedSample, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came of a task on a ladder; ``truth`` says what it was judged against, ``support`` how
    many of the samples that rests on (`Scores.support`)."""

    settled: ResolvedTask
    truth: str
    samples: int
    support: int
    seed: int
    rungs: tuple[RungMetrics, ...]
    steps: tuple[StepDrop, ...]

    def to_json(self) -> dict[str, Any]:
        request, figures = self.settled.request, self.settled.task.figures
        return {
            "kind": request.kind,
            "options": dict(request.options),
            "truth": self.truth,
            "from_source": self.settled.truth is None,
            "max_drop": self.settled.allowed,
            "samples": self.samples,
            "support": self.support,
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "seed": self.seed,
            "metrics": [
                {
                    "name": figure.name,
                    "higher_is_better": figure.higher_is_better,
                    "interval": "bootstrap" if figure.column is None else "exact",
                    "share": figure.share,
                }
                for figure in figures
            ],
            "rungs": [
                {
                    "rung": judged_pair.rung,
                    "values": _estimates(judged_pair.values),
                    "error": judged_pair.error,
                }
                for judged_pair in self.rungs
            ],
            "steps": [
                {
                    "step": judged_pair.pair.step,
                    "reference": judged_pair.pair.reference,
                    "candidate": judged_pair.pair.candidate,
                    "changed": judged_pair.changed,
                    "drops": _estimates(judged_pair.drops),
                    "verdict": judged_pair.judgement.verdict.value
                    if judged_pair.judgement
                    else None,
                    "most_changed": [asdict(changed) for changed in judged_pair.most_changed],
                }
                for judged_pair in self.steps
            ],
        }


def _estimates(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        name: {"value": _plain(e.value), "low": _plain(e.low), "high": _plain(e.high)}
        for name, e in found.items()
    }


def _plain(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if np.isfinite(value) else None


def measure(
    settled: ResolvedTask,
    results: Sequence[RungResult],
    pairs: Sequence[RungPair],
    samples: int,
    seed: int,
) -> TaskResult:
    """Score every rung and judge every step. ``results`` begin with the source.

    A rung that did not run, or gave no answer to a sample (NaN), has an error instead of figures,
    and so have the steps it belongs to; likewise where the truth allows no metric. Where the
    source's own answers stand for the truth and leave nothing to judge by, steps are inconclusive.
    """
    own = settled.truth is None
    origin = settled.origin
    if own and results[0].name != "source":
        origin = f"the own answers of rung {results[0].name}"
    unmeasurable: str | None = None
    figures = settled.task.figures
    scored: dict[str, Scores] = {}
    errors: dict[str, str] = {}
    source = RungOutputs(results[0].name, results[0].pack, results[0].outputs)
    for result in results:
        if result.error:
            errors[result.name] = f"rung {result.name} could not run"
            continue
        if results[0].error and own:
            errors[result.name] = (
                f"rung {results[0].name} could not run, whose answers are the truth"
            )
            continue
        outputs = RungOutputs(result.name, result.pack, result.outputs)
        try:
            scored[result.name] = _score(settled, source, outputs, bool(results[0].error))
        except UnmeasurableError as error:
            errors[result.name] = str(error)
            unmeasurable = f"{origin} leave nothing to judge by: {error}" if own else None
        except (ComparisonError, UsageError) as error:
            errors[result.name] = str(error)
    support = min((scores.support for scores in scored.values()), default=0)
    names = list(scored)
    known = [p for p in pairs if p.reference in scored and p.candidate in scored]
    places = [(names.index(p.reference), names.index(p.candidate)) for p in known]
    values: list[list[Estimate]] = []
    drops: list[list[Estimate]] = []
    if scored:
        values, drops = bootstrap.intervals(list(scored.values()), places, figures, seed)
    by_name = {
        name: {figure.name: e for figure, e in zip(figures, row, strict=True)}
        for name, row in zip(names, values, strict=True)
    }
    rungs = [RungMetrics(r.name, by_name.get(r.name, {}), errors.get(r.name)) for r in results]
    by_pair = {_key(pair): row for pair, row in zip(known, drops, strict=True)}
    steps = []
    for pair in pairs:
        row = by_pair.get(_key(pair))
        if row is None:
            steps.append(StepDrop(pair, {}, 0, _broken(settled, pair, errors, unmeasurable)))
            continue
        changed = scored[pair.reference].changed(scored[pair.candidate])
        row = [
            _unseen(figure, drop, changed, support, pair)
            for figure, drop in zip(figures, row, strict=True)
        ]
        found = {figure.name: drop for figure, drop in zip(figures, row, strict=True)}
        judgement = None
        if settled.request.gated and pair.gates:
            before, after = (
                by_name[name][figures[0].name] for name in (pair.reference, pair.candidate)
            )
            seen = Seen(samples, support, changed, pair.step in _ALIKE, origin)
            judgement = judge_drop(settled, figures[0], before, after, row[0], seen)
        most_changed = _most_changed(scored[pair.reference], scored[pair.candidate])
        steps.append(StepDrop(pair, found, changed, judgement, most_changed))
    return TaskResult(settled, origin, samples, support, seed, tuple(rungs), tuple(steps))


def _most_changed(reference: Scores, candidate: Scores) -> tuple[ChangedSample, ...]:
    before, after = reference.by_sample(), candidate.by_sample()
    if before is None or after is None:
        return ()
    gained = after - before
    order = np.argsort(gained, kind="stable")
    order = order[np.isfinite(gained[order]) & (gained[order] != 0)]
    worse = order[gained[order] < 0]
    # The largest gains stand at the end.
    better = order[gained[order] > 0][::-1]
    return tuple(
        ChangedSample(int(sample), float(before[sample]), float(after[sample]))
        for sample in np.concatenate([worse, better])[:CHANGED_KEPT]
    )


def _key(pair: RungPair) -> tuple[str, str]:
    return pair.reference, pair.candidate


def _score(
    settled: ResolvedTask, source: RungOutputs, outputs: RungOutputs, without_source: bool
) -> Scores:
    """One rung's scores, beside the source's answers to the same samples."""
    task, scorer = settled.task, settled.task.scorer()
    own = sample_outputs(outputs, task.outputs)
    same = source.name == outputs.name
    alone = same or without_source
    beside = itertools.repeat(None) if alone else sample_outputs(source, task.outputs)
    # The rung ends the loop: the source's stream is as long, or endless.
    for index, (mine, theirs) in enumerate(zip(own, beside, strict=False)):
        try:
            answer = task.answer(mine)
        except ComparisonError as error:
            raise ComparisonError(f"rung {outputs.name}, sample {index}: {error}") from error
        first = answer if same else None if theirs is None else task.answer(theirs)
        truth = settled.truth(index) if settled.truth else task.as_truth(first)
        scorer.add(answer, truth, first)
    return scorer.scores()


def _unseen(figure: Figure, drop: Estimate, changed: int, support: int, pair: RungPair) -> Estimate:
    """What N samples without any change leave open: the share that may yet change.

    A bootstrap cannot know: it resamples what was seen, so its interval would be one point.
    """
    if changed:
        return drop
    if pair.step in _ALIKE:
        return Estimate(0.0, 0.0, 0.0)
    if figure.column is not None or not figure.bounded:
        return drop
    open_share = clopper_pearson(0, support)[1]
    return Estimate(0.0, -open_share, open_share)


def _broken(
    settled: ResolvedTask, pair: RungPair, errors: Mapping[str, str], unmeasurable: str | None
) -> Judgement | None:
    if not (settled.request.gated and pair.gates):
        return None
    if unmeasurable is not None:
        text = f"Task {settled.request.kind} cannot be judged: {unmeasurable}."
        return Judgement(Verdict.INCONCLUSIVE, (text,), {})
    reasons = [errors[name] for name in (pair.reference, pair.candidate) if name in errors]
    text = f"Task {settled.request.kind} could not be measured: {'; '.join(reasons)}."
    return Judgement(Verdict.ERROR, (text,), {})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a drop rests on: ``support`` of ``samples``, of which ``changed`` score otherwise.

    ``alike``: the two sides are held to the same answers element by element anyway. ``origin`` is
    where the truth comes from.
    """

    samples: int
    support: int
    changed: int
    alike: bool
    origin: str


def judge_drop(
    settled: ResolvedTask,
    figure: Figure,
    before: Estimate,
    after: Estimate,
    drop: Estimate,
    seen: Seen,
) -> Judgement:
    """A step passes when the whole interval of its drop is within what is allowed, fails when the
    whole interval is beyond, and is inconclusive otherwise.

    Nor does it pass where it could not have failed: on fewer than `FEWEST` samples, or from a
    metric that is so bad already that it cannot fall by more than is allowed.
    """
    most, kind = settled.allowed, settled.request.kind
    shown = f"Task {kind}: {figure.name} {number(before.value)} became {number(after.value)}"
    if not all(map(np.isfinite, (drop.value, drop.low, drop.high))):
        text = f"{shown}, whose difference is no number: too few samples have what it needs."
        return Judgement(Verdict.ERROR, (text,), {})
    worse = "a drop" if figure.higher_is_better else "a rise"
    text = (
        f"{shown}, {worse} of {number(drop.value)} ({percent(CONFIDENCE)} interval "
        f"{number(drop.low)} to {number(drop.high)}; {seen.changed} of "
        f"{count(seen.samples, 'sample')} changed), with {number(most)} allowed, judged against "
        f"{seen.origin}"
    )
    unchanged = seen.alike and drop.value == drop.low == drop.high == 0
    if unchanged:
        return Judgement(Verdict.PASS, (f"{text}.",), {})
    few = f"too few for an interval; give {FEWEST} or more such samples"
    if seen.samples < FEWEST and figure.column is None:
        text += f": it rests on {count(seen.samples, 'sample')}, {few}"
        return Judgement(Verdict.INCONCLUSIVE, (f"{text}.",), {})
    if drop.low > most:
        return Judgement(Verdict.FAIL, (f"{text}.",), {})
    if settled.truth is None and not seen.support:
        text += (
            f": {seen.origin} leave nothing to judge by, since they are the same for every sample"
        )
        return Judgement(Verdict.INCONCLUSIVE, (f"{text}.",), {})
    if seen.support < FEWEST and figure.column is None:
        text += (
            f": it rests on the {seen.support} of {count(seen.samples, 'sample')} that hold an "
            f"object, or another answer than the most frequent one, {few}"
        )
        return Judgement(Verdict.INCONCLUSIVE, (f"{text}.",), {})
    room = before.value if figure.higher_is_better else 1 - before.value
    if room <= most:
        text += (
            f": {figure.name} {number(before.value)} leaves no room for {worse} that is not "
            "allowed, so a pass would say nothing; check the truth, how the outputs are read and "
            "the preprocessing"
        )
        return Judgement(Verdict.INCONCLUSIVE, (f"{text}.",), {})
    if drop.high <= most:
        return Judgement(Verdict.PASS, (f"{text}.",), {})
    # Intervals narrow with the root of the number of samples.
    apart = max(abs(most - drop.value), 1e-9)
    more = seen.samples * ((drop.high - drop.low) / 2 / apart) ** 2
    if more < _MOST_SAMPLES:
        text += f": about {int(np.ceil(more)) + 1} samples of this kind would decide"
    else:
        text += ", and with this very drop no number of samples would decide"
    return Judgement(Verdict.INCONCLUSIVE, (f"{text}.",), {})


def with_drops(judged: Sequence[JudgedPair], measured: TaskResult) -> list[JudgedPair]:
    """The steps with what the task says of them: the graver of the two verdicts, and both reasons
    where they stand against a step."""
    by_pair = {_key(step.pair): step.judgement for step in measured.steps}
    found = []
    for judged_pair in judged:
        drop = by_pair.get(_key(judged_pair.pair))
        found.append(
            judged_pair
            if drop is None
            else replace(judged_pair, judgement=_both(judged_pair.judgement, drop))
        )
    return found


def _both(first: Judgement, second: Judgement) -> Judgement:
    verdict = combine((first.verdict, second.verdict))
    sides = sorted((first, second), key=lambda side: -side.verdict.severity)
    kept = [s for s in sides if s.verdict is not Verdict.PASS or verdict is Verdict.PASS]
    return Judgement(verdict, tuple(r for side in kept for r in side.reasons), first.passing)
