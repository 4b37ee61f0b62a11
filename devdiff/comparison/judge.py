"""From a comparison and what was expected of it to a verdict, with every reason in a sentence.

Pure functions: the same comparison may be judged again by other limits without running anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from devdiff.comparison.expectation import (
    CompressionExpectation,
    DeploymentExpectation,
    Expectation,
)
from devdiff.comparison.finding import Finding as _Finding
from devdiff.comparison.intervals import smallest_seen, trials_to_decide
from devdiff.comparison.variation_findings import frozen_findings, variation_findings
from devdiff.comparison.wording import (
    count,
    number,
    percent,
    rounded_down,
    rounded_up,
)
from devdiff.system.typed_json import Record, fields
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from devdiff.comparison.classify import ClassifierAgreement
    from devdiff.comparison.metrics import OutputMetrics
    from devdiff.comparison.pair import PairComparison
    from devdiff.comparison.tolerance import Tolerance


class OutputJudgement(Record, frozen=True):
    """The verdict on one output of a pair, with its reasons as in `Judgement`.

    Samples that did not run count against every output.
    """

    verdict: Verdict
    reasons: tuple[str, ...]


class Judgement(Record, frozen=True):
    """A verdict on one pair of rungs.

    ``reasons`` are plain sentences, each with what was seen and what was allowed: those of a pass
    when all passed, otherwise only those that stand against it, the gravest first. ``passing``
    names, for each output, the limits under which it would have passed, one at a time (``atol``
    with the ``rtol`` as it was, and so on); a limit is left out where none would do. ``outputs``
    is empty where nothing could be compared.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    passing: Mapping[str, Mapping[str, float]]
    outputs: Mapping[str, OutputJudgement] = msgspec.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return fields(self)


def judge(pair: PairComparison, expectation: Expectation) -> Judgement:
    """Judge a pair. A sample that did not run, or none at all, is an ``error``, never a pass.

    What would pass by its numbers on fewer samples than expected is ``inconclusive``.
    """
    run = tuple(_run_findings(pair))
    findings = list(run)
    passing: dict[str, dict[str, float]] = {}
    outputs: dict[str, OutputJudgement] = {}
    for output in pair.outputs:
        found: list[_Finding] = []
        # Outputs of which no sample ran on both rungs have nothing to say.
        if pair.compared:
            answers = pair.classification(output.name)
            found = list(_output_findings(output, answers, expectation))
            if not _by_agreement(answers, expectation):
                found += _power(output, pair.compared, expectation.min_samples)
            passing[output.name] = _limits_to_pass(found)
        findings += found
        outputs[output.name] = OutputJudgement(*_combined([*run, *found]))
    return Judgement(*_combined(findings), passing, outputs)


def _combined(findings: Sequence[_Finding]) -> tuple[Verdict, tuple[str, ...]]:
    """Their verdict, and the reasons that speak for it, the gravest first."""
    verdict = combine(finding.verdict for finding in findings)
    kept = [f for f in findings if f.verdict is not Verdict.PASS or verdict is Verdict.PASS]
    kept.sort(key=lambda finding: -finding.verdict.severity)
    return verdict, tuple(finding.reason for finding in kept)


