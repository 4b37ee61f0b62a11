"""What a report comes to, output by output: small enough to keep, enough to tell better from worse.

A step is judged by one measure an output, the one `devdiff.comparison.judge` holds against a limit;
that is also the one that may get worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from devdiff.comparison import (
    ClassifierAgreement,
    CompressionExpectation,
    DeploymentExpectation,
    Expectation,
    OutputMetrics,
    PairComparison,
    judge,
)
from devdiff.report.rejudge import expectation_of
from devdiff.system.typed_json import Extended, fields
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from devdiff.report.model import DataCheckSection, PairRecord, Report, RungRecord, ScanSection

BY_AGREEMENT: Final = "agreement"
BY_SNR: Final = "snr"
BY_STEPS: Final = "lsb"
BY_EQUALITY: Final = "differing"
BY_ERROR: Final = "error"


@dataclass(frozen=True, slots=True)
class AgreementSummary:
    """Top-1 agreement; ``flipped`` are the samples with another answer, None when not all are
    known."""

    agreed: int
    samples: int
    flipped: tuple[int, ...] | None

    @property
    def rate(self) -> float:
        return self.agreed / self.samples if self.samples else math.nan


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """One output of one step, its own verdict, and what it was judged by (``measure``).

    Errors are in the output's units, ``allowed`` is the largest error allowed where errors are
    judged. ``broken`` counts elements that are NaN or infinite on one side only, and samples of
    another shape; ``flips`` answers that changed beyond exact ties.
    """

    name: str
    verdict: Verdict
    reasons: tuple[str, ...]
    measure: str
    agreement: AgreementSummary | None
    snr_db: Extended | None
    max_lsb: Extended | None
    max_error: Extended | None
    allowed: Extended | None
    differing: int
    broken: int
    flips: int


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step that counts; without ``outputs`` when it could not be compared."""

    step: str
    reference: str
    candidate: str
    verdict: Verdict
    reasons: tuple[str, ...]
    outputs: tuple[OutputFacts, ...]

    @property
    def title(self) -> str:
        return f"{self.step} ({self.reference} → {self.candidate})"

    @property
    def agreement(self) -> AgreementSummary | None:
        """The lowest of its outputs."""
        agreements = [
            output.agreement
            for output in self.outputs
            if output.agreement and output.agreement.samples
        ]
        return min(agreements, key=lambda agreement: agreement.rate, default=None)


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What a scan came to; ``target``, ``source`` and ``kind`` are of a finding."""

    verdict: str
    reason: str
    output: str | None
    target: int | None
    source: int | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """One report. ``runtimes`` and ``median_ms`` are by rung, ``limits`` the gates as text;
    ``unsuited`` says why inputs and labels do not suit the model, where they do not."""

    model: str
    model_sha256: str
    inputs_sha256: str
    samples: int
    verdict: Verdict
    summary: str
    steps: tuple[StepFacts, ...]
    whole: StepFacts | None
    scan: ScanFacts | None
    broken_rungs: Mapping[str, str]
    runtimes: Mapping[str, str]
    median_ms: Mapping[str, float]
    limits: Mapping[str, str]
    unsuited: str | None = None

    @classmethod
    def of(cls, report: Report) -> Facts:
        """The facts in a valid report."""
        rungs = {rung.name: rung for rung in report.rungs}
        times = {name: rung.time.median_ms for name, rung in rungs.items()}
        pairs = {pair.step: pair for pair in report.pairs if not pair.gates}
        limits = fields(report.options.gates) if report.options.gates is not None else {}
        return cls(
            model=report.model.name,
            model_sha256=report.model.sha256,
            inputs_sha256=report.inputs.sha256,
            samples=report.inputs.samples,
            verdict=report.verdict,
            summary=report.summary,
            steps=tuple(_step(pair, report) for pair in report.pairs if pair.gates),
            whole=_step(pairs["all"], report) if "all" in pairs else None,
            scan=_scan(report.scan) if report.scan is not None else None,
            broken_rungs={n: str(rung.error) for n, rung in rungs.items() if rung.error},
            runtimes={name: _runtime(rung) for name, rung in rungs.items()},
            median_ms={name: time for name, time in times.items() if time is not None},
            limits={
                key: _limit_text(value) for key, value in limits.items() if value not in ([], None)
            },
            unsuited=_unsuited(report.data_check),
        )

    @property
    def agreement(self) -> AgreementSummary | None:
        """What the user feels: of the whole way, else of the step that changed the most."""
        if self.whole is not None:
            return self.whole.agreement
        agreements = [step.agreement for step in self.steps if step.agreement is not None]
        return min(agreements, key=lambda agreement: agreement.rate, default=None)

    @property
    def worst(self) -> StepFacts | None:
        """The step with the gravest verdict; among passes the one that changed the most."""

        def rank(step: StepFacts) -> tuple[float, ...]:
            levels = [output.snr_db for output in step.outputs if output.snr_db is not None]
            rate = step.agreement.rate if step.agreement else 1.0
            return step.verdict.severity, -rate, -min(levels, default=math.inf)

        return max(self.steps, key=rank, default=None)


def _unsuited(check: DataCheckSection | None) -> str | None:
    return check.reason if check is not None and check.verdict == "inconclusive" else None


def _step(pair: PairRecord, report: Report) -> StepFacts:
    judgement = pair.judgement
    outputs: tuple[OutputFacts, ...] = ()
    if pair.comparison is not None:
        found = _outputs(pair.comparison, expectation_of(pair, pair.comparison, report))
        outputs = tuple(_with_lost_inputs(output, pair) for output in found)
    return StepFacts(
        pair.step,
        pair.reference,
        pair.candidate,
        judgement.verdict,
        judgement.reasons,
        outputs,
    )


def _with_lost_inputs(output: OutputFacts, pair: PairRecord) -> OutputFacts:
    """An output that stopped answering an input fails, whatever its numbers."""
    lost = tuple(
        response.reason
        for response in pair.responses
        if response.verdict == "fail" and response.output == output.name
    )
    if not lost:
        return output
    own = () if output.verdict is Verdict.PASS else output.reasons
    return replace(output, verdict=combine((output.verdict, Verdict.FAIL)), reasons=(*lost, *own))


def _outputs(comparison: PairComparison, expectation: Expectation) -> Iterator[OutputFacts]:
    """Each output judged alone, so that a verdict can be told to be its own."""
    for output in comparison.outputs:
        answers = comparison.classification(output.name)
        alone = structs.replace(
            comparison,
            outputs=(output,),
            classifications=(answers,) if answers else (),
            reference_failed=0,
            candidate_failed=0,
            failures=(),
        )
        judged = judge(alone, expectation)
        mismatch = output.shape_mismatch
        measure = _measure(output, answers, expectation)
        allowed = None
        if measure == BY_ERROR and not isinstance(expectation, CompressionExpectation):
            peak = output.reference.peak or 0.0
            allowed = expectation.tolerances.of(output.name).allowed(peak)
        yield OutputFacts(
            name=output.name,
            verdict=judged.verdict,
            reasons=judged.reasons,
            measure=measure,
            agreement=agreement_of(answers) if answers else None,
            snr_db=output.snr_db,
            max_lsb=output.max_lsb,
            max_error=output.max_abs_error,
            allowed=allowed,
            differing=output.differing_elements,
            broken=output.nonfinite_differing + (mismatch.samples if mismatch else 0),
            flips=answers.flips - answers.ties if answers else 0,
        )


def _measure(
    output: OutputMetrics, answers: ClassifierAgreement | None, expectation: Expectation
) -> str:
    """What `judge` holds against a limit there."""
    if isinstance(expectation, CompressionExpectation):
        return BY_AGREEMENT if answers is not None and not expectation.synthetic else BY_SNR
    if isinstance(expectation, DeploymentExpectation) and expectation.exact:
        return BY_EQUALITY
    if isinstance(expectation, DeploymentExpectation) and output.candidate.scale is not None:
        return BY_STEPS
    return BY_ERROR


def agreement_of(answers: ClassifierAgreement) -> AgreementSummary:
    """The agreement of two rungs on a classifier output."""
    kept = tuple(sorted(flip.sample for flip in answers.kept_flips))
    # Flips that are not kept, and samples without an answer, cannot be told one by one.
    whole = len(kept) == answers.flips and not answers.undecided and not answers.lost_answers
    top = answers.top_1
    return AgreementSummary(top.successes, top.trials, kept if whole else None)


def _scan(scan: ScanSection) -> ScanFacts:
    found = scan.verdict == "finding"
    trigger = scan.trigger if found else None
    return ScanFacts(
        verdict=scan.verdict,
        reason=scan.reason,
        output=scan.output,
        target=trigger.target if trigger is not None else None,
        source=trigger.source if trigger is not None else None,
        kind=scan.kind if found else None,
    )


def _runtime(rung: RungRecord) -> str:
    """Which runtime ran the rung, as far as it says so itself."""
    library = rung.identity.library
    origin = library.origin if library is not None else None
    name = rung.reported("runtime") or origin or rung.runner
    return f"{name} {rung.runtime_version or 'version unknown'}"


def _limit_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
