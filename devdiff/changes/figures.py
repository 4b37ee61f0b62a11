"""The figures of two runs side by side, and which of them are worse or better.

What is judged is told apart as the gate does it (`devdiff.gate.baseline`); of accuracies an exact
test at 5 % says it, of a task's metric two intervals that do not meet, of latency Mann and
Whitney's test on the times of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from devdiff.changes import significance
from devdiff.changes.record import FigureChange, FigureValue, Measure, Unit
from devdiff.comparison.intervals import Proportion
from devdiff.gate import baseline, summary
from devdiff.gate.summary import AgreementSummary, Facts, OutputFacts
from devdiff.ladder.ladder import on_the_way

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from devdiff.changes.record import Direction, OutputComparison
    from devdiff.options import Rules
    from devdiff.report.model import EstimateRecord, Report, TaskSection

    Times = Mapping[str, npt.NDArray[np.float64]]

T = TypeVar("T")

LATENCY_STEP: Final = 0.05
"""A change of the median below this share is the machine's, however many samples show it."""
WHOLE_WAY: Final = "all"
_BY: Final[Mapping[str, tuple[Measure, Unit]]] = {
    summary.BY_AGREEMENT: ("agreement", "share"),
    summary.BY_SNR: ("SNR", "dB"),
    summary.BY_STEPS: ("largest LSB", "LSB"),
    summary.BY_EQUALITY: ("differing", "elements"),
    summary.BY_ERROR: ("largest error", ""),
}


def of_steps(now: Facts, before: Facts, paired: bool, rules: Rules) -> Iterator[FigureChange]:
    """What each step that counts is judged by, output by output."""
    earlier = {
        (step.reference, step.candidate, output.name): output
        for step in before.steps
        for output in step.outputs
    }
    later = {
        (step.reference, step.candidate, output.name): output
        for step in now.steps
        for output in step.outputs
    }
    for key in dict.fromkeys((*earlier, *later)):
        was, is_now = earlier.get(key), later.get(key)
        reference, candidate, name = key
        known = is_now or was
        assert known is not None
        measure, unit = _BY[known.measure]
        if was is not None and is_now is not None and was.measure != is_now.measure:
            was = None
        direction: Direction = "changed"
        p_value = None
        if was is not None and is_now is not None:
            worse, better = baseline.measures(is_now, was, paired, rules)
            direction = "worse" if worse else "better" if better else "same"
            if is_now.verdict.severity > was.verdict.severity:
                direction = "worse"
            if measure == "agreement" and is_now.agreement and was.agreement:
                p_value = significance.two_sided(is_now.agreement, was.agreement, paired)
        yield FigureChange(
            measure,
            f"{reference} → {candidate}",
            unit,
            _judged(was),
            _judged(is_now),
            direction,
            output=name,
            p_value=p_value,
        )


def of_whole_way(
    before: Report, after: Report, paired: bool, rules: Rules
) -> Iterator[FigureChange]:
    """From the first rung to the last, which is what a user of the app would notice: agreement of
    classifying outputs, the SNR of others."""
    was, is_now = _whole(before), _whole(after)
    for name in dict.fromkeys((*was, *is_now)):
        first, second = was.get(name, _NOWHERE), is_now.get(name, _NOWHERE)
        where = " → ".join(second.rungs or first.rungs)
        earlier, later = first.agreement, second.agreement
        if earlier is not None or later is not None:
            p_value = significance.two_sided(later, earlier, paired)
            rates = (side.rate if side is not None else None for side in (earlier, later))
            yield FigureChange(
                "agreement",
                where,
                "share",
                _rate(earlier),
                _rate(later),
                significance.by_test(p_value, *rates),
                output=name,
                p_value=p_value,
            )
            continue
        yield FigureChange(
            "SNR",
            where,
            "dB",
            None if first.snr_db is None else FigureValue(first.snr_db),
            None if second.snr_db is None else FigureValue(second.snr_db),
            significance.by_loss(first.snr_db, second.snr_db, rules.max_snr_loss_db),
            output=name,
        )


