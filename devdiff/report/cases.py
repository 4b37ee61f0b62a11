"""A report as a list of cases, one for each output of each step: what other programs count."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from devdiff.errors import UsageError

HOST: Final = "host"
ALL_OUTPUTS: Final = "all outputs"


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
    verdict: str
    reasons: tuple[str, ...]
    metrics: Mapping[str, Any] | None
    answers: Mapping[str, Any] | None

    @property
    def pair(self) -> str:
        return f"{self.reference} → {self.candidate}"


def cases(report: Mapping[str, Any]) -> tuple[Case, ...]:
    """All cases of a valid report. A step that could not be compared has one for each output."""
    counting = [pair for pair in report["pairs"] if pair["gates"]]
    # As the verdict has it: where nothing counts and nothing else decides, everything does.
    alone = not counting and "scan" not in report and not broken(report)
    return tuple(
        case
        for pair in report["pairs"]
        for case in _of_pair(report, pair, counts=pair["gates"] or alone)
    )


def broken(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The rungs that could not run."""
    return tuple(rung["name"] for rung in report["rungs"] if rung["error"] is not None)


def device_of(report: Mapping[str, Any], rung: str) -> str:
    """Where a rung ran, by a name that is the same whether it ran or not, and run after run."""
    if rung != "device":
        return HOST
    running = report["options"].get("running")
    asked = running.get("device") if isinstance(running, Mapping) else None
    if isinstance(asked, str) and asked.partition(":")[0] == "virtual":
        return asked
    return next((str(one["runner"]) for one in report["rungs"] if one["name"] == rung), HOST)


def finished(report: Mapping[str, Any]) -> datetime.datetime:
    """When the run ended, in UTC. Raises `UsageError`."""
    try:
        when = datetime.datetime.fromisoformat(report["finished"])
        return when.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"this is not a report of devdiff: it was finished at {report['finished']!r}"
        ) from error


def _of_pair(report: Mapping[str, Any], pair: Mapping[str, Any], counts: bool) -> tuple[Case, ...]:
    judgement = pair["judgement"]
    comparison = pair["comparison"]
    judged = judgement.get("outputs", {})
    metrics = {one["name"]: one for one in (comparison or {}).get("outputs", ())}
    answers = {one["output"]: one for one in (comparison or {}).get("classifications", ())}
    texts = {reason for one in judged.values() for reason in one["reasons"]}
    of_all = tuple(reason for reason in judgement["reasons"] if reason not in texts)
    found = []
    for name in metrics or _outputs(report):
        own = judged.get(name)
        verdict, reasons = judgement["verdict"], tuple(judgement["reasons"])
        if own is not None:
            verdict, reasons = own["verdict"], tuple(own["reasons"])
            if verdict == judgement["verdict"]:
                reasons += of_all
        found.append(
            Case(
                step=pair["step"],
                reference=pair["reference"],
                candidate=pair["candidate"],
                output=name,
                device=device_of(report, pair["candidate"]),
                counts=counts,
                verdict=verdict,
                reasons=reasons,
                metrics=metrics.get(name),
                answers=answers.get(name),
            )
        )
    return tuple(found)


def _outputs(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The model's outputs, as another step or the manifest names them."""
    for pair in report["pairs"]:
        if pair["comparison"] is not None and pair["comparison"]["outputs"]:
            return tuple(output["name"] for output in pair["comparison"]["outputs"])
    for record in (report["manifest"] or {}).get("artifacts", ()):
        return tuple(binding["source"]["name"] for binding in record["outputs"])
    return (ALL_OUTPUTS,)
