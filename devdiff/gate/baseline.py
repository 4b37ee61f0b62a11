"""What got worse since a baseline, what was there already, and what got better.

A step is held to what it was, output by output, by the measure its verdict rests on:

- a verdict graver than before is worse, whatever the numbers;
- agreement is worse when a one-sided exact test at 2.5 % says so: McNemar's on the samples whose
  answers changed where both runs name them all and have the same inputs, else Fisher's on the two
  rates;
- an SNR is worse when it lost more than ``Rules.max_snr_loss_db``;
- quantization steps, differing elements (where none may), answers flipped between host and device,
  elements that became NaN or infinite: worse when there are more;
- a float error is worse when it more than doubled and uses more than a tenth of what is allowed:
  below that it is rounding, which another compiler changes;
- a scan finding is new unless the baseline has one of the same output, target, source and kind.

A failure that is not worse is known and does not fail. An error is never excused, and neither is
what cannot be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.comparison.intervals import binomial_tail
from devdiff.comparison.wording import number, percent
from devdiff.gate.summary import (
    BY_AGREEMENT,
    BY_EQUALITY,
    BY_ERROR,
    BY_SNR,
    BY_STEPS,
    AgreementSummary,
    Facts,
    OutputFacts,
    ScanFacts,
    StepFacts,
)
from devdiff.system.typed_json import Record, fields
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devdiff.options import Rules


Kind = Literal["error", "incomparable", "worse", "known", "better", "note"]

SIGNIFICANCE: Final = 0.025
"""One-sided, so that it speaks as a two-sided 95 % interval does."""
ERROR_GROWTH: Final = 2.0
ROUNDING_SHARE: Final = 0.1
SCAN: Final = "scan"
"""Where a change is that a scan tells of."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is told about a run beside its baseline; ``verdict`` is what it adds."""

    kind: Kind
    where: str
    text: str
    verdict: Verdict = Verdict.PASS

    def record(self) -> ChangeRecord:
        return ChangeRecord(self.kind, self.where, self.text)


class ChangeRecord(Record, frozen=True):
    """One thing that is said of a run beside its baseline."""

    kind: Kind
    where: str
    text: str


class BaselineRecord(Record, frozen=True):
    """What a run is beside its baseline."""

    verdict: Verdict
    changes: tuple[ChangeRecord, ...]


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """A run held to its baseline; ``verdict`` is what a gate goes by."""

    verdict: Verdict
    changes: tuple[Change, ...]

    def record(self) -> BaselineRecord:
        return BaselineRecord(self.verdict, tuple(change.record() for change in self.changes))

    def to_json(self) -> dict[str, Any]:
        return fields(self.record())


def hold(now: Facts, before: Facts, rules: Rules) -> BaselineResult:
    """Hold a run to a baseline."""
    refused = [*_incomparable(now, before, rules)]
    changes = [*_errors(now), *refused, *_notes(now, before)]
    if not any(change.kind == "incomparable" for change in refused):
        paired = now.inputs_sha256 == before.inputs_sha256
        known = {_key(step): step for step in before.steps}
        for step in now.steps:
            changes += _step(step, known.get(_key(step)), paired, rules)
        changes += _scan(now.scan, before.scan)
        changes += _time(now, before, rules)
    if now.unsuited is not None:
        # Whatever was known of the steps, on such data it says nothing.
        reason = f"inputs and labels do not suit the model: {now.unsuited}"
        changes.append(Change("worse", "data", reason, Verdict.INCONCLUSIVE))
    if not _explained(now, changes):
        changes.append(Change("worse", "run", now.summary, now.verdict))
    changes.sort(key=lambda change: -change.verdict.severity)
    return BaselineResult(
        combine((Verdict.PASS, *(change.verdict for change in changes))), tuple(changes)
    )


def _explained(now: Facts, changes: Sequence[Change]) -> bool:
    """Whether the run's own verdict is accounted for; if it is not, it counts in full."""
    if now.verdict is Verdict.PASS:
        return True
    if now.verdict is Verdict.ERROR:
        return any(change.kind == "error" for change in changes)
    counted = [change for change in changes if change.kind in ("worse", "known")]
    if now.verdict is Verdict.INCONCLUSIVE:
        return bool(counted)
    return any((change.where == SCAN) == (now.verdict is Verdict.FINDING) for change in counted)


def _key(step: StepFacts) -> tuple[str, str, str]:
    return step.step, step.reference, step.candidate


def _errors(now: Facts) -> Iterator[Change]:
    """What could not run or be compared. Steps of a rung that could not run say no more than it."""
    for rung, error in now.broken_rungs.items():
        yield Change("error", f"rung {rung}", f"could not run: {error}", Verdict.ERROR)
    for step in now.steps:
        broken = {step.reference, step.candidate} & set(now.broken_rungs)
        if step.verdict is Verdict.ERROR and not broken:
            yield Change("error", step.title, " ".join(step.reasons), Verdict.ERROR)
    if now.scan is not None and now.scan.verdict == "error":
        yield Change("error", SCAN, now.scan.reason, Verdict.ERROR)


