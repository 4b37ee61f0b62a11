"""How an artifact's tensors are paired with the source's, and the proof of it by running.

Names and shapes can leave a choice: equal dimensions that may stand in any order, renamed inputs
that may be exchanged. Every pairing that fits is then run on a few samples, and the one that
answers like the source is taken.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from devdiff.comparison.rungs import RungOutputs, sample_outputs
from devdiff.comparison.wording import count
from devdiff.device_runner.errors import DeviceRunnerError
from devdiff.device_runner.host.host_runner import SOURCE_RUNNER, HostRunner
from devdiff.device_runner.pack import PackTensor
from devdiff.device_runner.runner import Job
from devdiff.errors import ComparisonError
from devdiff.exporter.artifact import Array, Binding
from devdiff.exporter.binding import fitting, input_choices, output_choices, paired_by_name
from devdiff.exporter.manifest import ArtifactRecord, Manifest, SourceModel
from devdiff.exporter.sources.formats import THROUGH_ONNX
from devdiff.inputs.input_set import InputSet
from devdiff.ladder import ladder
from devdiff.ladder.subject import FinishedArtifact, Subject, source_runner
from devdiff.progress import Events

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from devdiff.ladder.ladder import Rung

By = Literal["export", "manifest", "name", "order", "running", "itself"]

# Runs of the artifact in all, shared among the pairings that are tried.
_RUNS: Final = 16
_LEAST_SAMPLES: Final = 2
# What their outputs may take in memory, before there are fewer samples.
_MOST_BYTES: Final = 1 << 28
# Error energy beside the source's under which an answer is the source's: -40 dB in float; what
# quantization alone may add is far from what a wrong pairing does.
_FLOAT_ERROR: Final = 1e-4
_QUANTIZED_ERROR: Final = 0.3


@dataclass(frozen=True, slots=True)
class TensorPairing:
    """How the tensors of one artifact were paired with the source's, and why so."""

    file: str
    by: By
    reason: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]

    def to_json(self) -> dict[str, Any]:
        def side(bindings: Sequence[Binding]) -> list[dict[str, Any]]:
            return [
                {
                    "source": binding.source.name,
                    "artifact": binding.artifact.name,
                    "axes": list(binding.permutation),
                }
                for binding in bindings
            ]

        return {
            "file": self.file,
            "by": self.by,
            "reason": self.reason,
            "inputs": side(self.inputs),
            "outputs": side(self.outputs),
        }


@dataclass(frozen=True, slots=True)
class Paired:
    """A model whose artifacts are bound as well as can be known."""

    subject: Subject
    manifest: Manifest | None
    pairings: tuple[TensorPairing, ...]


def pair(
    read: Subject,
    manifest: Manifest | None,
    samples: InputSet,
    artifacts: Path,
    folder: Path,
    runner: HostRunner,
    timeout_s: float,
    events: Events,
) -> Paired:
    """``read`` and ``manifest`` with their bindings proven where there is a choice.

    ``artifacts`` is the export's folder; runs are made in ``folder``. What cannot be run is left as
    names and shapes have it, and said so.
    """
    trial = _Trial(read, samples, folder, runner, timeout_s, events)
    if manifest is not None:
        return trial.of_export(manifest, artifacts)
    finished, pairings = [], []
    for given in read.finished:
        record, by, reason = trial.of_finished(given)
        finished.append(replace(given, record=record))
        pairings.append(TensorPairing(given.path.name, by, reason, record.inputs, record.outputs))
    return Paired(replace(read, finished=tuple(finished)), None, tuple(pairings))


@dataclass(frozen=True, slots=True)
class _Found:
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    reason: str
    proven: bool


