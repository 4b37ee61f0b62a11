"""``recipes.json``: what each compression of a model came to, for programs."""

from __future__ import annotations

import datetime
import importlib.metadata
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from devdiff.comparison.intervals import Proportion
from devdiff.exporter.artifact import sha256_file
from devdiff.exporter.recipe import Recipe
from devdiff.gate.summary import Facts
from devdiff.ladder.run_directory import REPORT_NAME
from devdiff.report.model.task import EstimateRecord
from devdiff.system.exit_code import ExitCode
from devdiff.system.typed_json import Count, Extended, Record, Sha256, fields
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.report.model import Report

RECORD_NAME: Final = "recipes.json"
KIND: Final = "devdiff recipes"
SCHEMA_VERSION: Final = 2


class Agreement(Record, frozen=True):
    agreed: Count
    samples: Count


class MetricRecord(EstimateRecord, frozen=True):
    """The task's first metric on the last rung, with its interval."""

    name: str


class Milliseconds(Record, frozen=True):
    """Medians a sample."""

    host: float | None
    device: float | None


class RowRecord(Record, frozen=True):
    """What came of one compression; ``error`` says why it could not be made or tested at all, and
    then there is nothing else.

    ``agreement`` is top-1, of the whole way from the first rung to the last; ``snr_db`` the lowest
    among the outputs, of the whole way; ``accuracy`` that of the last rung with an exact interval,
    null without labels; ``metric`` null without a task. Sizes are in bytes.
    """

    compression: str
    verdict: Verdict
    error: str | None = None
    summary: str | None = None
    report: str | None = None
    report_sha256: Sha256 | None = None
    artifact_sha256: Sha256 | None = None
    bytes: Count | None = None
    recipe: Recipe | None = None
    samples: Count | None = None
    inputs_sha256: Sha256 | None = None
    agreement: Agreement | None = None
    snr_db: Extended | None = None
    accuracy: Proportion | None = None
    metric: MetricRecord | None = None
    ms_per_sample: Milliseconds = Milliseconds(None, None)


class RecipesRecord(Record, frozen=True):
    """One model compressed in several ways, each tested on the same samples."""

    kind: Literal["devdiff recipes"]
    schema_version: Literal[2]
    devdiff: str
    finished: str
    model: str
    verdict: Verdict
    exit_code: ExitCode
    summary: str
    compressions: Annotated[tuple[RowRecord, ...], msgspec.Meta(min_length=2)]
    command: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinities are the strings ``"inf"`` and ``"-inf"``."""
        return fields(self)


def row(compression: str, folder: Path, report: Report | None, error: str | None) -> RowRecord:
    """What a record says of one compression.

    ``report`` None stands for a test that could not be made, for the reason ``error``.
    """
    if report is None:
        return RowRecord(compression, Verdict.ERROR, error=error)
    facts = Facts.of(report)
    whole = facts.whole or (facts.steps[-1] if facts.steps else None)
    levels = (
        [output.snr_db for output in whole.outputs if output.snr_db is not None] if whole else []
    )
    shipped = report.artifacts[-1]
    agreement = facts.agreement
    on_host = _on_host(report, shipped.sha256)
    hosts = [rung.name for rung in report.rungs if rung.name in on_host]
    return RowRecord(
        compression=compression,
        verdict=facts.verdict,
        summary=facts.summary,
        report=f"{folder.name}/{REPORT_NAME}",
        report_sha256=sha256_file(folder / REPORT_NAME),
        artifact_sha256=shipped.sha256,
        bytes=shipped.bytes,
        recipe=shipped.recipe,
        samples=facts.samples,
        inputs_sha256=facts.inputs_sha256,
        agreement=Agreement(agreement.agreed, agreement.samples) if agreement else None,
        snr_db=min(levels, default=None),
        accuracy=_accuracy(report),
        metric=_metric(report),
        ms_per_sample=Milliseconds(
            host=facts.median_ms.get(hosts[-1]) if hosts else None,
            device=facts.median_ms.get("device"),
        ),
    )


def build(model: str, rows: Sequence[RowRecord], command: Sequence[str]) -> RecipesRecord:
    """The record; its verdict is the gravest among the compressions."""
    verdict = combine(row.verdict for row in rows)
    passed = sum(row.verdict is Verdict.PASS for row in rows)
    return RecipesRecord(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        devdiff=importlib.metadata.version("devdiff"),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=model,
        verdict=verdict,
        exit_code=verdict.exit_code,
        summary=f"{passed} of {len(rows)} compressions passed",
        compressions=tuple(rows),
        command=tuple(command),
    )


def _on_host(report: Report, sha256: str) -> set[str]:
    """The rungs on which the artifact that ships was run on the host."""
    return {
        rung.name
        for rung in report.rungs
        if rung.model.sha256 == sha256 and rung.name != "device" and "@" not in rung.name
    }


def _accuracy(report: Report) -> Proportion | None:
    """Right answers of the last rung, with its interval; None without labels."""
    last = [pair for pair in report.pairs if pair.comparison is not None][-1:]
    for pair in last:
        for answers in pair.classifications:
            if answers.accuracy is not None:
                return answers.accuracy.candidate
    return None


def _metric(report: Report) -> MetricRecord | None:
    """The first metric of the model's task on the last rung; None without one."""
    if report.task is None:
        return None
    name = report.task.metrics[0].name
    last = [rung for rung in report.task.rungs if "@" not in rung.rung][-1]
    found = last.values.get(name)
    return None if found is None else MetricRecord(found.value, found.low, found.high, name)
