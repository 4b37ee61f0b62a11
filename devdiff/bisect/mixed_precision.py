"""What keeping a layer in float brings, measured: exported again that way, and run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.bisect import subject
from devdiff.compare import PairComparison, RungOutputs, compare
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.exporter.errors import ExporterError
from devdiff.exporter.manifest import ArtifactRecord, bind
from devdiff.exporter.recipe import FLOAT32, INT8
from devdiff.exporter.worker_client import ExportWorker
from devdiff.ladder import ladder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.bisect.side_by_side import BenchSide
    from devdiff.bisect.subject import BisectRequest, BisectSubject
    from devdiff.exporter.artifact import Artifact
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import RungResult
    from devdiff.ladder.run_directory import RunDirectory
    from devdiff.progress import Events

_SAMPLES: Final = 200
"""Outputs are cheap to compare: more samples than the layers are looked at with."""
_NO_SOURCE: Final = (
    "not measured: it takes the source model and a representative dataset (bisect the run, or give "
    "--source)"
)


def measure(
    request: BisectRequest,
    target: BisectSubject,
    floating: BenchSide,
    quantized: BenchSide,
    ranked: Sequence[Mapping[str, Any]],
    run: RunDirectory,
    events: Events,
) -> dict[str, Any]:
    """Export int8 with each of the costliest layers in float, and with all of them.

    ``ranked`` are layers of the profile, the costliest first. What cannot be done is said in words;
    it takes nothing away from the profile.
    """
    source = target.read.source
    chosen = list(ranked[: request.settings.keep_float])
    if source is None or not target.samples.calibration_samples:
        return {"skipped": _NO_SOURCE}
    if not chosen:
        return {"skipped": "not measured: no layer was measured alone"}
    sets = [[], *([row] for row in chosen), *([chosen] if len(chosen) > 1 else [])]
    path = source.path
    if target.manifest is not None and target.manifest.pruned is not None:
        path = target.manifest.pruned_source(request.model.path / "artifacts")
    events.phase("exporting again with layers in float")
    try:
        with ExportWorker(run.logs / "export.log") as worker:
            worker.describe(path, target.shapes, source.signature, source.trust)
            records = worker.keep_float(
                run.artifacts,
                [[row["name"] for row in rows] for rows in sets],
                target.samples.calibration_arrays,
                events.phase,
            )
    except ExporterError as error:
        return {"skipped": f"not measured: {error}"}
    samples = subject.chosen(target.samples, range(min(_SAMPLES, len(target.samples))))
    judge = _Judge(floating, quantized, samples, run.rungs, target, events)
    plain = records[0]
    if isinstance(plain, str):
        return {"skipped": f"not measured: {plain}"}
    variants = []
    for rows, record in zip(sets, records, strict=True):
        entry: dict[str, Any] = {"layers": [row["index"] for row in rows]}
        if isinstance(record, str):
            entry["refused"] = record
        elif rows and not _keeps(record, plain):
            entry["refused"] = "the quantizer does not part this layer from its neighbours"
        else:
            entry |= judge.outputs(bind(record, run.artifacts), record)
            entry["float_operators"] = dict(record.float_operators)
        variants.append(entry)
    return {"samples": len(samples), "shipped": judge.shipped(), "variants": variants}


def _keeps(record: ArtifactRecord, plain: ArtifactRecord) -> bool:
    """Whether more computes in float than a DEQUANTIZE, which every boundary has."""
    own, usual = dict(record.float_operators), dict(plain.float_operators)
    return any(count > usual.get(kind, 0) for kind, count in own.items() if kind != "DEQUANTIZE")


class _Judge:
    """The float model's outputs, and how far others' are from them."""

    def __init__(
        self,
        floating: BenchSide,
        quantized: BenchSide,
        samples: InputSet,
        folder: Path,
        target: BisectSubject,
        events: Events,
    ) -> None:
        self._quantized = quantized
        self._samples = samples
        self._folder = folder / "kept"
        self._folder.mkdir(exist_ok=True)
        self._timeout_s = target.running.timeout_s
        self._events = events
        runner = quantized.runner
        self._runner = runner if isinstance(runner, HostRunner) else HostRunner()
        rung = ladder.artifact_rung("float", floating.artifact, FLOAT32, self._runner)
        self._reference = self._run(rung)

    def shipped(self) -> dict[str, Any]:
        artifact = self._quantized.artifact
        return self._against(ladder.artifact_rung("int8", artifact, INT8, self._runner))

    def outputs(self, artifact: Artifact, record: ArtifactRecord) -> dict[str, Any]:
        name = Path(record.file).stem
        found = self._against(ladder.artifact_rung(name, artifact, INT8, self._runner))
        return found | {"bytes": record.bytes}

    def _run(self, rung: ladder.Rung) -> RungResult:
        self._events.phase(f"running {rung.name}")
        result = ladder.run_rung(
            rung,
            self._samples,
            self._folder,
            self._folder / "log.txt",
            self._timeout_s,
            lambda done: self._events.progress(done, len(self._samples)),
        )
        if result.error:
            raise RunnerError(f"{rung.model.name} could not run: {result.error}")
        return result

    def _against(self, rung: ladder.Rung) -> dict[str, Any]:
        sides = [
            RungOutputs(result.name, result.pack, result.outputs)
            for result in (self._reference, self._run(rung))
        ]
        return _told(compare(sides[0], sides[1]))


def _told(pair: PairComparison) -> dict[str, Any]:
    """The worst output's signal-to-noise ratio, and how often the first classifier agrees."""
    ratios = [output.snr_db for output in pair.outputs if output.snr_db is not None]
    worst = min(ratios, default=None)
    agreement = next((classification.top_1 for classification in pair.classifications), None)
    return {
        "sqnr_db": "inf" if worst == float("inf") else worst,
        "agreement": (
            {"successes": agreement.successes, "trials": agreement.trials,
             "low": agreement.low, "high": agreement.high}
            if agreement is not None
            else None
        ),
    }  # fmt: skip
