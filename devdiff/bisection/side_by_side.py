"""Two sides on the bench: the whole model and parts of it, run on both and compared.

A side is a file in a place. What a part came to on both is kept in the run's folder as it is
measured, so that a search that was broken off goes on behind its last cut.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from msgspec import structs

from devdiff.bisection.graph import Flow
from devdiff.comparison import (
    DeploymentExpectation,
    PairComparison,
    RungOutputs,
    compare,
    judge,
)
from devdiff.comparison.pair import stored_output
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.runner import Runner
from devdiff.errors import RunDirectoryError
from devdiff.exporter.artifact import Array, Artifact
from devdiff.exporter.tflite_cut import ModelPart, WholeModel, tensor_key
from devdiff.ladder import ladder
from devdiff.ladder.ladder import Rung, RungResult
from devdiff.ladder.run_directory import read_json, write_json
from devdiff.report.model import FileRecord, Identity
from devdiff.report.model.bisect import Difference, PartComparison, SideRecord
from devdiff.system.typed_json import converted, decode, encode
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.inputs.input_set import InputSet
    from devdiff.progress import Events

Role = Literal["reference", "candidate"]
ROLES: Final[tuple[Role, Role]] = ("reference", "candidate")


@dataclass(frozen=True, slots=True, eq=False)
class BenchSide:
    """One file in one place. ``name`` is what the user calls it, ``int8@litert:builtin``."""

    name: str
    artifact: Artifact
    precision: str
    whole: WholeModel
    runner: Runner

    def ran(self, result: RungResult) -> SideRecord:
        """What ran, for the report."""
        return SideRecord(
            name=self.name,
            model=FileRecord(self.artifact.path.name, self.artifact.sha256),
            runner=result.runner,
            identity=converted(Identity, result.identity),
            about=dict(result.about),
        )

    def stored(self, samples: InputSet, index: int) -> Array:
        """The samples of one input of the graph as the file takes them, [N, *shape]."""
        name = self.whole.graph.tensors[index].name
        binding = next(tensor for tensor in self.artifact.inputs if tensor.artifact.name == name)
        rows = range(len(samples))
        return np.stack([binding.encode(samples.sample(row)[binding.source.name]) for row in rows])


@dataclass(frozen=True, slots=True, eq=False)
class PartRun:
    """A part as it was run on both sides: stored values [N, *shape] by the tensor's index.

    A candidate on which samples fail has no outputs, and ``failure`` says what happened.
    """

    parts: dict[Role, ModelPart]
    results: dict[Role, RungResult]
    inputs: dict[int, Array]
    outputs: dict[Role, dict[int, Array]]
    failure: str | None


class Bench:
    """Runs parts on both sides over the same samples.

    ``runs`` counts the runs of each side, those of an interrupted search among them.
    """

    def __init__(
        self,
        reference: BenchSide,
        candidate: BenchSide,
        samples: InputSet,
        limits: DeploymentExpectation,
        folder: Path,
        timeout_s: float,
        events: Events,
    ) -> None:
        self.sides: dict[Role, BenchSide] = {"reference": reference, "candidate": candidate}
        self.flow = Flow(reference.whole.graph)
        self.samples = samples
        self.limits = limits
        self.runs: dict[Role, int] = {"reference": 0, "candidate": 0}
        self.results: dict[Role, RungResult] = {}
        self._counted: set[tuple[Role, str]] = set()
        self._folder = folder
        self._timeout_s = timeout_s
        self._events = events

    def outputs(self) -> tuple[int, ...]:
        """The model's outputs that an operator makes, in the order in which that happens."""
        flow = self.flow
        made = [i for i in flow.graph.outputs if flow.made_by(i) is not None and flow.visible(i)]
        return flow.in_order(tuple(dict.fromkeys(made)))

    def whole(self) -> PartComparison:
        """Both files as they are. Raises `RunnerError` when a side cannot run."""
        self._events.phase("running the whole model on both sides")
        inputs, outputs = self.flow.graph.inputs, self.outputs()
        seen, self.results = self._both("whole", inputs, outputs, self.samples, whole=True)
        return seen

    def cut(self, tensors: Sequence[int]) -> PartComparison:
        """The model cut off behind ``tensors``, fed with the samples."""
        names = ", ".join(short(self.flow.tensor(index).name) for index in tensors)
        self._events.phase(f"cut at {names}")
        label = f"cut-{_label(tensors)}"
        known = self._known(label)
        if known is None:
            return self._both(label, self.flow.graph.inputs, tensors, self.samples)[0]
        for role in ROLES:
            self._count(role, label)
        return known

    def worst_samples(self) -> list[int]:
        """The samples of the whole model's run, those that differ most first."""
        sides = [
            RungOutputs(role, result.pack, result.outputs) for role, result in self.results.items()
        ]
        outputs = compare(sides[0], sides[1], classifier_outputs=()).outputs
        errors = {worst.sample: worst.error for output in outputs for worst in output.worst}
        return sorted(errors, key=lambda sample: -errors[sample])

    def part(self, inputs: Sequence[int], outputs: Sequence[int]) -> PartComparison:
        """A part alone, fed on both sides with what the reference computes for its inputs.

        What went in and what came out is kept: see `kept`.
        """
        names = ", ".join(short(self.flow.tensor(index).name) for index in outputs)
        self._events.phase(f"what makes {names}, alone")
        label = _part_label(inputs, outputs)
        known = self._known(label)
        if known is None:
            values = self.values(inputs)
            np.savez(
                self._folder / f"{label}.npz",
                **{tensor_key(index): array for index, array in values.items()},
            )
            return self._both(label, inputs, outputs, self._fed(values), keep=True)[0]
        for role in ROLES:
            self._count(role, label)
        computed = [index for index in inputs if index not in self.flow.graph.inputs]
        if computed:
            self._count("reference", _values_label(computed))
        return known

    def kept(self, inputs: Sequence[int], outputs: Sequence[int]) -> PartRun:
        """What a part that was run took and gave."""
        label = _part_label(inputs, outputs)
        with np.load(self._folder / f"{label}.npz", allow_pickle=False) as stored:
            given = {index: stored[tensor_key(index)] for index in inputs}
        parts: dict[Role, ModelPart] = {}
        results: dict[Role, RungResult] = {}
        made: dict[Role, dict[int, Array]] = {}
        known = self._known(label)
        failure = known.failure if known is not None else None
        for role in ROLES:
            name = f"{role}-{label}"
            parts[role] = part = self.sides[role].whole.part(inputs, outputs)
            pack = self._folder / f"{name}.pack"
            record = read_json(pack.with_suffix(".json"))
            results[role] = RungResult.from_json(record, part.outputs, pack)
            packed = RungOutputs(name, pack, part.outputs)
            made[role] = {}
            if role == "candidate" and failure is not None:
                continue
            made[role] = {index: stored_output(packed, tensor_key(index)) for index in outputs}
        return PartRun(parts, results, given, made, failure)

    def values(self, tensors: Sequence[int]) -> dict[int, Array]:
        """What the reference computes for ``tensors``, as stored: [N, *shape] each."""
        side = self.sides["reference"]
        given = {i: side.stored(self.samples, i) for i in tensors if i in self.flow.graph.inputs}
        computed = [index for index in tensors if index not in given]
        if not computed:
            return given
        part = side.whole.part(self.flow.graph.inputs, computed)
        label = _values_label(computed)
        result = self._run("reference", label, part, self.samples)
        outputs = RungOutputs(result.name, result.pack, result.outputs)
        found = {index: stored_output(outputs, tensor_key(index)) for index in computed}
        self._clear(result)
        return {index: (given | found)[index] for index in tensors}

    def _fed(self, values: dict[int, Array]) -> InputSet:
        """An input set of stored values for the inputs of a part."""
        digest = hashlib.sha256()
        for array in values.values():
            digest.update(np.ascontiguousarray(array).data)
        return replace(
            self.samples,
            arrays={tensor_key(index): array for index, array in values.items()},
            tested=np.arange(len(self.samples)),
            labels=None,
            sha256=digest.hexdigest(),
            names=(),
        )

    def _count(self, role: Role, label: str) -> None:
        """Once for each part, however often it is asked for."""
        if (role, label) not in self._counted:
            self._counted.add((role, label))
            self.runs[role] += 1

    def _known(self, label: str) -> PartComparison | None:
        try:
            data = read_json(self._folder / f"{label}.json")
        except RunDirectoryError:
            return None
        return decode(PartComparison, data)

    def _both(
        self,
        label: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        samples: InputSet,
        *,
        whole: bool = False,
        keep: bool = False,
    ) -> tuple[PartComparison, dict[Role, RungResult]]:
        results: dict[Role, RungResult] = {}
        operators = 0
        for role in ROLES:
            part = self.sides[role].whole.part(inputs, outputs)
            operators = len(part.operators)
            results[role] = self._run(role, label, part, samples, whole)
        seen = self._compare(results, outputs, operators)
        write_json(self._folder / f"{label}.json", encode(seen))
        if not (whole or keep):
            for result in results.values():
                self._clear(result)
        return seen, results

    def _run(
        self, role: Role, label: str, part: ModelPart, samples: InputSet, whole: bool = False
    ) -> RungResult:
        side = self.sides[role]
        path, sha256 = side.artifact.path, side.artifact.sha256
        if not whole:
            path = self._folder / f"{role}-{label}.tflite"
            path.write_bytes(part.data)
            sha256 = hashlib.sha256(part.data).hexdigest()
        inputs = part.inputs if samples is not self.samples else side.artifact.inputs
        name = f"{role}-{label}"
        rung = Rung(name, path, sha256, side.precision, inputs, part.outputs, side.runner)
        result = ladder.run_rung(
            rung,
            samples,
            self._folder,
            self._folder / f"{role}.log",
            self._timeout_s,
            lambda done: self._events.progress(done, len(samples)),
        )
        self._count(role, label)
        if result.error:
            part_label = "" if whole else f" a part of {side.artifact.path.name} ({label})"
            raise RunnerError(f"{side.name} could not run{part_label}: {result.error}")
        return result

    def _clear(self, result: RungResult) -> None:
        """What was compared is not needed any more; intermediate tensors are large."""
        result.pack.unlink(missing_ok=True)
        result.pack.with_suffix(".json").unlink(missing_ok=True)
        (self._folder / result.model).unlink(missing_ok=True)

    def _compare(
        self, results: dict[Role, RungResult], outputs: Sequence[int], operators: int
    ) -> PartComparison:
        left, right = (
            RungOutputs(self.sides[role].name, results[role].pack, results[role].outputs)
            for role in ROLES
        )
        pair = compare(left, right, classifier_outputs=())
        if pair.reference_failed:
            message = pair.failures[0].message
            raise RunnerError(
                f"{left.name}: {pair.reference_failed} of {pair.samples} samples fail on the "
                f"reference side itself ({message}): choose samples, or a reference, that run"
            )
        failure = None
        if pair.candidate_failed:
            failure = f"{pair.candidate_failed} samples fail: {pair.failures[0].message}"
        found = tuple(self._figures(pair, index) for index in outputs)
        beyond = failure is not None or any(figures.beyond for figures in found)
        return PartComparison(beyond, operators, found, failure)

    def _figures(self, pair: PairComparison, index: int) -> Difference:
        tensor, output = self.flow.tensor(index), pair.output(tensor_key(index))
        alone = structs.replace(pair, outputs=(output,), candidate_failed=0)
        beyond = judge(alone, self.limits).verdict is Verdict.FAIL
        peak = output.reference.peak
        error = output.max_abs_error
        return Difference(
            index,
            tensor.name,
            tensor.dtype,
            beyond,
            output.elements,
            output.differing_elements,
            output.max_lsb,
            error,
            error / peak if error is not None and peak else None,
            output.snr_db,
        )


def _values_label(computed: Sequence[int]) -> str:
    return f"values-{_label(computed)}"


def _part_label(inputs: Sequence[int], outputs: Sequence[int]) -> str:
    return f"part-{_label(inputs)}-{_label(outputs)}"


def _label(tensors: Sequence[int]) -> str:
    """Tensors as part of a file name."""
    text = "-".join(str(index) for index in tensors)
    if len(text) > 40:
        text = f"{len(tensors)}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return text


def short(name: str) -> str:
    """The first of the names that a converter gave a tensor it fused."""
    return name.split(";")[0]
