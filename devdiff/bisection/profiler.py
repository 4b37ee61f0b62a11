"""Both models, float and int8, run once as they are and once with every layer read out.

What cannot be read out without changing what runs is refused. The int8 operators then run side by
side in one file, each with the float model's values as its inputs.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from devdiff.bisection import layers
from devdiff.bisection.graph import Flow
from devdiff.bisection.layers import Errors, LayerErrors, QuantizedInputs
from devdiff.bisection.pairing import OperatorPairing, pair
from devdiff.device_runner.errors import RunnerError
from devdiff.errors import BisectError
from devdiff.exporter.artifact import Array
from devdiff.exporter.tflite_cut import ModelPart, apart_key, tensor_key
from devdiff.ladder import ladder
from devdiff.ladder.ladder import Rung, RungResult

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.bisection.side_by_side import BenchSide
    from devdiff.bisection.subject import BisectSubject
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.run_directory import RunDirectory
    from devdiff.progress import Events

Samples = Callable[[], Iterator[dict[int, Array]]]


class Profiler:
    """Both models while they are looked at: the float one first."""

    def __init__(
        self,
        floating: BenchSide,
        quantized: BenchSide,
        samples: InputSet,
        run: RunDirectory,
        target: BisectSubject,
        events: Events,
    ) -> None:
        self.sides = (floating, quantized)
        self.samples = samples
        self.runs = [0, 0]
        self.whole: list[RungResult] = []
        self._folder = run.rungs
        self._timeout_s = target.running.timeout_s
        self._events = events
        self.floating, self.quantized = (Flow(side.whole.graph) for side in self.sides)
        self.pairing: OperatorPairing = pair(self.floating, self.quantized, self._inputs())
        if not self.pairing.operators:
            raise BisectError(
                f"{floating.artifact.path.name} and {quantized.artifact.path.name} have no "
                "operator in common: give the float file that the int8 one was made from"
            )

    def _inputs(self) -> dict[int, int]:
        """int8 input to float input, by the source's names."""
        by_name: list[dict[str, int]] = []
        for side, flow in zip(self.sides, (self.floating, self.quantized), strict=True):
            indices = {flow.tensor(index).name: index for index in flow.graph.inputs}
            by_name.append({b.source.name: indices[b.artifact.name] for b in side.artifact.inputs})
        if by_name[0].keys() != by_name[1].keys():
            raise BisectError(
                "the float and the int8 file do not have the same inputs: "
                f"{', '.join(by_name[0])} and {', '.join(by_name[1])}"
            )
        return {by_name[1][name]: index for name, index in by_name[0].items()}

    def layers(self) -> list[LayerErrors]:
        """Every paired operator with what was measured of it, in the int8 file's order."""
        self._run_whole()
        found = []
        for mine, other in self.pairing.operators.items():
            tensors = self.quantized.operator(mine).outputs, self.floating.operator(other).outputs
            if self.quantized.visible(tensors[0][0]) and self.floating.visible(tensors[1][0]):
                found.append(LayerErrors(mine, other, tensors[0][0], tensors[1][0]))
        for group in layers.groups(range(len(found))):
            self._measure([found[place] for place in group])
        return found

    def _run_whole(self) -> None:
        self._events.phase("running both models as they are")
        for place, side in enumerate(self.sides):
            flow = (self.floating, self.quantized)[place]
            outputs = tuple(dict.fromkeys(flow.graph.outputs))
            part = side.whole.part(flow.graph.inputs, outputs)
            whole = replace(part, data=b"")
            self.whole.append(self._run(place, "whole", whole, self.samples, side.artifact.path))

    def _measure(self, group: Sequence[LayerErrors]) -> None:
        """In place: all tensors of the group out of one run of each model. Then alone."""
        self._events.phase(f"reading {len(group)} layers out of both models")
        floats = self._tapped(0, self._float_tensors(group))
        integers = self._tapped(1, [layer.tensor for layer in group])
        fed_folder = self._folder / "fed"
        fed_folder.mkdir(exist_ok=True)
        fed = QuantizedInputs(fed_folder, len(self.samples))
        data = {layer.operator: self.quantized.inputs_of(layer.operator) for layer in group}
        data = {
            o: taken for o, taken in data.items() if all(t in self.pairing.tensors for t in taken)
        }
        inputs = {i: self.sides[0].stored(self.samples, i) for i in self.floating.graph.inputs}
        for row, (real, stored) in enumerate(zip(floats(), integers(), strict=True)):
            known = real | {index: values[row] for index, values in inputs.items()}
            for layer in group:
                layer.in_place.add(
                    real[layer.full_tensor],
                    stored[layer.tensor],
                    self.quantized.tensor(layer.tensor),
                )
            for operator, taken in data.items():
                for index in taken:
                    values = known[self.pairing.tensors[index]]
                    fed.put(apart_key(index, operator), row, values, self.quantized.tensor(index))
        self._alone(group, data, fed, floats)
        shutil.rmtree(fed_folder)

    def _float_tensors(self, group: Sequence[LayerErrors]) -> list[int]:
        """What the group's operators make in the float model, and what they take there."""
        wanted = dict.fromkeys(layer.full_tensor for layer in group)
        for layer in group:
            for index in self.quantized.inputs_of(layer.operator):
                mine = self.pairing.tensors.get(index)
                if mine is not None and self.floating.made_by(mine) is not None:
                    wanted[mine] = None
        return list(wanted)

    def _tapped(self, place: int, tensors: Sequence[int]) -> Samples:
        """Each sample's tensors, out of one run of a model that also gives its own outputs.

        Raises `BisectError` when reading the tensors out changed those.
        """
        side, flow = self.sides[place], (self.floating, self.quantized)[place]
        outputs = tuple(dict.fromkeys(flow.graph.outputs))
        read = [index for index in tensors if index not in outputs]
        part = side.whole.part(flow.graph.inputs, [*read, *outputs])
        label = f"tapped-{hashlib.sha256(repr(read).encode()).hexdigest()[:12]}"
        result = self._run(place, label, part, self.samples)
        names = {
            binding.artifact.name: index
            for binding, index in zip(part.outputs, [*read, *outputs], strict=True)
        }
        untouched = {
            binding.artifact.name: index
            for binding, index in zip(self.whole[place].outputs, outputs, strict=True)
        }
        pack, whole = result.pack, self.whole[place].pack
        for mine, other in zip(
            layers.samples(pack, names), layers.samples(whole, untouched), strict=True
        ):
            if any(mine[index].tobytes() != other[index].tobytes() for index in outputs):
                raise BisectError(
                    f"reading the layers out of {side.artifact.path.name} changes what "
                    f"{side.name} computes, so their errors would not be the model's: bisect with "
                    "other kernels, --between float@litert:builtin int8@litert:builtin"
                )
        return lambda: layers.samples(pack, names)

    def _alone(
        self,
        group: Sequence[LayerErrors],
        data: Mapping[int, Sequence[int]],
        fed: QuantizedInputs,
        floats: Samples,
    ) -> None:
        """The int8 operators side by side, each fed with the float model's values."""
        if not data:
            return
        self._events.phase(f"running {len(data)} layers alone")
        part = self.sides[1].whole.apart(data)
        samples = replace(
            self.samples,
            arrays=fed.arrays(),
            tested=np.arange(len(self.samples)),
            labels=None,
            names=(),
        )
        result = self._run(1, f"apart-{group[0].operator}", part, samples)
        by_name = {binding.artifact.name: binding.source.name for binding in part.outputs}
        tensors = {tensor_key(layer.tensor): layer for layer in group}
        names = {name: tensors[key].tensor for name, key in by_name.items() if key in tensors}
        for layer in group:
            if layer.operator in data:
                layer.alone = Errors()
        for stored, real in zip(layers.samples(result.pack, names), floats(), strict=True):
            for layer in group:
                if layer.alone is not None:
                    tensor = self.quantized.tensor(layer.tensor)
                    layer.alone.add(real[layer.full_tensor], stored[layer.tensor], tensor)

    def _run(
        self, place: int, label: str, part: ModelPart, samples: InputSet, path: Path | None = None
    ) -> RungResult:
        side = self.sides[place]
        name = f"{side.precision}-{label}"
        if path is None:
            path = self._folder / f"{name}.tflite"
            path.write_bytes(part.data)
        own = samples is self.samples
        rung = Rung(
            name,
            path,
            hashlib.sha256(path.read_bytes()).hexdigest(),
            side.precision,
            side.artifact.inputs if own else part.inputs,
            part.outputs,
            side.runner,
        )
        log = self._folder / f"{side.precision}.log"
        result = ladder.run_rung(
            rung,
            samples,
            self._folder,
            log,
            self._timeout_s,
            lambda done: self._events.progress(done, len(samples)),
        )
        self.runs[place] += 1
        if result.error:
            raise RunnerError(f"{side.name} could not run: {result.error}")
        return result

    def output_errors(self) -> Errors:
        """All outputs of the whole models together."""
        errors = Errors()
        flows = (self.floating, self.quantized)
        outputs = [tuple(dict.fromkeys(flow.graph.outputs)) for flow in flows]
        read = [
            layers.samples(
                result.pack,
                {b.artifact.name: i for b, i in zip(result.outputs, indices, strict=True)},
            )
            for result, indices in zip(self.whole, outputs, strict=True)
        ]
        for real, stored in zip(*read, strict=True):
            for index in outputs[1]:
                mine = self.pairing.tensors.get(index)
                if mine is not None and mine in real:
                    errors.add(real[mine], stored[index], self.quantized.tensor(index))
        return errors
