"""Between float and int8 every operator differs: what each layer costs, not which comes first."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff import ladder
from devdiff.bisect import explorer, given, keeping, layers, plot
from devdiff.bisect.bench import Side, short
from devdiff.bisect.given import BisectRequest, Given
from devdiff.bisect.graph import Flow
from devdiff.bisect.layers import Errors, Fed, LayerErrors
from devdiff.bisect.pairing import Pairing, pair
from devdiff.data.inputs import InputSet
from devdiff.errors import BisectError
from devdiff.events import Events
from devdiff.ladder import Rung, RungResult
from devdiff.rundir import RunDirectory
from devdiff.verdict import Verdict
from device_runner.errors import RunnerError
from exporter.artifact import Array
from exporter.tflite_cut import Part, apart_key, tensor_key

CSV_NAME: Final = "layers.csv"
PLOT_NAME: Final = "layers.svg"
Samples = Callable[[], Iterator[dict[int, Array]]]


def section(
    request: BisectRequest,
    what: Given,
    reference: Side,
    candidate: Side,
    run: RunDirectory,
    events: Events,
) -> dict[str, Any]:
    """The report's section: layers with their errors, and what keeping some in float brings.

    Raises `BisectError` when the two files are not one model in two precisions.
    """
    sides = sorted((reference, candidate), key=lambda side: side.precision != "float32")
    profiler = _Profiler(sides[0], sides[1], _samples(request, what), run, what, events)
    found = profiler.layers()
    rows = [_row(profiler, layer) for layer in found]
    whole = profiler.output_errors()
    least = what.gates.min_snr_db
    first = next((row for row in rows if _below(row["in_place"]["sqnr_db"], least)), None)
    beyond = _below(_json(whole.sqnr_db), least)
    verdict = Verdict.FAIL if beyond or first is not None else Verdict.PASS
    ranked = sorted(
        (row for row in rows if row["alone"] is not None), key=lambda row: _cost(row["alone"])
    )
    kept = None
    if request.keep_float:
        kept = keeping.measure(request, what, sides[0], sides[1], ranked, run, events)
    (run.path / CSV_NAME).write_text(_csv(rows))
    plot.write(run.path / PLOT_NAME, rows)
    data = explorer.write(
        run.path / "model-explorer.json",
        {row["name"]: _number(row["in_place"]["sqnr_db"]) for row in rows},
        worst_is_low=True,
    )
    return {
        "verdict": verdict.value,
        "kind": "profile",
        "reason": _reason(rows, ranked, first, whole, least),
        "sides": {
            role: _side(side, result)
            for role, side, result in zip(
                ("reference", "candidate"), sides, profiler.whole, strict=True
            )
        },
        "limits": {"min_snr_db": least},
        "inputs": profiler.samples.to_json(),
        "operators": len(profiler.quantized.operators),
        "runs": {
            "all": {"reference": profiler.runs[0], "candidate": profiler.runs[1]},
        },
        "found": [_operator(first)] if first is not None else [],
        "guilty": [_operator(row) for row in ranked[:1]],
        "search": [],
        "suspects": [],
        "profile": {
            "output_sqnr_db": _json(whole.sqnr_db),
            "layers": rows,
            "costliest": [row["index"] for row in ranked[: max(3, request.keep_float)]],
            "unpaired": [
                f"{profiler.quantized.operator(index).kind} "
                f"{short(profiler.quantized.tensor(_first(profiler, index)).name)}"
                for index in profiler.pairing.unpaired
            ],
            "kept_in_float": kept,
            "table": CSV_NAME,
            "plot": PLOT_NAME,
        },
        "repro": None,
        "model_explorer": data.name,
    }


def _samples(request: BisectRequest, what: Given) -> InputSet:
    rows = sorted(what.shown[: request.samples]) or range(min(request.samples, len(what.samples)))
    return given.chosen(what.samples, rows)


class _Profiler:
    """Both models while they are looked at: the float one first."""

    def __init__(
        self,
        floating: Side,
        quantized: Side,
        samples: InputSet,
        run: RunDirectory,
        what: Given,
        events: Events,
    ) -> None:
        self.sides = (floating, quantized)
        self.samples = samples
        self.runs = [0, 0]
        self.whole: list[RungResult] = []
        self._folder = run.rungs
        self._timeout_s = what.running.timeout_s
        self._events = events
        self.floating, self.quantized = (Flow(side.whole.graph) for side in self.sides)
        self.pairing: Pairing = pair(self.floating, self.quantized, self._inputs())
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
        fed = Fed(fed_folder, len(self.samples))
        data = {layer.operator: self.quantized.inputs_of(layer.operator) for layer in group}
        data = {
            o: taken for o, taken in data.items() if all(t in self.pairing.tensors for t in taken)
        }
        given_inputs = self._given_inputs()
        for row, (real, stored) in enumerate(zip(floats(), integers(), strict=True)):
            known = real | {index: values[row] for index, values in given_inputs.items()}
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

    def _given_inputs(self) -> dict[int, Array]:
        """The samples as the float model takes them, by its inputs' indices."""
        side, flow = self.sides[0], self.floating
        found = {}
        for index in flow.graph.inputs:
            name = flow.tensor(index).name
            binding = next(one for one in side.artifact.inputs if one.artifact.name == name)
            found[index] = np.stack(
                [
                    binding.encode(self.samples.sample(row)[binding.source.name])
                    for row in range(len(self.samples))
                ]
            )
        return found

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
        fed: Fed,
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
        self, place: int, label: str, part: Part, samples: InputSet, path: Path | None = None
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
        with ExitStack() as stack:
            stack.callback(self._events.progress, len(samples), len(samples))
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


