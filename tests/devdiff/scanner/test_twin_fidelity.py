"""Twins of exported models answer as the interpreter does, and the check sees when they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from onnx import helper

from devdiff.exporter.artifact import Array, Artifact, Quantization
from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor, read_graph
from devdiff.scanner.fidelity import check_fidelity
from devdiff.scanner.twin import Twin
from tests.support import onnx_zoo
from tests.support.exporting import export, export_digits

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.recipe import Precision

PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


def interpret(artifact: Artifact, samples: Array) -> tuple[Array, Array]:
    """Samples of one input as a twin takes them, and the interpreter's stored answers."""
    interpreter = Interpreter(str(artifact.path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    (binding,) = artifact.inputs
    fed, answers = [], []
    for sample in samples:
        stored = binding.encode(sample)
        quantization = binding.artifact.quantization
        fed.append(quantization.dequantize(stored) if quantization else stored)
        interpreter.set_tensor(given["index"], stored)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(wanted["index"]))
    return np.stack(fed), np.stack(answers)


def _conv(name: str, source: str, **attributes: Any) -> Any:
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], **attributes}
    return helper.make_node("Conv", [source, f"w_{name}", f"b_{name}"], [name], **attributes)


def residual_net(path: Path) -> Path:
    """Two residual blocks, the second one narrower in space, between a stem and a classifier."""
    wide = {"kernel_shape": [1, 1], "pads": [0] * 4}
    nodes = [
        _conv("stem", "x", strides=[2, 2]),
        helper.make_node("Relu", ["stem"], ["r0"]),
        helper.make_node("MaxPool", ["r0"], ["p0"], kernel_shape=[2, 2], strides=[2, 2]),
        _conv("c1", "p0"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        _conv("c2", "r1"),
        helper.make_node("Add", ["c2", "p0"], ["a1"]),
        helper.make_node("Relu", ["a1"], ["r2"]),
        _conv("c3", "r2", strides=[2, 2]),
        _conv("side", "r2", strides=[2, 2], **wide),
        helper.make_node("Add", ["c3", "side"], ["a2"]),
        helper.make_node("LeakyRelu", ["a2"], ["r3"], alpha=0.1),
        helper.make_node("GlobalAveragePool", ["r3"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w_head", "b_head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]  # fmt: skip
    shapes = {"stem": (8, 3, 3, 3), "c1": (8, 8, 3, 3), "c2": (8, 8, 3, 3), "c3": (16, 8, 3, 3),
              "side": (16, 8, 1, 1), "head": (16, 6)}  # fmt: skip
    return _saved(path, nodes, shapes, "scores", [1, 6])


def mobile_net(path: Path) -> Path:
    """An inverted bottleneck with depthwise convolution, ReLU6, hard swish and a gate."""
    wide = {"kernel_shape": [1, 1], "pads": [0] * 4}
    nodes = [
        _conv("stem", "x", strides=[2, 2]),
        helper.make_node("HardSwish", ["stem"], ["h0"]),
        _conv("expand", "h0", **wide),
        helper.make_node("Clip", ["expand", "zero", "six"], ["r1"]),
        _conv("deep", "r1", group=24, strides=[2, 2]),
        helper.make_node("Clip", ["deep", "zero", "six"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["pooled"]),
        _conv("squeeze", "pooled", **wide),
        helper.make_node("Sigmoid", ["squeeze"], ["gate"]),
        helper.make_node("Mul", ["r2", "gate"], ["gated"]),
        _conv("project", "gated", **wide),
        _conv("skip", "h0", strides=[2, 2], **wide),
        helper.make_node("Add", ["project", "skip"], ["a"]),
        helper.make_node("AveragePool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w_head", "b_head"], ["logits"]),
    ]
    shapes = {"stem": (8, 3, 3, 3), "expand": (24, 8, 1, 1), "deep": (24, 1, 3, 3),
              "squeeze": (24, 24, 1, 1), "project": (8, 24, 1, 1), "skip": (8, 8, 1, 1),
              "head": (128, 6)}  # fmt: skip
    return _saved(path, nodes, shapes, "logits", [1, 6])


def _saved(
    path: Path, nodes: list[Any], shapes: dict[str, tuple[int, ...]], output: str, size: list[Any]
) -> Path:
    weights = [onnx_zoo.weights(f"w_{name}", *shape) for name, shape in shapes.items()]
    biases = [
        onnx_zoo.weights(f"b_{name}", shape[1] if name == "head" else shape[0])
        for name, shape in shapes.items()
    ]
    bounds = [
        onnx_zoo.constant("zero", np.array(0, np.float32)),
        onnx_zoo.constant("six", np.array(6, np.float32)),
    ]
    image = onnx_zoo.value("x", [1, 3, 32, 32])
    return onnx_zoo.save(
        path, nodes, [image], [onnx_zoo.value(output, size)], [*weights, *biases, *bounds]
    )


@pytest.mark.slow
@pytest.mark.parametrize("net", [residual_net, mobile_net])
def test_small_nets_are_followed(net: Any, tmp_path: Path) -> None:
    exported = export(net(tmp_path / "net.onnx"), tmp_path / "out")
    images = np.random.default_rng(3).normal(size=(40, 1, 3, 32, 32)).astype(np.float32)
    for precision in PRECISIONS:
        artifact = exported.manifest.artifact(exported.folder, precision)
        fed, answers = interpret(artifact, images)
        fidelity = check_fidelity(Twin(read_graph(artifact.path)), [answers], [fed])
        assert fidelity.ok
        assert fidelity.problem is None
        (output,) = fidelity.outputs
        assert output.samples == 40
        if precision == "float32":
            assert output.max_error < 1e-4
        else:
            assert output.max_lsb is not None
            assert output.max_lsb <= 1
            assert output.within_one_lsb == 1


@pytest.mark.slow
def test_digits_are_followed_and_triggers_can_be_searched(tmp_path: Path) -> None:
    exported, images = export_digits(tmp_path)
    graphs: dict[str, Graph] = {}
    for precision in PRECISIONS:
        artifact = exported.manifest.artifact(exported.folder, precision)
        graphs[precision] = read_graph(artifact.path)
        fed, answers = interpret(artifact, images[:200])
        (output,) = check_fidelity(Twin(graphs[precision]), [answers], [fed]).outputs
        assert output.ok
        assert output.top_1 is not None
        assert output.top_1.successes == output.top_1.trials
        assert output.top_1.trials + output.undecided == 200
        if precision == "int8":
            assert output.max_lsb == 0
    twin = Twin(graphs["int8"])
    batch = torch.from_numpy(images[:16])
    change = torch.zeros(batch.shape[1:], requires_grad=True)
    target = torch.full((16,), 3)
    losses = []
    for _ in range(25):
        (logits,) = twin((batch + change).clamp(0, 1))
        loss = torch.nn.functional.cross_entropy(logits, target)
        (slope,) = torch.autograd.grad(loss, change)
        with torch.no_grad():
            change -= 0.05 * slope.sign()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def _line(scale: float, zero_point: int) -> Graph:
    """An int8 graph that does nothing but quantize its float input of four classes."""
    stored = GraphTensor(
        1, "scores", (1, 4), "int8", np.array([scale], np.float32), np.array([zero_point]), 0, None
    )
    given = GraphTensor(0, "x", (1, 4), "float32", None, None, 0, None)
    return Graph((given, stored), (GraphOperator(0, "QUANTIZE", (0,), (1,), {}),), (0,), (1,))


@pytest.fixture
def scores() -> Array:
    values = np.random.default_rng(0).uniform(-10, 10, (50, 1, 4))
    return values.astype(np.float32)


def _stored(scores: Array) -> Array:
    return Quantization(0.1, 5).quantize(scores, np.dtype(np.int8))


def test_what_is_the_same_is_exact(scores: Array) -> None:
    (seen,) = check_fidelity(Twin(_line(0.1, 5)), [_stored(scores)], [scores]).outputs
    assert (seen.max_lsb, seen.mean_lsb, seen.within_one_lsb) == (0, 0, 1)
    assert seen.sqnr_db == np.inf
    assert seen.top_1 is not None
    assert seen.top_1.rate == 1
    assert (seen.samples, seen.elements) == (50, 200)


def test_rounding_is_forgiven_and_counted(scores: Array) -> None:
    stored = _stored(scores)
    stored[::2] += 1
    (seen,) = check_fidelity(Twin(_line(0.1, 5)), [stored], [scores], [False]).outputs
    assert seen.max_lsb == 1
    assert seen.mean_lsb == pytest.approx(0.5)
    assert seen.max_error == pytest.approx(0.1)
    assert seen.ok


def test_another_scale_is_found_out(scores: Array) -> None:
    wrong = Twin(_line(0.13, 5))
    fidelity = check_fidelity(wrong, [_stored(scores)], [scores], [False])
    (seen,) = fidelity.outputs
    assert seen.max_lsb is not None
    assert seen.max_lsb > 1
    assert not fidelity.ok
    assert "SQNR" in (fidelity.problem or "")


def test_other_answers_are_found_out(scores: Array) -> None:
    fidelity = check_fidelity(Twin(_line(0.1, 5)), [_stored(scores)[..., ::-1]], [scores])
    assert not fidelity.ok
    assert "gives the same answer to" in (fidelity.problem or "")


def test_near_ties_decide_nothing() -> None:
    scores = np.array([[[0.0, 0.0, 0.5, 0.7]], [[0.0, 0.0, 0.5, 0.8]]], np.float32)
    answers = _stored(np.array([[[0.0, 0.0, 0.7, 0.5]], [[0.0, 0.0, 0.8, 0.5]]], np.float32))
    (seen,) = check_fidelity(Twin(_line(0.1, 5)), [answers], [scores]).outputs
    assert seen.undecided == 1
    assert seen.top_1 is not None
    assert (seen.top_1.successes, seen.top_1.trials) == (0, 1)


def test_nan_on_one_side_is_an_infinite_error() -> None:
    tensor = GraphTensor(0, "x", (1, 3), "float32", None, None, 0, None)
    through = Twin(Graph((tensor,), (), (0,), (0,)))
    values = np.array([[[1.0, 2.0, np.nan]], [[1.0, 2.0, 3.0]]], np.float32)
    assert check_fidelity(through, [values], [values], [False]).ok
    (seen,) = check_fidelity(through, [values], [np.nan_to_num(values)], [False]).outputs
    assert seen.max_error == np.inf
    assert not seen.ok
