"""Which artifact tensor is which source tensor is proven by running, where a choice is left."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.bisection import subject as bisect_subject
from devdiff.bisection.subject import BisectRequest
from devdiff.exporter.artifact import Array, Binding, Quantization, TensorSpec
from devdiff.exporter.binding import (
    MOST_CHOICES,
    fitting,
    input_choices,
    output_choices,
    paired_by_name,
)
from devdiff.inputs.input_set import InputRequest
from devdiff.options import ModelSpec
from devdiff.progress import SilentEvents
from tests.support import onnx_zoo
from tests.support.command import devdiff

if TYPE_CHECKING:
    from pathlib import Path


def stored(name: str, *shape: int, dtype: str = "float32") -> Binding:
    quantization = Quantization(0.1, 0) if dtype == "int8" else None
    tensor = TensorSpec(name, shape, dtype, quantization)
    return Binding(tensor, tensor, tuple(range(len(shape))), name)


def spec(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, shape, dtype)


def orders(found: tuple[Binding, ...]) -> list[tuple[int, ...]]:
    return [one.permutation for one in found]


def test_shapes_that_leave_one_order_of_axes_leave_no_choice() -> None:
    assert orders(fitting(spec("x", 1, 3, 8, 9), stored("x", 1, 8, 9, 3))) == [(0, 2, 3, 1)]


def test_the_usual_layouts_come_first() -> None:
    found = orders(fitting(spec("x", 1, 4, 4, 4), stored("x", 1, 4, 4, 4)))
    assert found[:3] == [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2)]
    assert len(found) == len(set(found)) == 6


def test_the_batch_axis_stays() -> None:
    assert orders(fitting(spec("x", 2, 2), stored("x", 2, 2))) == [(0, 1)]


def test_dynamic_axes_take_the_size_of_the_first_layout_that_fits() -> None:
    found = fitting(spec("x", 1, -1, -1, 4), stored("x", 1, 4, 6, 4))
    assert {one.source.shape for one in found} == {(1, 4, 6, 4)}


def test_real_and_whole_numbers_are_no_pair() -> None:
    assert not fitting(spec("ids", 1, 4, dtype="int64"), stored("x", 1, 4, dtype="int8"))
    assert fitting(spec("ids", 1, 4, dtype="int64"), stored("ids", 1, 4, dtype="int32"))
    assert fitting(spec("x", 1, 4), stored("x", 1, 4, dtype="int8"))


def test_tensors_of_one_name_stay_together() -> None:
    wanted = [spec("a", 1, 4), spec("b", 1, 4), spec("c", 1, 4)]
    given = [stored("args_0", 1, 4), stored("serving_default_b:0", 1, 4), stored("args_1", 1, 4)]
    found = input_choices(wanted, given)
    assert len(found) == 2
    assert {choice[1].artifact.name for choice in found} == {"serving_default_b:0"}
    assert not paired_by_name(wanted, given)


def test_as_many_choices_are_listed_as_can_be_run_the_likely_ones_first() -> None:
    wanted = [spec("a", 1, 4, 4, 4), spec("b", 1, 4, 4, 4)]
    found = input_choices(wanted, [stored("p", 1, 4, 4, 4), stored("q", 1, 4, 4, 4)])
    assert len(found) == MOST_CHOICES
    first = [(choice[0].artifact.name, *orders(choice)) for choice in found[:6]]
    assert set(first) == {
        (name, order, order)
        for name in "pq"
        for order in ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2))
    }


def test_outputs_are_offered_to_each_other_unless_names_agree() -> None:
    wanted = [spec("a", 1, 4), spec("b", 1, 4)]
    free = output_choices(wanted, [stored("p", 1, 4), stored("q", 1, 4)])
    assert [[len(found) for found in row] for row in free] == [[1, 1], [1, 1]]
    named = output_choices(wanted, [stored("b", 1, 4), stored("a", 1, 4)])
    assert [[len(found) for found in row] for row in named] == [[0, 1], [1, 0]]


def write(folder: Path, **arrays: Array) -> Path:
    path = folder / "inputs.npz"
    np.savez(path, **arrays)
    return path


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def report_of(run: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    return report


OTHER_TOOL = """
import sys
import onnx, tensorflow as tf
from onnx import numpy_helper