def _incomparable(now: Facts, before: Facts, rules: Rules) -> Iterator[Change]:
    def refused(subject: str, text: str) -> Change:
        return Change("incomparable", subject, text, Verdict.ERROR)

    if now.model != before.model:
        sentence = f"the baseline is of {before.model}, this run of {now.model}"
        if rules.other_model:
            yield Change("note", "model", sentence)
        else:
            yield refused("model", f"{sentence}; --allow-other-model compares them anyway")
    if now.inputs_sha256 != before.inputs_sha256:
        sentence = (
            f"the inputs are others: {before.samples} samples with sha256 "
            f"{before.inputs_sha256[:12]} in the baseline, {now.samples} with "
            f"{now.inputs_sha256[:12]} now"
        )
        if rules.other_inputs:
            yield Change("note", "inputs", sentence)
        else:
            yield refused(
                "inputs",
                f"{sentence}; make a new baseline, or --allow-other-inputs compares them anyway",
            )
    present = {_key(step): step for step in now.steps}
    for step in before.steps:
        if _key(step) not in present:
            if not {step.reference, step.candidate} & set(now.broken_rungs):
                yield refused(step.title, "the baseline has this step, this run has not")
            continue
        outputs = {output.name for output in present[_key(step)].outputs}
        for output in step.outputs:
            if outputs and output.name not in outputs:
                yield refused(f"{step.title}, output {output.name}", "this run has it no more")
    if before.scan is not None and now.scan is None:
        yield refused(SCAN, "the baseline's run was scanned, this one was not")


def _notes(now: Facts, before: Facts) -> Iterator[Change]:
    """What may explain a change, and does not keep from comparing."""
    if now.model_sha256 != before.model_sha256:
        text = f"{before.model_sha256[:12]} in the baseline, {now.model_sha256[:12]} now"
        yield Change("note", "model", f"its file has changed: sha256 {text}")
    for rung, runtime in now.runtimes.items():
        was = before.runtimes.get(rung, runtime)
        if was != runtime:
            yield Change("note", f"rung {rung}", f"{was} ran it in the baseline, {runtime} now")
    for limit in sorted({*now.limits, *before.limits}):
        was, value = (facts.limits.get(limit, "as usual") for facts in (before, now))
        if was != value:
            yield Change("note", "limits", f"{limit} was {was}, is {value}")


def _step(now: StepFacts, before: StepFacts | None, paired: bool, rules: Rules) -> Iterator[Change]:
    if now.verdict is Verdict.ERROR:
        return
    compared = before is not None and before.verdict is not Verdict.ERROR
    earlier = {output.name: output for output in before.outputs} if before and compared else {}
    for output in now.outputs:
        where = f"{now.title}, output {output.name}"
        was = earlier.get(output.name)
        if was is None or was.verdict is Verdict.ERROR:
            if output.verdict is not Verdict.PASS:
                reason = f"{' '.join(output.reasons)} (the baseline says nothing of it)"
                yield Change("worse", where, reason, output.verdict)
        elif output.measure != was.measure:
            yield _other_measure(where, output, was)
        else:
            yield from _output(where, output, was, paired, rules)


def _other_measure(where: str, now: OutputFacts, before: OutputFacts) -> Change:
    """Numbers that do not measure the same: the run is judged by itself."""
    text = f"is judged by {now.measure} and was by {before.measure}: {' '.join(now.reasons)}"
    kind: Kind = "note" if now.verdict is Verdict.PASS else "worse"
    return Change(kind, where, text, now.verdict)


def _output(
    where: str, now: OutputFacts, before: OutputFacts, paired: bool, rules: Rules
) -> Iterator[Change]:
    turned = f"{_VERBS[before.verdict][0]} and now {_VERBS[now.verdict][1]}"
    worse, better = measures(now, before, paired, rules)
    if now.verdict.severity > before.verdict.severity:
        yield Change("worse", where, f"{turned}: {' '.join(now.reasons)}", now.verdict)
    elif worse:
        yield Change("worse", where, f"{'; '.join(worse)}", Verdict.FAIL)
    elif now.verdict is not Verdict.PASS and now.verdict is before.verdict:
        reason = f"{_VERBS[now.verdict][1]} as in the baseline: {' '.join(now.reasons)}"
        yield Change("known", where, reason)
    elif now.verdict.severity < before.verdict.severity:
        kind: Kind = "better" if now.verdict is Verdict.PASS else "known"
        yield Change(kind, where, f"{turned}: {' '.join(now.reasons)}")
    elif better:
        yield Change("better", where, "; ".join(better))


_VERBS: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.PASS: ("passed", "passes"),
    Verdict.INCONCLUSIVE: ("was undecided", "is undecided"),
    Verdict.FAIL: ("failed", "fails"),
    Verdict.ERROR: ("was an error", "is an error"),
}


