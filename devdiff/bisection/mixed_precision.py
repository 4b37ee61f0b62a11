"""What keeping a layer in float brings, measured: exported again that way, and run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.bisection import subject
from devdiff.comparison import PairComparison, RungOutputs, compare
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.exporter.errors import ExporterError
from devdiff.exporter.manifest import ArtifactRecord, bind
from devdiff.exporter.recipe import FLOAT32, INT8
from devdiff.exporter.worker_client import ExportWorker
from devdiff.ladder import ladder
from devdiff.report.model.bisect import Agreeing, FloatVariant, KeptInFloat, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.bisection.side_by_side import BenchSide
    from devdiff.bisection.subject import BisectRequest, BisectSubject
    from devdiff.exporter.artifact import Artifact
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import RungResult
    from devdiff.ladder.run_directory import RunDirectory
    from devdiff.progress import Events
    from devdiff.report.model.bisect import LayerRecord

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
    ranked: Sequence[LayerRecord],
    run: RunDirectory,
    events: Events,
) -> KeptInFloat:
    """Export int8 with each of the costliest layers in float, and with all of them.

    ``ranked`` are layers of the profile, the costliest first. What cannot be done is said in words;
    it takes nothing away from the profile.
    """
    source = target.read.source
    chosen = list(ranked[: request.settings.keep_float])
    if source is None or not target.samples.calibration_samples:
        return KeptInFloat(skipped=_NO_SOURCE)
    if not chosen:
        return KeptInFloat(skipped="not measured: no layer was measured alone")
    sets: list[list[LayerRecord]] = [
        [],
        *([row] for row in chosen),
        *([chosen] if len(chosen) > 1 else []),
    ]
    path = source.path
    if target.manifest is not None and target.manifest.pruned is not None:
        path = target.manifest.pruned_source(request.model.path / "artifacts")
    events.phase("exporting again with layers in float")
    try:
        with ExportWorker(run.logs / "export.log") as worker:
            worker.describe(path, target.shapes, source.signature, source.trust)
            records = worker.keep_float(
                run.artifacts,
                [[row.name for row in rows] for rows in sets],
                target.samples.calibration_arrays,
                events.phase,
            )
    except ExporterError as error:
        return KeptInFloat(skipped=f"not measured: {error}")
    samples = subject.chosen(target.samples, range(min(_SAMPLES, len(target.samples))))
    judge = _Judge(floating, quantized, samples, run.rungs, target, events)
    plain = records[0]
    if isinstance(plain, str):
        return KeptInFloat(skipped=f"not measured: {plain}")
    variants = []
    for rows, record in zip(sets, records, strict=True):
        layers = tuple(row.index for row in rows)
        if isinstance(record, str):
            variants.append(FloatVariant(layers, refused=record))
        elif rows and not _keeps(record, plain):
            reason = "the quantizer does not part this layer from its neighbours"
            variants.append(FloatVariant(layers, refused=reason))
        else:
            quality = judge.outputs(bind(record, run.artifacts), record)
            variants.append(
                FloatVariant(
                    layers,
                    sqnr_db=quality.sqnr_db,
                    agreement=quality.agreement,
                    bytes=record.bytes,
                    float_operators=dict(record.float_operators),
                )
            )
    return KeptInFloat(samples=len(samples), shipped=judge.shipped(), variants=tuple(variants))


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

    def shipped(self) -> Quality:
        artifact = self._quantized.artifact
        return self._against(ladder.artifact_rung("int8", artifact, INT8, self._runner))

    def outputs(self, artifact: Artifact, record: ArtifactRecord) -> Quality:
        name = Path(record.file).stem
        return self._against(ladder.artifact_rung(name, artifact, INT8, self._runner))

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

    def _against(self, rung: ladder.Rung) -> Quality:
        sides = [
            RungOutputs(result.name, result.pack, result.outputs)
            for result in (self._reference, self._run(rung))
        ]
        return _quality(compare(sides[0], sides[1]))


def _quality(pair: PairComparison) -> Quality:
    """The worst output's signal-to-noise ratio, and how often the first classifier agrees."""
    ratios = [output.snr_db for output in pair.outputs if output.snr_db is not None]
    agreement = next((classification.top_1 for classification in pair.classifications), None)
    return Quality(
        sqnr_db=min(ratios, default=None),
        agreement=None
        if agreement is None
        else Agreeing(agreement.successes, agreement.trials, agreement.low, agreement.high),
    )