@dataclass(frozen=True, slots=True)
class _Whole:
    """An output through the whole way."""

    rungs: tuple[str, ...]
    agreement: AgreementSummary | None
    snr_db: float | None


_NOWHERE: Final = _Whole((), None, None)


def _whole(report: Report) -> dict[str, _Whole]:
    found = {}
    for pair in report.pairs:
        if pair.step != WHOLE_WAY:
            continue
        answers = {entry.output: entry for entry in pair.classifications}
        for output in pair.outputs:
            own = answers.get(output.name)
            agreement = summary.agreement_of(own) if own is not None and own.top_1.trials else None
            found[output.name] = _Whole((pair.reference, pair.candidate), agreement, output.snr_db)
    return found


def labels(before: Report, after: Report) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What the rung of the model that ships is called where the two recipes name it otherwise, by
    its name in each run: ``int8, then float16``."""
    first, second = shipped(before), shipped(after)
    names = {rung.name for rung in before.rungs} & {rung.name for rung in after.rungs}
    if first == second or {first, second} & names:
        return {}, {}
    label = f"{first}, then {second}"
    return {first: label}, {second: label}


def shipped(report: Report) -> str:
    """The rung on the host of the model that ships."""
    names = [r.name for r in report.rungs if on_the_way(r.name) and r.name != "device"]
    return names[-1] if names else report.rungs[-1].name


def of_accuracy(
    before: Report, after: Report, outputs: Sequence[OutputComparison]
) -> Iterator[FigureChange]:
    """Accuracy of every rung; where both runs' answers are known sample by sample, McNemar's test,
    else Fisher's."""
    earlier, later = labels(before, after)
    was = {(earlier.get(r, r), name): share for (r, name), share in accuracies(before).items()}
    is_now = {(later.get(r, r), name): share for (r, name), share in accuracies(after).items()}
    paired = {
        (entry.rung, entry.output): (entry.harmed, entry.repaired)
        for entry in outputs
        if entry.harmed is not None and entry.repaired is not None
    }
    for key in dict.fromkeys((*was, *is_now)):
        first, second = was.get(key), is_now.get(key)
        p_value = None
        if first is not None and second is not None:
            harmed, repaired = paired.get(key, (None, None))
            if harmed is not None and repaired is not None:
                p_value = significance.mcnemar(harmed, repaired)
            else:
                p_value = significance.two_sided(_plain(second), _plain(first), paired=False)
        yield FigureChange(
            "accuracy",
            key[0],
            "share",
            _of_proportion(first),
            _of_proportion(second),
            significance.by_test(
                p_value, first.rate if first else None, second.rate if second else None
            ),
            output=key[1],
            p_value=p_value,
        )


def accuracies(report: Report) -> dict[tuple[str, str], Proportion]:
    """How often each rung is right, by rung and output; of rungs on the way only."""
    found: dict[tuple[str, str], Proportion] = {}
    for pair in report.pairs:
        for answers in pair.classifications:
            if answers.accuracy is None:
                continue
            for rung, share in (
                (pair.reference, answers.accuracy.reference),
                (pair.candidate, answers.accuracy.candidate),
            ):
                if on_the_way(rung) and share.trials:
                    found.setdefault((rung, answers.output), share)
    return found


def of_task(before: Report, after: Report) -> Iterator[FigureChange]:
    """Metrics of the task on every rung; only of the same task with the same truth."""
    first, second = before.task, after.task
    if first is None or second is None or first.kind != second.kind:
        return
    # Accuracy says the same of a classifier.
    metrics = [metric for metric in second.metrics if metric.name != "top-1"]
    for metric in metrics:
        was = _labelled(_values(first, metric.name), labels(before, after)[0])
        is_now = _labelled(_values(second, metric.name), labels(before, after)[1])
        for rung in dict.fromkeys((*was, *is_now)):
            earlier, later = was.get(rung), is_now.get(rung)
            yield FigureChange(
                "metric",
                rung,
                "share" if metric.interval == "exact" else "",
                _of_estimate(earlier),
                _of_estimate(later),
                significance.by_intervals(earlier, later, metric.higher_is_better),
                name=metric.name,
            )


