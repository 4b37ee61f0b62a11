"""A report as a list of cases, one for each output of each step: what other programs count."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from devdiff.comparison import ClassifierAgreement, OutputMetrics
from devdiff.errors import UsageError
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from devdiff.report.model import PairRecord, Report

HOST: Final = "host"
ALL_OUTPUTS: Final = "all outputs"


class Finished(Protocol):
    """A record with the time that it was finished, in ISO form."""

    @property
    def finished(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Case:
    """One output of the step from ``reference`` to ``candidate``, which ran on ``device``.

    ``counts`` says whether the report's verdict depends on it. ``metrics`` and ``answers`` are the
    report's figures of the output, None where nothing was compared or there are no answers.
    """

    step: str
    reference: str
    candidate: str
    output: str
    device: str
    counts: bool
    verdict: Verdict
    reasons: tuple[str, ...]
    metrics: OutputMetrics | None
    answers: ClassifierAgreement | None

    @property
    def pair(self) -> str:
        return f"{self.reference} → {self.candidate}"


def cases(report: Report) -> tuple[Case, ...]:
    """All cases of a valid report. A step that could not be compared has one for each output."""
    counting = [pair for pair in report.pairs if pair.gates]
    # As the verdict has it: where nothing counts and nothing else decides, everything does.
    alone = not counting and report.scan is None and not broken(report)
    return tuple(
        case for pair in report.pairs for case in _of_pair(report, pair, counts=pair.gates or alone)
    )


def broken(report: Report) -> tuple[str, ...]:
    """The rungs that could not run."""
    return tuple(rung.name for rung in report.rungs if rung.error is not None)


def device_of(report: Report, rung: str) -> str:
    """Where a rung ran, by a name that is the same whether it ran or not, and run after run."""
    if rung != "device":
        return HOST
    running = report.options.running
    asked = running.device if running is not None else None
    if asked is not None and asked.partition(":")[0] == "virtual":
        return asked
    found = report.rung(rung)
    return HOST if found is None else found.runner


def finished(record: Finished) -> datetime.datetime:
    """When the run ended, in UTC. Raises `UsageError`."""
    try:
        when = datetime.datetime.fromisoformat(record.finished)
        return when.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"this is not a report of devdiff: it was finished at {record.finished!r}"
        ) from error


def _of_pair(report: Report, pair: PairRecord, counts: bool) -> tuple[Case, ...]:
    judgement = pair.judgement
    judged = judgement.outputs
    metrics = {output.name: output for output in pair.outputs}
    answers = {answered.output: answered for answered in pair.classifications}
    texts = {reason for entry in judged.values() for reason in entry.reasons}
    of_all = tuple(reason for reason in judgement.reasons if reason not in texts)
    found = []
    for name in metrics or _outputs(report):
        own = judged.get(name)
        verdict, reasons = judgement.verdict, judgement.reasons
        if own is not None:
            verdict, reasons = own.verdict, own.reasons
            if verdict == judgement.verdict:
                reasons += of_all
        found.append(
            Case(
                step=pair.step,
                reference=pair.reference,
                candidate=pair.candidate,
                output=name,
                device=device_of(report, pair.candidate),
                counts=counts,
                verdict=verdict,
                reasons=reasons,
                metrics=metrics.get(name),
                answers=answers.get(name),
            )
        )
    return tuple(found)


def _outputs(report: Report) -> tuple[str, ...]:
    """The model's outputs, as another step or the manifest names them."""
    for pair in report.pairs:
        if pair.outputs:
            return tuple(output.name for output in pair.outputs)
    for record in report.artifacts:
        return tuple(binding.source.name for binding in record.outputs)
    return (ALL_OUTPUTS,)