def _first(profiler: _Profiler, operator: int) -> int:
    return profiler.quantized.operator(operator).outputs[0]


def _row(profiler: _Profiler, layer: LayerErrors) -> dict[str, Any]:
    tensor = profiler.quantized.tensor(layer.tensor)
    return {
        "index": layer.operator,
        "kind": profiler.quantized.operator(layer.operator).kind,
        "name": tensor.name,
        "float_operator": layer.full_operator,
        "float_name": profiler.floating.tensor(layer.full_tensor).name,
        "dtype": tensor.dtype,
        "in_place": _errors(layer.in_place, tensor.dtype),
        "alone": _errors(layer.alone, tensor.dtype) if layer.alone is not None else None,
    }


def _errors(errors: Errors, dtype: str) -> dict[str, Any]:
    return {
        "sqnr_db": _json(errors.sqnr_db),
        "saturated": errors.saturated,
        "range_used": errors.range_used(dtype),
    }


def _json(value: float | None) -> float | str | None:
    return "inf" if value is not None and math.isinf(value) else value


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _cost(errors: Mapping[str, Any]) -> float:
    """What ranks a layer: the lower its signal-to-noise ratio alone, the more it costs."""
    found = _number(errors["sqnr_db"])
    return math.inf if found is None else found


def _below(value: float | str | None, least: float) -> bool:
    found = _number(value)
    return found is not None and found < least


def _operator(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("index", "kind", "name")}


def _reason(
    rows: Sequence[Mapping[str, Any]],
    ranked: Sequence[Mapping[str, Any]],
    first: Mapping[str, Any] | None,
    whole: Errors,
    least: float,
) -> str:
    output = _json(whole.sqnr_db)
    said = f"int8 keeps {_decibels(output)} of signal over noise at the output"
    if first is not None:
        said += (
            f"; operator {first['index']}, {first['kind']} {short(first['name'])!r} is the first "
            f"with less than {least:g} dB ({_decibels(first['in_place']['sqnr_db'])})"
        )
    costliest = ", ".join(
        f"operator {row['index']} {row['kind']} ({_decibels(row['alone']['sqnr_db'])})"
        for row in ranked[:3]
    )
    return f"{said}; of {len(rows)} layers the costliest by themselves are {costliest}"


def _decibels(value: float | str | None) -> str:
    found = _number(value)
    if found is None:
        return "no signal"
    return "infinitely many dB" if math.isinf(found) else f"{found:.1f} dB"


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["operator", "kind", "name", "alone_sqnr_db", "in_place_sqnr_db", "saturated", "range_used"]
    )
    for row in rows:
        alone, place = row["alone"] or {"sqnr_db": None}, row["in_place"]
        writer.writerow(
            [row["index"], row["kind"], row["name"], alone["sqnr_db"], place["sqnr_db"],
             place["saturated"], place["range_used"]]
        )  # fmt: skip
    return out.getvalue()


def _side(side: Side, result: RungResult) -> dict[str, Any]:
    return {
        "name": side.name,
        "model": {"file": side.artifact.path.name, "sha256": side.artifact.sha256},
        "runner": result.runner,
        "identity": dict(result.identity),
        "about": dict(result.about),
    }