def _limits_to_pass(findings: Sequence[_Finding]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for finding in findings:
        if finding.verdict in (Verdict.FAIL, Verdict.ERROR) and not finding.passing:
            return {}
        limits |= finding.passing
    return limits


def _by_agreement(answers: ClassifierAgreement | None, expectation: Expectation) -> bool:
    """Whether the exact interval of a rate decides, which knows how many samples it needs."""
    return (
        answers is not None
        and isinstance(expectation, CompressionExpectation)
        and not expectation.synthetic
    )


def _power(output: OutputMetrics, compared: int, needed: int) -> Iterator[_Finding]:
    if compared < needed:
        yield _Finding(
            Verdict.INCONCLUSIVE,
            f"Output {output.name} was compared on {count(compared, 'sample')}, and a pass takes "
            f"{needed} (--min-samples): give {needed - compared} more, since a fault that hits "
            f"fewer than {percent(smallest_seen(compared))} of the inputs would not have been "
            "seen.",
        )


def _run_findings(pair: PairComparison) -> Iterator[_Finding]:
    if pair.samples == 0:
        yield _Finding(Verdict.ERROR, "There are no samples, so nothing was compared.")
    for rung, failed in (
        (pair.reference, pair.reference_failed),
        (pair.candidate, pair.candidate_failed),
    ):
        if failed:
            first = next((f for f in pair.failures if f.rung == rung), None)
            example = f" (sample {first.sample}: {first.message})" if first else ""
            yield _Finding(
                Verdict.ERROR,
                f"{count(failed, 'sample')} of {pair.samples} did not run on rung {rung}, and none "
                f"may fail{example}.",
            )


def _output_findings(
    output: OutputMetrics, answers: ClassifierAgreement | None, expectation: Expectation
) -> Iterator[_Finding]:
    name = f"Output {output.name}"
    mismatch = output.shape_mismatch
    if mismatch is not None:
        yield _Finding(
            Verdict.FAIL,
            f"{name} has another shape on the candidate in {mismatch.samples} of {output.samples} "
            f"samples, and none may (sample {mismatch.sample}: {list(mismatch.reference)} became "
            f"{list(mismatch.candidate)}).",
        )
    if output.nonfinite_differing:
        yield _Finding(
            Verdict.FAIL,
            f"{name} is NaN or infinite on one side only in "
            f"{count(output.nonfinite_differing, 'element')}, and may be in none (first in sample "
            f"{output.first_nonfinite_sample}).",
        )
    if output.elements == 0:
        if output.reference.nan or output.reference.inf:
            yield _Finding(
                Verdict.ERROR,
                f"{name} holds {output.reference.nan} NaN and {output.reference.inf} infinite "
                "elements and no finite one, so nothing could be compared.",
            )
        elif mismatch is None:
            yield _Finding(Verdict.PASS, f"{name} has 0 elements on both sides.")
        return
    if isinstance(expectation, CompressionExpectation):
        yield from _compression(name, output, answers, expectation)
    elif isinstance(expectation, DeploymentExpectation) and expectation.exact:
        yield _exact(name, output)
    elif isinstance(expectation, DeploymentExpectation) and output.candidate.scale is not None:
        yield from _steps(name, output, answers, expectation)
    else:
        yield from _tolerance(name, output, answers, expectation.tolerances.of(output.name))


def _dead(name: str, output: OutputMetrics, passing: Mapping[str, float]) -> Iterator[_Finding]:
    """A candidate that has nothing to say where the reference had; ``passing`` as for the check
    that failed because of it."""
    reference, candidate = output.reference, output.candidate
    if candidate.all_zero and not reference.all_zero:
        yield _Finding(
            Verdict.FAIL,
            f"{name} is zero in all {output.elements} elements on the candidate, while the "
            f"reference reaches {number(reference.peak or 0.0)}.",
            passing,
        )
    elif candidate.constant and not reference.constant:
        yield _Finding(
            Verdict.FAIL,
            f"{name} is the same for all {output.samples} samples on the candidate, while the "
            "reference's varies.",
            passing,
        )


def _tolerance(
    name: str, output: OutputMetrics, answers: ClassifierAgreement | None, tolerance: Tolerance
) -> Iterator[_Finding]:
    peak, error = output.reference.peak or 0.0, output.max_abs_error or 0.0
    allowed = tolerance.allowed(peak)
    # Only what is needed for the answers can be above the error, and that by rounding alone.
    gaps = [flip.gap / 2 for flip in answers.kept_flips if not flip.tie] if answers else []
    needed = max([error, *gaps])
    passing = {"atol": rounded_up(max(0.0, needed - tolerance.rtol * peak))}
    if peak > 0:
        passing["rtol"] = rounded_up(max(0.0, (needed - tolerance.atol) / peak))
    limit = (
        f"{number(allowed)} allowed (atol {number(tolerance.atol)} + rtol "
        f"{number(tolerance.rtol)} × peak {number(peak)})"
    )
    if error <= allowed:
        reason = f"{name} is off by at most {number(error)}, with {limit}."
        yield _Finding(Verdict.PASS, reason, passing)
    else:
        worst = f" in sample {output.worst[0].sample}" if output.worst else ""
        yield _Finding(
            Verdict.FAIL,
            f"{name} is off by up to {number(error)}{worst}, with {limit}; --atol "
            f"{output.name}:{number(passing['atol'])} would pass.",
            passing,
        )
        yield from _dead(name, output, passing)
    if answers is not None:
        yield from _flips_beyond(name, answers, allowed, passing)


def _flips_beyond(
    name: str, answers: ClassifierAgreement, allowed: float, passing: Mapping[str, float]
) -> Iterator[_Finding]:
    # Kept flips are the gravest, so the first tells whether there is any.
    beyond = [f for f in answers.kept_flips if not f.tie and f.gap > 2 * allowed]
    if beyond:
        worst = beyond[0]
        more = "at least " if len(beyond) == len(answers.kept_flips) < answers.flips else ""
        yield _Finding(
            Verdict.FAIL,
            f"{name} gives {more}{count(len(beyond), 'answer')} of {answers.top_1.trials} another "
            f"class across a gap above {number(2 * allowed)}, twice the tolerance, and none may "
            f"(sample {worst.sample}: class {worst.reference_class} became "
            f"{worst.candidate_class} across {number(worst.gap)}).",
            passing,
        )


def _exact(name: str, output: OutputMetrics) -> _Finding:
    total = output.elements + output.nonfinite_differing
    seen = f"{name} differs in {output.differing_elements} of {total} elements"
    if output.differing_elements == 0:
        return _Finding(Verdict.PASS, f"{seen}, with 0 allowed.")
    size = (
        f"{number(output.max_lsb)} LSB"
        if output.max_lsb is not None
        else number(output.max_abs_error or 0.0)
    )
    return _Finding(
        Verdict.FAIL,
        f"{seen} and {output.differing_samples} of {output.samples} samples, by up to {size}, "
        "with 0 allowed.",
    )


def _steps(
    name: str,
    output: OutputMetrics,
    answers: ClassifierAgreement | None,
    expectation: DeploymentExpectation,
) -> Iterator[_Finding]:
    if output.lsb is None:
        yield _Finding(
            Verdict.ERROR,
            f"{name} has scale {output.reference.scale} on the reference and "
            f"{output.candidate.scale} on the candidate, so the two do not come from one file.",
        )
        return
    seen, passing = output.lsb.max_lsb, {"max_lsb": float(output.lsb.max_lsb)}
    differing = f"{output.differing_elements} of {output.elements} elements differ"
    good = seen <= expectation.max_lsb
    yield _Finding(
        Verdict.PASS if good else Verdict.FAIL,
        f"{name} is off by {'at most' if good else 'up to'} {seen} LSB, with "
        f"{expectation.max_lsb} allowed; {differing}.",
        passing,
    )
    if not good:
        yield from _dead(name, output, passing)
    if answers is not None and answers.flips > answers.ties:
        worst = answers.kept_flips[0]
        yield _Finding(
            Verdict.FAIL,
            f"{name} gives {count(answers.flips - answers.ties, 'answer')} of "
            f"{answers.top_1.trials} another class beyond exact ties, with 0 allowed (sample "
            f"{worst.sample}: class {worst.reference_class} became {worst.candidate_class}).",
        )


def _compression(
    name: str,
    output: OutputMetrics,
    answers: ClassifierAgreement | None,
    expectation: CompressionExpectation,
) -> Iterator[_Finding]:
    yield from _dead(name, output, {})
    yield from frozen_findings(name, output)
    if answers is not None and not expectation.synthetic:
        yield _agreement(name, answers, expectation.min_agreement)
        return
    snr = output.snr_db if output.snr_db is not None else math.inf
    passing = {"min_snr_db": math.floor(snr * 10) / 10} if math.isfinite(snr) else {}
    seen = f"{name} has an SNR of {number(snr)} dB, with {number(expectation.min_snr_db)} required"
    if answers is not None:
        top = answers.top_1
        seen += (
            f"; {top.successes} of {top.trials} answers agree, which synthetic inputs show but do "
            "not gate"
        )
    good = snr >= expectation.min_snr_db
    yield _Finding(Verdict.PASS if good else Verdict.FAIL, f"{seen}.", passing)
    yield from variation_findings(name, output, expectation)


def _agreement(name: str, answers: ClassifierAgreement, required: float) -> _Finding:
    top = answers.top_1
    if top.rate is None:
        return _Finding(
            Verdict.ERROR,
            f"{name} gave no answer in {answers.undecided} samples on both sides, so agreement "
            "cannot be judged.",
        )
    passing = {"min_agreement": rounded_down(top.low)}
    seen = (
        f"{name} agrees on {top.successes} of {top.trials} answers ({percent(top.rate)}; "
        f"{percent(top.confidence)} interval {percent(top.low)} to {percent(top.high)}), with "
        f"{percent(required)} required"
    )
    # No number of samples proves a rate of one: there, none may disagree.
    if top.low >= required or (required >= 1 and top.successes == top.trials):
        return _Finding(Verdict.PASS, f"{seen}.", passing)
    if top.high < required:
        return _Finding(Verdict.FAIL, f"{seen}.", passing)
    return _Finding(Verdict.INCONCLUSIVE, f"{seen}: {_more_samples(answers, required)}.", passing)


def _more_samples(answers: ClassifierAgreement, required: float) -> str:
    top = answers.top_1
    assert top.rate is not None
    cannot = f"{count(top.trials, 'sample')} cannot decide"
    at_rate = trials_to_decide(top.rate, required, top.confidence)
    if at_rate is None:
        return f"{cannot}, and at this very rate no number would"
    outcome = "pass" if top.rate > required else "fail"
    hint = f"{cannot}; about {at_rate} at this rate would ({outcome})"
    perfect = trials_to_decide(1.0, required, top.confidence)
    if perfect is not None and perfect < at_rate:
        hint += f", and {perfect} if all agreed"
    return hint
