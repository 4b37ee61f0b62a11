"""The error profile measures what quantization costs each layer, alone and in the whole model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from devdiff.bisection import layers, profile
from devdiff.bisection.graph import Flow
from devdiff.bisection.layers import Errors
from devdiff.bisection.pairing import pair
from devdiff.bisection.subject import BisectRequest, BisectSubject
from devdiff.errors import BisectError
from devdiff.exporter.tflite_cut import WholeModel, quantization
from devdiff.exporter.tflite_graph import GraphTensor
from devdiff.inputs import input_set as data
from devdiff.ladder.run_directory import RunDirectory
from devdiff.ladder.subject import Subject
from devdiff.options import DEFAULT_GATES, DEFAULT_RUNNING, BisectSettings, ModelSpec
from devdiff.progress import SilentEvents
from tests.support.bisect_bench import side
from tests.support.in_process import InProcess
from tests.support.layered_graphs import float_graph, int8_graph, random_layers
from tests.support.schemas import bisect_schema

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.bisection.side_by_side import BenchSide
    from devdiff.exporter.artifact import Array
    from tests.support.exporting import Exported

pytestmark = pytest.mark.slow

SAMPLES = 4


def quantized(scale: float, zero_point: int) -> GraphTensor:
    scales, zeros = np.array([scale], np.float32), np.array([zero_point])
    return GraphTensor(0, "q", (1, 4), "int8", scales, zeros, 0, None)


def test_noise_clipping_and_range_are_those_of_the_elements() -> None:
    errors = Errors()
    real = np.array([[0.0, 1.0, -1.0, 90.0]], np.float32)
    stored = np.array([[0, 2, -1, 127]], np.int8)
    errors.add(real, stored, quantized(0.5, 0))
    noise = 0.0 + 0.0 + 0.25 + (90 - 63.5) ** 2
    assert errors.sqnr_db == pytest.approx(10 * math.log10((1 + 1 + 8100) / noise))
    assert errors.saturated == 0.25
    assert errors.range_used("int8") == 128 / 255
    assert errors.range_used("float32") is None


def test_exact_values_have_no_noise_and_zeros_no_signal() -> None:
    exact, silent = Errors(), Errors()
    exact.add(np.ones((1, 4), np.float32), np.full((1, 4), 2, np.int8), quantized(0.5, 0))
    silent.add(np.zeros((1, 4), np.float32), np.full((1, 4), 2, np.int8), quantized(0.5, 0))
    assert exact.sqnr_db == math.inf
    assert silent.sqnr_db is None


def test_operators_are_paired_through_quantize_and_dequantize() -> None:
    found = random_layers(0, (4, 3, 3, 4), (4, 3, 3, 4), (4, 1, 1, 4))
    floating, integers = Flow(float_graph(found)), Flow(int8_graph(found))
    paired = pair(floating, integers, {0: 0})
    assert paired.operators == {1: 0, 2: 1, 3: 2}
    assert paired.unpaired == ()


def test_of_twin_branches_the_weights_tell_which_is_which(two_by_two: Exported) -> None:
    """Two convolutions of one input and one shape, whose order the int8 file turns around."""
    one, other = random_layers(1, (4, 3, 3, 4), (4, 3, 3, 4))
    left, right = float_graph([one, other]), int8_graph([other, one])
    rewired = [
        type(operator)(operator.index, operator.kind, (source, *operator.inputs[1:]),
                       operator.outputs, {})
        for graph, source in ((left, 0), (right, 1))
        for operator in graph.operators
        if operator.kind == "CONV_2D"
    ]  # fmt: skip
    floats = type(left)(left.tensors, tuple(rewired[:2]), (0,), left.outputs)
    operators = (right.operators[0], *rewired[2:])
    paired = pair(Flow(floats), Flow(type(right)(right.tensors, operators, (0,), right.outputs)),
                  {0: 0})  # fmt: skip
    assert paired.operators == {1: 1, 2: 0}


def made(two_by_two: Exported, folder: Path, runner: InProcess | None = None) -> dict[str, Any]:
    """The section of a profile of an exported model, without exporting it again."""
    run = RunDirectory(folder, False)
    sides: list[BenchSide] = [
        side(two_by_two.folder / f"{rung}.tflite", runner or InProcess())
        for rung in ("float", "int8")
    ]
    records = {record.recipe.precision: record for record in two_by_two.manifest.artifacts}
    files = {
        records[one.precision].recipe.rung: (one.artifact, records[one.precision])  # type: ignore[index]
        for one in sides
    }
    bindings = sides[0].artifact.inputs
    samples = data.prepare(
        data.SYNTHETIC, tuple(b.source for b in bindings), {}, run.inputs, calibrate=False
    )
    read = Subject(two_by_two.folder / "int8.tflite", "", None, (), (), {})
    what = BisectSubject(read, files, samples, DEFAULT_RUNNING, DEFAULT_GATES)
    request = BisectRequest(
        ModelSpec(two_by_two.folder / "int8.tflite"), settings=BisectSettings(samples=SAMPLES)
    )
    return profile.section(request, what, sides[0], sides[1], run, SilentEvents()).to_json()


@pytest.fixture(scope="module")
def section(two_by_two: Exported, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(two_by_two, tmp_path_factory.mktemp("profile"))


def every_tensor(path: Path, inputs: dict[str, Array]) -> dict[str, tuple[Array, Any]]:
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        scale, zero = details["quantization"]
        value = inputs[details["name"]]
        if scale:
            value = np.clip(np.rint(value / np.float32(scale)) + zero, -128, 127)
        interpreter.set_tensor(details["index"], value.astype(details["dtype"]))
    interpreter.invoke()
    found = {}
    for details in interpreter.get_tensor_details():
        values = interpreter.get_tensor(details["index"]).astype(np.float64)
        scale, zero = details["quantization"]
        found[details["name"]] = ((values - zero) * scale if scale else values), details["dtype"]
    return found


def test_ratios_in_place_are_those_of_the_interpreters_own_tensors(
    two_by_two: Exported, tmp_path: Path
) -> None:
    section = made(two_by_two, tmp_path)
    stored = sorted((tmp_path / "inputs").glob("[0-9].npy"))
    arrays = [np.load(path)[:SAMPLES] for path in stored]
    bindings = side(two_by_two.folder / "float.tflite").artifact.inputs
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for row in range(SAMPLES):
        inputs = {
            binding.artifact.name: values[row]
            for binding, values in zip(bindings, arrays, strict=True)
        }
        floats, integers = (
            every_tensor(two_by_two.folder / f"{rung}.tflite", inputs) for rung in ("float", "int8")
        )
        for layer in section["profile"]["layers"]:
            real, approximate = floats[layer["float_name"]][0], integers[layer["name"]][0]
            name = layer["name"]
            signal[name] = signal.get(name, 0) + float(np.square(real).sum())
            noise[name] = noise.get(name, 0) + float(np.square(real - approximate).sum())
    assert len(section["profile"]["layers"]) >= 4
    for layer in section["profile"]["layers"]:
        name = layer["name"]
        expected = 10 * math.log10(signal[name] / noise[name])
        assert layer["in_place"]["sqnr_db"] == pytest.approx(expected, abs=0.01)


def test_alone_a_layer_gets_the_float_models_values(two_by_two: Exported, tmp_path: Path) -> None:
    """Quantized by hand and run through a file of that operator only, they cost the same."""
    section = made(two_by_two, tmp_path)
    stored = sorted((tmp_path / "inputs").glob("[0-9].npy"))
    floating = side(two_by_two.folder / "float.tflite")
    flow = Flow(WholeModel(two_by_two.folder / "int8.tflite").graph)
    paired = pair(Flow(floating.whole.graph), flow, profile_inputs(floating, flow))
    whole = WholeModel(two_by_two.folder / "int8.tflite")
    for layer in section["profile"]["layers"]:
        errors = Errors()
        part = whole.part(flow.inputs_of(layer["index"]), flow.outputs_of(layer["index"]))
        interpreter = Interpreter(
            model_content=part.data,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        takes = {details["name"]: details["index"] for details in interpreter.get_input_details()}
        for row in range(SAMPLES):
            inputs = {
                binding.artifact.name: np.load(path)[row]
                for binding, path in zip(floating.artifact.inputs, stored, strict=True)
            }
            floats = every_tensor(two_by_two.folder / "float.tflite", inputs)
            for binding, index in zip(part.inputs, flow.inputs_of(layer["index"]), strict=True):
                name = floating.whole.graph.tensors[paired.tensors[index]].name
                grid = quantization(flow.tensor(index))
                assert grid is not None
                value = grid.quantize(floats[name][0].astype(np.float32), np.dtype(np.int8))
                interpreter.set_tensor(takes[binding.artifact.name], value)
            interpreter.invoke()
            output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            tensor = flow.tensor(flow.outputs_of(layer["index"])[0])
            errors.add(floats[layer["float_name"]][0].astype(np.float32), output, tensor)
        assert layer["alone"]["sqnr_db"] == pytest.approx(errors.sqnr_db, abs=0.01)


def profile_inputs(floating: BenchSide, quantized: Flow) -> dict[int, int]:
    """int8 input to float input; their tensors have one name in both files."""
    names = {quantized.tensor(index).name: index for index in quantized.graph.inputs}
    graph = floating.whole.graph
    return {names[graph.tensors[index].name]: index for index in graph.inputs}


def test_the_costliest_layers_are_those_with_the_lowest_ratio_alone(
    section: dict[str, Any],
) -> None:
    rows = section["profile"]["layers"]
    costs = {row["index"]: float(row["alone"]["sqnr_db"]) for row in rows}
    cheapest_first = sorted(costs, key=lambda index: costs[index])
    assert section["profile"]["costliest"] == cheapest_first[:3]
    assert section["guilty"][0]["index"] == cheapest_first[0]


def test_the_section_is_valid_and_says_what_was_not_measured(section: dict[str, Any]) -> None:
    jsonschema.validate(section, bisect_schema())
    assert section["kind"] == "profile"
    assert section["verdict"] == "pass"
    assert "it takes the source model" in section["profile"]["kept_in_float"]["skipped"]


def test_reading_layers_out_must_not_change_what_runs(two_by_two: Exported, tmp_path: Path) -> None:
    def fused(graph: Any, outputs: list[Array]) -> list[Array]:
        """A delegate that computes otherwise where more than the model's own outputs are asked."""
        return [output + 1 for output in outputs] if len(graph.outputs) > 2 else outputs

    with pytest.raises(BisectError, match=r"changes what .* computes"):
        made(two_by_two, tmp_path, InProcess(fused))


def test_tensors_are_read_in_groups_that_a_pack_holds() -> None:
    found = list(layers.groups(range(200)))
    assert [len(group) for group in found] == [85, 85, 30]