def _values(task: TaskSection, metric: str) -> dict[str, EstimateRecord]:
    found = {rung.rung: rung.values.get(metric) for rung in task.rungs if on_the_way(rung.rung)}
    return {rung: value for rung, value in found.items() if value and value.value is not None}


def of_latency(before: Report, after: Report, was: Times, is_now: Times) -> Iterator[FigureChange]:
    """Median time of a sample on every rung; ``was`` and ``is_now`` hold the times in ms of each
    sample, of the rungs whose results are at hand."""
    names = labels(before, after)
    first, second = _labelled(_medians(before), names[0]), _labelled(_medians(after), names[1])
    was, is_now = _labelled(was, names[0]), _labelled(is_now, names[1])
    for rung in dict.fromkeys((*first, *second)):
        earlier, later = first.get(rung), second.get(rung)
        p_value, direction = None, "changed"
        if rung in was and rung in is_now:
            p_value = significance.mann_whitney(was[rung], is_now[rung])
            direction = significance.by_test(p_value, earlier, later, higher_is_better=False)
            near = earlier and later and abs(later / earlier - 1) < LATENCY_STEP
            direction = "same" if near else direction
        yield FigureChange(
            "latency",
            rung,
            "ms",
            None if earlier is None else FigureValue(earlier),
            None if later is None else FigureValue(later),
            direction,  # type: ignore[arg-type]
            p_value=p_value,
        )


def _medians(report: Report) -> dict[str, float]:
    return {
        rung.name: rung.time.median_ms
        for rung in report.rungs
        if rung.time.median_ms is not None and on_the_way(rung.name)
    }


def of_size(before: Report, after: Report) -> Iterator[FigureChange]:
    """Bytes of the artifact on every rung of the host, as far as the exports made them."""
    names = labels(before, after)
    was, is_now = _labelled(_sizes(before), names[0]), _labelled(_sizes(after), names[1])
    for rung in dict.fromkeys((*is_now, *was)):
        earlier, later = was.get(rung), is_now.get(rung)
        direction: Direction = "changed"
        if earlier is not None and later is not None:
            direction = "same" if earlier == later else "better" if later < earlier else "worse"
        yield FigureChange(
            "size",
            rung,
            "bytes",
            None if earlier is None else FigureValue(float(earlier)),
            None if later is None else FigureValue(float(later)),
            direction,
        )


def _sizes(report: Report) -> dict[str, int]:
    by_hash = {artifact.sha256: artifact.bytes for artifact in report.artifacts}
    return {
        rung.name: by_hash[rung.model.sha256]
        for rung in report.rungs
        # The device runs the file of the rung below it.
        if on_the_way(rung.name) and rung.name != "device" and rung.model.sha256 in by_hash
    }


def _labelled(values: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    return {names.get(name, name): value for name, value in values.items()}


def _judged(output: OutputFacts | None) -> FigureValue | None:
    """The figure that an output's verdict rests on."""
    if output is None:
        return None
    if output.measure == summary.BY_AGREEMENT:
        return _rate(output.agreement)
    value = {
        summary.BY_SNR: output.snr_db,
        summary.BY_STEPS: output.max_lsb,
        summary.BY_EQUALITY: output.differing,
        summary.BY_ERROR: output.max_error,
    }[output.measure]
    return None if value is None else FigureValue(float(value))


def _rate(agreement: AgreementSummary | None) -> FigureValue | None:
    if agreement is None:
        return None
    return _of_proportion(Proportion.of(agreement.agreed, agreement.samples))


def _of_proportion(share: Proportion | None) -> FigureValue | None:
    if share is None or share.rate is None:
        return None
    return FigureValue(share.rate, share.low, share.high, share)


def _of_estimate(value: EstimateRecord | None) -> FigureValue | None:
    if value is None or value.value is None:
        return None
    return FigureValue(value.value, value.low, value.high)


def _plain(share: Proportion) -> AgreementSummary:
    return AgreementSummary(share.successes, share.trials, None)