@dataclass(frozen=True, slots=True)
class _Trial:
    read: Subject
    samples: InputSet
    folder: Path
    runner: HostRunner
    timeout_s: float
    events: Events

    def of_export(self, manifest: Manifest, artifacts: Path) -> Paired:
        by: By = "export"
        reason = "the export gave each tensor its signature name; shapes leave one order of axes"
        record = manifest.artifacts[0]
        choices = tuple(fitting(output.source, _plain(output)) for output in record.outputs)
        # Other converters keep the source's layout; onnx2tf moves channels, and says so wrongly.
        if manifest.source_format in THROUGH_ONNX and any(map(_open, choices)):
            source = None
            if manifest.pruned is not None and record.recipe.pruning is not None:
                source = manifest.pruned_source(artifacts)
            by_place = tuple(
                tuple(found if here == place else () for here in range(len(choices)))
                for place, found in enumerate(choices)
            )
            found = self._prove(
                artifacts / record.file, record, record, (record.inputs,), by_place, source
            )
            reason, by = found.reason, "running" if found.proven else by
            orders = {output.source.name: output.permutation for output in found.outputs}
            records = tuple(_reordered(artifact, orders) for artifact in manifest.artifacts)
            if records != manifest.artifacts:
                manifest = replace(manifest, artifacts=records)
                manifest.save(artifacts)
        pairings = [
            TensorPairing(artifact.file, by, reason, artifact.inputs, artifact.outputs)
            for artifact in manifest.artifacts
        ]
        return Paired(self.read, manifest, tuple(pairings))

    def of_finished(self, given: FinishedArtifact) -> tuple[ArtifactRecord, By, str]:
        record, source = given.record, self.read.source
        if given.stored is None:
            if source is None:
                return record, "itself", "there is no source to pair it with"
            return record, "manifest", "the manifest beside it, of the export that made it"
        assert source is not None
        stored = given.stored
        named = paired_by_name(source.inputs, stored.inputs) and paired_by_name(
            source.outputs, stored.outputs
        )
        by: By = "name" if named else "order"
        inputs = input_choices(source.inputs, stored.inputs)
        outputs = output_choices(source.outputs, stored.outputs)
        taken = [found for row in outputs for found in row if found]
        orders = {tuple(binding.artifact.name for binding in choice) for choice in inputs}
        layouts = [*taken, *(set(column) for column in zip(*inputs, strict=True))]
        certain = len(orders) <= 1 and len(taken) == len(outputs)
        if certain and not any(map(_open, layouts)):
            how = "names agree" if named else "no other pairing fits their shapes"
            return record, by, f"{how}, and shapes leave one order of axes"
        found = self._prove(given.path, record, stored, inputs or (record.inputs,), outputs, None)
        record = replace(record, inputs=found.inputs, outputs=found.outputs)
        return record, "running" if found.proven else by, found.reason

    def _prove(
        self,
        model: Path,
        guess: ArtifactRecord,
        stored: ArtifactRecord,
        inputs: Sequence[tuple[Binding, ...]],
        outputs: Sequence[Sequence[tuple[Binding, ...]]],
        pruned: Path | None,
    ) -> _Found:
        """Run ``model`` under each of ``inputs`` and find what answers like the source."""
        tried = len(inputs)
        axes = max((len(found) for row in outputs for found in row), default=1)
        pairings = f"{tried * axes * _ways(outputs)} pairings that fit"
        if len(self.samples) == 0:
            return _Found(guess.inputs, guess.outputs, f"{pairings}; no sample to run", False)
        self.events.phase(f"pairing tensors of {model.name} with the source's by running")
        size = 4 * sum(output.source.elements for output in guess.outputs)
        affordable = _MOST_BYTES // max(1, size * tried)
        each = min(len(self.samples), max(_LEAST_SAMPLES, min(_RUNS // tried, affordable)))
        rows = np.linspace(0, len(self.samples) - 1, each).round().astype(np.int64)
        few = replace(self.samples, tested=self.samples.tested[rows], labels=None)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            wanted = self._source(guess, few, pruned)
            answers = self._artifact(model, stored, inputs, few)
        except (DeviceRunnerError, ComparisonError) as error:
            reason = f"{pairings}, and running them failed ({error}): taken by names and shapes"
            return _Found(guess.inputs, guess.outputs, reason, False)
        names = [output.artifact.name for output in stored.outputs]
        results = [_best(wanted, outputs, names, answer) for answer in answers]
        quantized = any(
            binding.artifact.quantization for binding in (*stored.inputs, *stored.outputs)
        )
        limit = _FLOAT_ERROR if guess.recipe.precision == "float32" else _QUANTIZED_ERROR
        limit = max(limit, _QUANTIZED_ERROR if quantized else 0.0)
        place = min(range(tried), key=lambda index: results[index][0])
        least, bound = results[place]
        # What is most plausible is taken where others are no better.
        own = _error_of(wanted, guess.outputs, answers, inputs, guess.inputs)
        on = f"on {count(each, 'sample')}"
        if own is not None and own <= limit and own <= 4 * least + 1e-9:
            reason = f"of {pairings}, names and shapes' own gives the source's answers {on}"
            return _Found(guess.inputs, guess.outputs, reason, True)
        if least > limit:
            reason = (
                f"none of {pairings} gives the source's answers {on} (the nearest leaves an error "
                f"of {100 * min(least, 9.99):.3g} % of its energy): taken by names and shapes"
            )
            return _Found(guess.inputs, guess.outputs, reason, False)
        reason = f"of {pairings}, this one gives the source's answers {on}"
        return _Found(inputs[place], bound, reason, True)

    def _source(
        self, guess: ArtifactRecord, few: InputSet, pruned: Path | None
    ) -> Mapping[str, Array]:
        source = self.read.source
        assert source is not None
        rung = _source_rung(source, guess, pruned)
        result = ladder.run_rung(
            rung,
            few,
            self.folder,
            self.folder / "source.log",
            self.timeout_s,
            lambda done: None,
        )
        if result.error:
            raise ComparisonError(result.error)
        return _values(RungOutputs("source", result.pack, result.outputs))

    def _artifact(
        self,
        model: Path,
        stored: ArtifactRecord,
        inputs: Sequence[tuple[Binding, ...]],
        few: InputSet,
    ) -> list[dict[str, Array]]:
        """For each way to bind the inputs, every stored output of the samples, as real numbers in
        the artifact's layout."""
        each = len(few)
        order = [tensor.artifact.name for tensor in stored.inputs]

        def encode(index: int) -> list[Array]:
            sample = few.sample(index % each)
            by_name = {
                tensor.artifact.name: tensor.encode(sample[tensor.source.name])
                for tensor in inputs[index // each]
            }
            return [by_name[name] for name in order]

        results = self.folder / f"{model.stem}.pack"
        results.unlink(missing_ok=True)
        job = Job(
            model=model,
            tensors=tuple(PackTensor.of(b.artifact, b.signature_name) for b in stored.inputs),
            samples=each * len(inputs),
            encode=encode,
            results=results,
            log=self.folder / f"{model.stem}.log",
            timeout_s=self.timeout_s,
        )
        self.runner.run(job, lambda done: None)
        values = _values(RungOutputs(model.stem, results, tuple(map(_plain, stored.outputs))))
        with contextlib.suppress(OSError):
            results.unlink()
        return [
            {name: found[each * place : each * (place + 1)] for name, found in values.items()}
            for place in range(len(inputs))
        ]


def _plain(binding: Binding) -> Binding:
    """The artifact's tensor bound to itself."""
    tensor = binding.artifact
    axes = tuple(range(len(tensor.shape)))
    return Binding(replace(tensor, quantization=None), tensor, axes, binding.signature_name)


def _open(found: Collection[Binding]) -> bool:
    """Whether usual layouts alone leave a choice, or none of them fits."""
    orders = {binding.permutation for binding in found}
    rank = max(map(len, orders), default=0)
    usual = {tuple(range(rank))}
    if rank >= 3:
        usual |= {(0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))}
    return bool(orders) and len(orders & usual) != 1


def _ways(outputs: Sequence[Sequence[tuple[Binding, ...]]]) -> int:
    """How many stored tensors the freest output may be."""
    return max((sum(bool(found) for found in row) for row in outputs), default=1)


def _reordered(record: ArtifactRecord, orders: Mapping[str, tuple[int, ...]]) -> ArtifactRecord:
    return replace(
        record,
        outputs=tuple(
            replace(output, permutation=orders[output.source.name]) for output in record.outputs
        ),
    )


def _source_rung(source: SourceModel, guess: ArtifactRecord, pruned: Path | None) -> Rung:
    rung = ladder.source_rung(
        source.path, source.sha256, guess.inputs, guess.outputs, source_runner(source)
    )
    return rung if pruned is None else replace(rung, model=pruned, runner=SOURCE_RUNNER)


def _values(outputs: RungOutputs) -> dict[str, Array]:
    """Every output of all samples ``[samples, *shape]`` in real units; raises `ComparisonError`
    when a sample failed."""
    names = [output.source.name for output in outputs.outputs]
    samples = list(sample_outputs(outputs, names))
    if any(len({sample[name].shape for sample in samples}) > 1 for name in names):
        raise ComparisonError(f"rung {outputs.name}: shapes change from sample to sample")
    return {name: np.stack([sample[name] for sample in samples]) for name in names}


def _best(
    wanted: Mapping[str, Array],
    outputs: Sequence[Sequence[tuple[Binding, ...]]],
    names: Sequence[str],
    answers: Mapping[str, Array],
) -> tuple[float, tuple[Binding, ...]]:
    """The outputs bound so that they are nearest to ``wanted``, and the error of the worst."""
    from scipy.optimize import linear_sum_assignment

    size = len(outputs)
    errors = np.full((size, len(names)), 1e30)
    bindings: dict[tuple[int, int], Binding] = {}
    for row, choices in enumerate(outputs):
        for column, found in enumerate(choices):
            for binding in found:
                error = _error(wanted[binding.source.name], answers[names[column]], binding)
                if (row, column) not in bindings or error < errors[row, column]:
                    errors[row, column], bindings[row, column] = error, binding
    rows, columns = linear_sum_assignment(errors)
    chosen = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
    if any(place not in bindings for place in chosen):
        return 1e30, ()
    return max(float(errors[place]) for place in chosen), tuple(bindings[p] for p in chosen)


def _error_of(
    wanted: Mapping[str, Array],
    outputs: Sequence[Binding],
    answers: Sequence[Mapping[str, Array]],
    inputs: Sequence[tuple[Binding, ...]],
    own: tuple[Binding, ...],
) -> float | None:
    """The error of the guess itself; None where it is not among those that ran."""
    if own not in inputs:
        return None
    answer = answers[list(inputs).index(own)]
    return max(
        _error(wanted[output.source.name], answer[output.artifact.name], output)
        for output in outputs
    )


def _error(wanted: Array, stored: Array, binding: Binding) -> float:
    """The error's energy beside the wanted one's, of values that are finite on both sides."""
    got = binding.to_source_layout(stored).astype(np.float64)
    if got.shape != wanted.shape:
        return 1e30
    left = wanted.astype(np.float64)
    finite = np.isfinite(left) & np.isfinite(got)
    if (np.isfinite(left) != np.isfinite(got)).any():
        return 1e30
    energy = float(np.square(left[finite]).sum())
    error = float(np.square(left[finite] - got[finite]).sum())
    return error / energy if energy > 0 else (0.0 if error == 0 else 1e30)
