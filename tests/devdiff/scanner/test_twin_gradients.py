"""What the twin promises beyond its values: gradients, batches, other weights, clear refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from devdiff.errors import ScanError, UnknownOperatorError
from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor, read_graph
from devdiff.scanner.twin import Twin, before_softmax
from devdiff.scanner.twin.fake_quant import round_to_range
from tests.support import one_operator
from tests.support.one_operator import Bias, Case, Computed, Constant, Precision

if TYPE_CHECKING:
    from pathlib import Path

CONVOLUTION = Case(
    "CONV_2D",
    (Computed((1, 6, 5, 3)), Constant((4, 3, 3, 3), 0), Bias(4)),
    ("Conv2DOptions", {"strideH": 2, "strideW": 1, "fusedActivationFunction": 1}),
)
SMOOTH = [
    Case("LOGISTIC", (Computed((1, 3, 4)),), grid=(1 / 256, -128)),
    Case("TANH", (Computed((1, 3, 4)),), grid=(1 / 128, 0)),
    Case("SOFTMAX", (Computed((1, 3, 4)),), ("SoftmaxOptions", {"beta": 1.0}),
         grid=(1 / 256, -128)),
    Case("MEAN", (Computed((1, 3, 4)), [1]), ("ReducerOptions", {"keepDims": True})),
    Case("MUL", (Computed((1, 3, 4)), Computed((1, 3, 4), 0.0, 0.9)), ("MulOptions", {})),
    Case("FULLY_CONNECTED", (Computed((1, 12)), Constant((5, 12)), Bias(5)),
         ("FullyConnectedOptions", {})),
    Case("RESIZE_BILINEAR", (Computed((1, 3, 4, 2)), [5, 6]), ("ResizeBilinearOptions", {}),
         grid="input"),
    Case("AVERAGE_POOL_2D", (Computed((1, 5, 5, 2)),),
         ("Pool2DOptions", {"strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 3}),
         grid="input"),
    CONVOLUTION,
]  # fmt: skip


def twin_of(case: Case, precision: Precision, folder: Path, samples: int = 5) -> tuple[Twin, Any]:
    ran = one_operator.run(case, precision, folder, samples)
    return Twin(read_graph(ran.path)), [torch.from_numpy(value) for value in ran.inputs]


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_float_gradients_are_finite_differences(case: Case, tmp_path: Path) -> None:
    twin, inputs = twin_of(case, "float32", tmp_path, samples=2)
    inputs = [value.requires_grad_() for value in inputs]
    weights = [torch.randn(output.shape) for output in twin(*inputs)]

    def total() -> Tensor:
        pairs = zip(twin(*inputs), weights, strict=True)
        return sum((output * weight).sum() for output, weight in pairs)

    total().backward()
    step = 1e-2
    generator = np.random.default_rng(0)
    for value in inputs:
        flat, gradient = value.detach().reshape(-1), value.grad.reshape(-1)
        for place in generator.choice(flat.numel(), 8, replace=False):
            before = float(flat[place])
            with torch.no_grad():
                flat[place] = before + step
                above = float(total())
                flat[place] = before - step
                below = float(total())
                flat[place] = before
            slope = (above - below) / (2 * step)
            assert float(gradient[place]) == pytest.approx(slope, rel=0.1, abs=5e-3)


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_int8_gradients_follow_the_float_ones(case: Case, tmp_path: Path) -> None:
    gradients = []
    for precision in ("float32", "int8"):
        twin, inputs = twin_of(case, precision, tmp_path)
        inputs = [value.requires_grad_() for value in inputs]
        torch.manual_seed(0)
        sum((output * torch.randn(output.shape)).sum() for output in twin(*inputs)).backward()
        gradients.append(torch.cat([value.grad.reshape(-1) for value in inputs]))
    exact, straight = gradients
    assert float(straight.abs().max()) > 0
    assert torch.nn.functional.cosine_similarity(exact, straight, dim=0) > 0.9


def test_rounding_passes_gradients_and_clamping_stops_them() -> None:
    steps = torch.tensor([-9.0, -4.4, -1.5, 0.2, 2.5, 3.4, 3.6, 8.0], requires_grad=True)
    rounded = round_to_range(steps, -4, 3)
    assert rounded.tolist() == [-4, -4, -2, 0, 2, 3, 3, 3]
    rounded.sum().backward()
    assert steps.grad.tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    assert round_to_range(steps.detach(), -4, 3, halves_up=True).tolist() == [
        -4, -4, -1, 0, 3, 3, 3, 3,
    ]  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    "case",
    [
        CONVOLUTION,
        Case("RESHAPE", (Computed((1, 4, 3)), [4, 3]), grid="input", name="batch-gone"),
        Case("TRANSPOSE", (Computed((1, 4, 3)), [2, 0, 1]), grid="input", name="batch-inside"),
        Case("SQUEEZE", (Computed((1, 4, 3)),), ("SqueezeOptions", {}), grid="input"),
        Case("CONCATENATION", (Computed((1, 4, 3)), Computed((1, 4, 3))),
             ("ConcatenationOptions", {"axis": 0}), grid="input", name="along-batch"),
        Case("BATCH_TO_SPACE_ND", (Computed((4, 2, 2, 3)), [2, 2], [[0, 0], [0, 0]]), grid="input"),
    ],
    ids=str,
)  # fmt: skip
def test_samples_of_a_batch_do_not_meet(case: Case, precision: Precision, tmp_path: Path) -> None:
    twin, inputs = twin_of(case, precision, tmp_path)
    (together,) = twin(*inputs)
    assert len(together) == 5
    for sample in range(5):
        (alone,) = twin(*(value[sample : sample + 1] for value in inputs))
        torch.testing.assert_close(together[sample : sample + 1], alone, rtol=0, atol=1e-6)


def test_a_leading_one_may_be_left_out(tmp_path: Path) -> None:
    twin, (images,) = twin_of(CONVOLUTION, "int8", tmp_path)
    assert images.shape == (5, 1, 6, 5, 3)
    (made,) = twin(images.squeeze(1))
    assert torch.equal(made, twin(images)[0])
    assert made.shape == (5, 3, 5, 4)
    with pytest.raises(ValueError, match=r"takes \[N, 1, 6, 5, 3\], not \[5, 3, 6, 5\]"):
        twin(torch.zeros(5, 3, 6, 5))
    with pytest.raises(ValueError, match="2 inputs for 1"):
        twin(images, images)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_other_weights_make_another_twin(precision: Precision, tmp_path: Path) -> None:
    twin, (images,) = twin_of(CONVOLUTION, precision, tmp_path)
    (operator,) = twin.graph.operators
    weights = twin.graph.tensors[operator.inputs[1]]
    assert weights.data is not None
    real = weights.data.astype(np.float32)
    if weights.scales is not None:
        real *= weights.scales.reshape(-1, 1, 1, 1)
    before = twin(images)[0]
    same = twin.with_constants({weights.index: real})
    other = twin.with_constants({weights.index: -real})
    assert torch.equal(same(images)[0], before)
    assert not torch.allclose(other(images)[0], before)
    assert torch.equal(twin(images)[0], before)
    with pytest.raises(ValueError, match="is no constant of shape"):
        twin.with_constants({weights.index: real[:1]})
    with pytest.raises(ValueError, match="is no constant"):
        twin.with_constants({twin.graph.inputs[0]: real})


def _graph(kind: str, **options: Any) -> Graph:
    tensors = tuple(
        GraphTensor(index, f"t{index}", (1, 4), "float32", None, None, 0, None)
        for index in range(3)
    )
    softmax = GraphOperator(1, "SOFTMAX", (1,), (2,), {"beta": 1.0})
    return Graph(tensors, (GraphOperator(0, kind, (0,), (1,), options), softmax), (0,), (2,))


def test_unknown_operators_are_named() -> None:
    with pytest.raises(UnknownOperatorError, match="does not know SVDF") as caught:
        Twin(_graph("SVDF"))
    assert isinstance(caught.value, ScanError)


def test_unknown_forms_of_operators_are_named(tmp_path: Path) -> None:
    ran = one_operator.run(
        Case("FULLY_CONNECTED", (Computed((1, 12)), Constant((5, 12)), Bias(5)),
             ("FullyConnectedOptions", {})), "float32", tmp_path
    )  # fmt: skip
    graph = read_graph(ran.path)
    (operator,) = graph.operators
    shuffled = GraphOperator(
        0,
        operator.kind,
        operator.inputs,
        operator.outputs,
        {**operator.options, "weights_format": 1},
    )
    with pytest.raises(UnknownOperatorError, match=r"FULLY_CONNECTED.*weights are shuffled"):
        Twin(Graph(graph.tensors, (shuffled,), graph.inputs, graph.outputs))


def test_options_that_are_missing_are_named() -> None:
    with pytest.raises(UnknownOperatorError, match=r"MUL.*operator 0.*input 1"):
        Twin(_graph("MUL"))
    with pytest.raises(UnknownOperatorError, match=r"LEAKY_RELU.*do not fit.*alpha"):
        Twin(_graph("LEAKY_RELU"))


def test_shapes_that_do_not_fit_are_named() -> None:
    twin = Twin(_graph("ABS"))
    odd = GraphTensor(0, "t0", (1, 4), "float32", None, None, 0, None)
    matrix = GraphTensor(1, "t1", (2, 3), "float32", None, None, 0, None)
    reshape = GraphOperator(0, "RESHAPE", (0,), (1,), {})
    assert twin(torch.ones(1, 4))[0].shape == (1, 4)
    with pytest.raises(UnknownOperatorError, match=r"RESHAPE \(operator 0\).*cannot be computed"):
        Twin(Graph((odd, matrix), (reshape,), (0,), (1,)))(torch.ones(1, 4))


def test_logits_are_found_behind_a_softmax() -> None:
    graph = _graph("ABS")
    logits = before_softmax(graph, graph.outputs[0])
    assert logits == 1
    values = torch.tensor([[-2.0, 1.0, 0.5, -3.0]])
    (seen,) = Twin(graph, outputs=[logits])(values)
    assert seen.tolist() == [[2.0, 1.0, 0.5, 3.0]]
    assert before_softmax(graph, logits) == logits


def test_operators_behind_no_wanted_output_need_not_be_known() -> None:
    graph = _graph("ABS")
    unknown = Graph(
        graph.tensors,
        (graph.operators[0], GraphOperator(1, "SVDF", (1,), (2,), {})),
        graph.inputs,
        graph.outputs,
    )
    (seen,) = Twin(unknown, outputs=[1])(-torch.ones(2, 4))
    assert seen.tolist() == [[1.0] * 4] * 2


def test_half_precision_weights_are_unpacked_once(tmp_path: Path) -> None:
    """A float16 model keeps its weights in half precision and widens them when it runs."""
    ran = one_operator.run(CONVOLUTION, "float32", tmp_path)
    graph = read_graph(ran.path)
    (operator,) = graph.operators
    source = graph.tensors[operator.inputs[1]]
    assert source.data is not None
    stored = GraphTensor(
        len(graph.tensors), "half", source.shape, "float16", None, None, 0,
        source.data.astype(np.float16),
    )  # fmt: skip
    widened = GraphTensor(source.index, "wide", source.shape, "float32", None, None, 0, None)
    tensors = tuple(widened if t.index == source.index else t for t in graph.tensors)
    widen = GraphOperator(0, "DEQUANTIZE", (stored.index,), (source.index,), {})
    twin = Twin(Graph((*tensors, stored), (widen, operator), graph.inputs, graph.outputs))
    (made,) = twin(torch.from_numpy(ran.inputs[0]))
    np.testing.assert_allclose(made.numpy(), ran.outputs[0][:, 0], atol=5e-3)
    doubled = twin.with_constants({stored.index: 2 * source.data})
    assert not torch.allclose(doubled(torch.from_numpy(ran.inputs[0]))[0], made)


def test_every_registered_operator_exists() -> None:
    from devdiff.scanner.twin.site import BUILDERS

    assert set(BUILDERS) <= set(vars(schema.BuiltinOperator))
