"""What the history keeps of a run: the figures that are worth comparing with other runs'."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.exporter.recipe import FLOAT32
from devdiff.history import database_path
from devdiff.ladder.ladder import on_the_way

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devdiff.report.model import PairRecord, Report, RungRecord

NO_DEVICE: Final = "none"
WHOLE_WAY: Final = "all"


@dataclass(frozen=True, slots=True)
class RungFigures:
    """One rung: what ran, and milliseconds a sample (median and 90th percentile)."""

    name: str
    sha256: str
    runtime: str
    runtime_sha256: str | None
    samples: int
    median_ms: float | None
    p90_ms: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One output across one step; ``output`` is empty when nothing could be compared.

    ``agreed`` of ``answered`` samples got the same top answer (both None for what is no
    classifier); ``snr_db`` is infinite where nothing differs.
    """

    step: str
    reference: str
    candidate: str
    counts: bool
    verdict: str
    output: str
    agreed: int | None
    answered: int | None
    snr_db: float | None
    max_abs_error: float | None
    max_lsb: float | None

    @property
    def agreement(self) -> float | None:
        """Share of samples with the same top answer."""
        return self.agreed / self.answered if self.agreed is not None and self.answered else None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. ``key`` names it, however often it is continued; ``finished`` is UTC in ISO form.

    ``compression`` and ``device`` are as people call them; ``serial`` is the device's.
    ``culprit`` is the step that failed, ``scan`` a scan's verdict. ``project`` is the folder of the
    project that it was run in.
    """

    key: str
    finished: str
    version: str
    model: str
    model_sha256: str
    compression: str
    device: str
    serial: str | None
    samples: int
    synthetic: bool
    inputs_sha256: str
    verdict: str
    culprit: str | None
    scan: str | None
    summary: str
    directory: str
    project: str = ""
    rungs: tuple[RungFigures, ...] = ()
    steps: tuple[StepFigures, ...] = ()

    def worst(self, step: str) -> StepFigures | None:
        """The output that came worst through a step: by agreement, else by SNR."""
        found = [figures for figures in self.steps if figures.step == step]
        return min(found, key=_goodness, default=None)

    def latency(self, rung: str) -> float | None:
        """Median milliseconds a sample on a rung."""
        return next(
            (rung_figures.median_ms for rung_figures in self.rungs if rung_figures.name == rung),
            None,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinities are the string ``inf``, as in the report."""
        return {
            **asdict(self),
            "rungs": [asdict(rung) for rung in self.rungs],
            "steps": [
                {**asdict(step), "agreement": step.agreement, "snr_db": _text(step.snr_db)}
                for step in self.steps
            ],
        }


def from_report(report: Report, run: Mapping[str, Any], directory: Path) -> RunRecord:
    """The record of a report, given its run directory and what ``run.json`` in it says."""
    named = f"{run['fingerprint']}\n{run['started']}\n{directory.resolve()}"
    device, serial = device_of(report)
    return RunRecord(
        key=hashlib.sha256(named.encode()).hexdigest(),
        finished=report.finished,
        version=report.devdiff,
        model=report.model.name,
        model_sha256=report.model.sha256,
        compression=compression_of(report),
        device=device,
        serial=serial,
        samples=report.inputs.samples,
        synthetic=report.inputs.synthetic,
        inputs_sha256=report.inputs.sha256,
        verdict=report.verdict.value,
        culprit=report.attribution.step if report.attribution is not None else None,
        scan=report.scan.verdict if report.scan is not None else None,
        summary=report.summary,
        directory=str(directory.resolve()),
        project=str(database_path.project(Path.cwd())),
        rungs=tuple(map(_rung, report.rungs)),
        steps=tuple(figures for pair in report.pairs for figures in _steps(pair)),
    )


def compression_of(report: Report) -> str:
    """What was done to the model that ships, by its recipe's name where devdiff made it.

    ``int8-per-tensor``, ``prune:0.5+int8``, ``float16``, ``none``.
    """
    shipped = [rung for rung in report.rungs if on_the_way(rung.name)][-1]
    recipe: str | None = next(
        (
            artifact.recipe.name
            for artifact in report.artifacts
            if artifact.sha256 == shipped.model.sha256
            and artifact.recipe.precision != FLOAT32.precision
        ),
        None,
    )
    if recipe is None and shipped.precision != FLOAT32.precision:
        recipe = shipped.precision
    return "+".join(filter(None, (shipped.pruning, recipe))) or "none"


def device_of(report: Report) -> tuple[str, str | None]:
    """The device as people call it, and its serial where it is one."""
    rung = report.rung("device")
    if rung is None:
        return NO_DEVICE, None
    device = rung.identity.device
    if device is None or isinstance(device, str):
        return device or rung.runner, None
    if device.virtual:
        return " ".join(["virtual", *device.cores]), device.serial
    return device.model or device.serial, device.serial


def _rung(rung: RungRecord) -> RungFigures:
    identity, library = rung.identity, rung.identity.library
    name = (library.origin if library is not None else None) or identity.runtime or rung.runner
    version = rung.runtime_version or identity.version
    return RungFigures(
        name=rung.name,
        sha256=rung.model.sha256,
        runtime=name if not version or version in name else f"{name} {version}",
        runtime_sha256=library.sha256 if library is not None else None,
        samples=rung.samples,
        median_ms=rung.time.median_ms,
        p90_ms=rung.time.p90_ms,
        error=rung.error,
    )


def _steps(pair: PairRecord) -> Iterator[StepFigures]:
    answers = {answered.output: answered.top_1 for answered in pair.classifications}
    for output in pair.outputs or (None,):
        top_1 = answers.get(output.name) if output is not None else None
        yield StepFigures(
            step=pair.step,
            reference=pair.reference,
            candidate=pair.candidate,
            counts=pair.gates,
            verdict=pair.judgement.verdict.value,
            output=output.name if output is not None else "",
            agreed=top_1.successes if top_1 is not None else None,
            answered=top_1.trials if top_1 is not None else None,
            snr_db=output.snr_db if output is not None else None,
            max_abs_error=output.max_abs_error if output is not None else None,
            max_lsb=output.max_lsb if output is not None else None,
        )


def _goodness(figures: StepFigures) -> tuple[float, float]:
    agreement, snr = figures.agreement, figures.snr_db
    return (
        math.inf if agreement is None else agreement,
        -math.inf if snr is None else snr,
    )


def _text(value: float | None) -> float | str | None:
    return str(value) if value is not None and not math.isfinite(value) else value