source, path = sys.argv[1:]
weights = {w.name: numpy_helper.to_array(w) for w in onnx.load(source).graph.initializer}
by_name = {name: w.transpose(2, 3, 1, 0) for name, w in weights.items()}
cube = tf.TensorSpec([1, 4, 4, 4], tf.float32)

@tf.function(input_signature=[cube, cube])
def shipped(args_0, args_1):
    color = tf.nn.conv2d(args_1, by_name["w1"], 1, "SAME")
    return color - tf.nn.conv2d(args_0, by_name["w2"], 1, "SAME")

concrete = shipped.get_concrete_function()
made = tf.lite.TFLiteConverter.from_concrete_functions([concrete], shipped).convert()
open(path, "wb").write(made)
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``cubes`` as another tool ships it: channels last, its inputs renamed and exchanged."""
    folder = tmp_path_factory.mktemp("cubes")
    source, path = onnx_zoo.cubes(folder / "cubes.onnx"), folder / "shipped.tflite"
    command = [sys.executable, "-c", OTHER_TOOL, str(source), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.slow
def test_renamed_exchanged_and_transposed_inputs_are_found(shipped: Path, tmp_path: Path) -> None:
    source = onnx_zoo.cubes(tmp_path / "cubes.onnx")
    samples = write(tmp_path, color=normal(12, 1, 4, 4, 4), depth=normal(12, 1, 4, 4, 4, seed=1))
    done = devdiff(
        "export-and-test",
        shipped,
        *("--source", source, "--inputs", samples, "--device", "none", "--out", "run"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = report_of(tmp_path / "run")["bindings"]
    assert found["by"] == "running"
    by_source = {one["source"]: one for one in (*found["inputs"], *found["outputs"])}
    assert "args_1" in by_source["color"]["artifact"]
    assert "args_0" in by_source["depth"]["artifact"]
    assert {tuple(one["axes"]) for one in by_source.values()} == {(0, 2, 3, 1)}
    assert "binding: shipped.tflite: tensors paired with the source's by running" in done.stdout


@pytest.mark.slow
def test_bisect_and_run_bind_a_finished_file_as_a_test_does(shipped: Path, tmp_path: Path) -> None:
    source = onnx_zoo.cubes(tmp_path / "cubes.onnx")
    samples = write(tmp_path, color=normal(12, 1, 4, 4, 4), depth=normal(12, 1, 4, 4, 4, seed=1))
    request = BisectRequest(ModelSpec(shipped, source=source), data=InputRequest(samples))
    given = bisect_subject.from_files(
        request, tmp_path / "kept", tmp_path / "reading.log", SilentEvents()
    )
    record = given.files["float"][1]
    bound = {one.source.name: one for one in record.inputs}
    assert "args_1" in bound["color"].artifact.name
    assert {one.permutation for one in (*record.inputs, *record.outputs)} == {(0, 2, 3, 1)}
    given_samples = ("--inputs", samples)
    done = devdiff("run", source, *given_samples, "--out", "source", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = devdiff("run", shipped, "--source", source, *given_samples, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tensors paired with the source's by running" in done.stderr
    done = devdiff("diff", "source", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_another_model_is_a_real_failure_and_says_what_was_tried(
    shipped: Path, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    source = onnx_zoo.cubes(tmp_path / "cubes.onnx")
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.3, tensor.name))
    onnx.save(model, source)
    samples = write(tmp_path, color=normal(12, 1, 4, 4, 4), depth=normal(12, 1, 4, 4, 4, seed=1))
    done = devdiff(
        "export-and-test",
        shipped,
        *("--source", source, "--inputs", samples, "--device", "none", "--out", "run"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (found,) = report_of(tmp_path / "run")["bindings"]
    assert found["by"] == "order"
    assert "none of" in found["reason"]


@pytest.mark.slow
def test_a_square_class_map_keeps_its_axes(tmp_path: Path) -> None:
    model = onnx_zoo.class_map(tmp_path / "map.onnx")
    samples = write(tmp_path, x=normal(16, 1, 3, 8, 8))
    done = devdiff(
        "export-and-test",
        model,
        *("--compress", "none", "--inputs", samples, "--device", "none", "--out", "run"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_of(tmp_path / "run")
    assert [one["by"] for one in report["bindings"]] == ["running"]
    assert report["bindings"][0]["outputs"][0]["axes"] == [0, 1, 2]
    (output,) = report["manifest"]["artifacts"][0]["outputs"]
    assert output["permutation"] == [0, 1, 2], "the manifest tells apps the same"