def measures(
    now: OutputFacts, before: OutputFacts, paired: bool, rules: Rules
) -> tuple[list[str], list[str]]:
    """What is worse and what is better by numbers, in words."""
    worse: list[str] = []
    better: list[str] = []

    def counted(subject: str, seen: float | None, was: float | None) -> None:
        if seen is not None and was is not None and seen != was:
            (worse if seen > was else better).append(f"{subject}: {number(was)} → {number(seen)}")

    counted(
        "elements NaN or infinite on one side, or samples of another shape",
        now.broken,
        before.broken,
    )
    if now.measure == BY_AGREEMENT and now.agreement and before.agreement:
        _agreement(now.agreement, before.agreement, paired, worse, better)
    elif now.measure == BY_SNR and now.snr_db is not None and before.snr_db is not None:
        change = now.snr_db - before.snr_db if now.snr_db != before.snr_db else 0.0
        if abs(change) > rules.max_snr_loss_db:
            text = f"SNR: {number(before.snr_db)} → {number(now.snr_db)} dB"
            (worse if change < 0 else better).append(text)
    elif now.measure == BY_STEPS:
        counted("largest error in LSB", now.max_lsb, before.max_lsb)
        counted("answers of another class beyond exact ties", now.flips, before.flips)
    elif now.measure == BY_EQUALITY:
        counted("differing elements", now.differing, before.differing)
    elif now.measure == BY_ERROR:
        _error(now, before, worse, better)
    return worse, better


def _error(now: OutputFacts, before: OutputFacts, worse: list[str], better: list[str]) -> None:
    seen, was = now.max_error, before.max_error
    if seen is None or was is None:
        return
    floor = ROUNDING_SHARE * max(now.allowed or 0.0, before.allowed or 0.0)
    text = f"largest error: {number(was)} → {number(seen)}"
    if seen > floor and seen > ERROR_GROWTH * was:
        worse.append(text)
    elif was > floor and was > ERROR_GROWTH * seen:
        better.append(text)


def _agreement(
    now: AgreementSummary,
    before: AgreementSummary,
    paired: bool,
    worse: list[str],
    better: list[str],
) -> None:
    text = f"agreement: {_rate(before)} → {_rate(now)}"
    for found, chance in (
        (worse, p_value(now, before, paired)),
        (better, p_value(before, now, paired)),
    ):
        if chance <= SIGNIFICANCE:
            found.append(f"{text} (p = {chance:.2g})")


def p_value(lower: AgreementSummary, higher: AgreementSummary, paired: bool) -> float:
    """How likely chance alone puts ``lower`` so far below ``higher``: one-sided and exact."""
    same = paired and lower.samples == higher.samples
    if same and lower.flipped is not None and higher.flipped is not None:
        lost = len(set(lower.flipped) - set(higher.flipped))
        won = len(set(higher.flipped) - set(lower.flipped))
        if lost + won == 0:
            return 1.0
        return binomial_tail(lost, lost + won, 0.5)
    import numpy as np
    from scipy.stats import fisher_exact

    table = np.array(
        [[agreement.agreed, agreement.samples - agreement.agreed] for agreement in (lower, higher)]
    )
    return float(fisher_exact(table, alternative="less").pvalue)


def _rate(agreement: AgreementSummary) -> str:
    if not agreement.samples:
        return "none"
    return f"{agreement.agreed} of {agreement.samples} ({percent(agreement.rate)})"


def _scan(now: ScanFacts | None, before: ScanFacts | None) -> Iterator[Change]:
    if now is None or now.verdict == "error":
        return
    known = before is not None and before.verdict == "finding"
    if now.verdict == "finding":
        same = (
            before is not None
            and known
            and (now.output, now.target, now.source, now.kind)
            == (before.output, before.target, before.source, before.kind)
        )
        if same:
            yield Change("known", SCAN, f"found as in the baseline: {now.reason}")
        else:
            yield Change("worse", SCAN, f"a new finding: {now.reason}", Verdict.FINDING)
    elif now.verdict == "inconclusive":
        if before is not None and before.verdict == "inconclusive":
            yield Change("known", SCAN, f"is undecided as in the baseline: {now.reason}")
        else:
            text = f"is undecided: {now.reason}"
            yield Change("worse", SCAN, text, Verdict.INCONCLUSIVE)
    elif known:
        yield Change("better", SCAN, "what the baseline found is not found any more")


def _time(now: Facts, before: Facts, rules: Rules) -> Iterator[Change]:
    """The device's time; a host's says nothing of a phone."""
    seen, was = now.median_ms.get("device"), before.median_ms.get("device")
    if not seen or not was or not math.isfinite(seen / was):
        return
    text = f"{number(was)} → {number(seen)} ms a sample (median), {number(seen / was)} times"
    if rules.max_slowdown is not None and seen > rules.max_slowdown * was:
        limit = f"{text}, with {number(rules.max_slowdown)} allowed"
        yield Change("worse", "time on the device", limit, Verdict.FAIL)
    else:
        yield Change("note", "time on the device", text)
