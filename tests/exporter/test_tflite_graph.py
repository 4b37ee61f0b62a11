"""The graph reader gives constants, scales and options, and refuses what it cannot read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.tflite_graph import Graph, read_graph
from tests.support.tflite_rewriting import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.exporting import Exported


@pytest.fixture(scope="module", params=["float", "int8"])
def artifact(request: pytest.FixtureRequest, two_by_two: Exported) -> Path:
    return two_by_two.folder / f"{request.param}.tflite"


@pytest.fixture
def int8(two_by_two: Exported) -> Path:
    return two_by_two.folder / "int8.tflite"


def test_tensors_are_what_the_interpreter_sees(artifact: Path) -> None:
    graph = read_graph(artifact)
    interpreter = Interpreter(
        str(artifact), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    constants = 0
    for details in interpreter.get_tensor_details()[: len(graph.tensors)]:
        tensor = graph.tensors[details["index"]]
        assert (tensor.name, tensor.shape) == (details["name"], tuple(details["shape"]))
        assert np.dtype(tensor.dtype) == details["dtype"]
        told = details["quantization_parameters"]
        scales = [] if tensor.scales is None else tensor.scales.tolist()
        zero_points = [] if tensor.zero_points is None else tensor.zero_points.tolist()
        assert scales == told["scales"].tolist()
        assert zero_points in (
            told["zero_points"].tolist(),
            told["zero_points"].tolist() * len(scales),
        )
        if len(scales) > 1:
            assert tensor.axis == told["quantized_dimension"]
        if tensor.data is not None:
            constants += 1
            np.testing.assert_array_equal(tensor.data, interpreter.get_tensor(details["index"]))
            assert tensor.data.dtype == tensor.dtype
            assert not tensor.data.flags.writeable
    assert constants >= 4
    assert list(graph.inputs) == [d["index"] for d in interpreter.get_input_details()]
    assert list(graph.outputs) == [d["index"] for d in interpreter.get_output_details()]


def test_weights_keep_a_scale_for_every_channel(int8: Path) -> None:
    graph = read_graph(int8)
    (convolution,) = [o for o in graph.operators if o.kind == "CONV_2D"]
    weights = graph.tensors[convolution.inputs[1]]
    assert weights.scales is not None
    assert weights.scales.shape == (4,)
    assert weights.shape[weights.axis] == 4


def test_options_are_named(int8: Path) -> None:
    (convolution,) = [o for o in read_graph(int8).operators if o.kind == "CONV_2D"]
    assert convolution.options["fused_activation_function"] in ("NONE", "RELU")
    assert convolution.options["padding"] in ("SAME", "VALID")
    assert convolution.options["stride_h"] == 1


def test_packed_nibbles_come_out_as_small_integers(int8: Path, tmp_path: Path) -> None:
    wanted = [0, 1, 7, -8, -1]

    def pack(model: Any) -> None:
        tensor = _weights(model)
        tensor.type = schema.TensorType.INT4
        tensor.shape = [5]
        tensor.quantization.scale = [0.5]
        tensor.quantization.zeroPoint = [0]
        nibbles = [value & 15 for value in (*wanted, 0)]
        model.buffers[tensor.buffer].data = [
            low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)
        ]

    graph = read_graph(rewritten(int8, tmp_path / "packed.tflite", pack))
    (packed,) = [tensor for tensor in graph.tensors if tensor.dtype == "int4"]
    assert packed.data is not None
    assert packed.data.tolist() == wanted


def _weights(model: Any) -> Any:
    """The convolution's, quantized along axis 0 with four scales."""
    return model.subgraphs[0].tensors[_convolution(model).inputs[1]]


def _convolution(model: Any) -> Any:
    operators = model.subgraphs[0].operators
    return next(o for o in operators if isinstance(o.builtinOptions, schema.Conv2DOptionsT))


def _two_graphs(model: Any) -> None:
    other = schema.SubGraphT()
    other.name = b"loop body"
    model.subgraphs.append(other)


def _sparse(model: Any) -> None:
    _weights(model).sparsity = schema.SparsityParametersT()


def _outside(model: Any) -> None:
    buffer = model.buffers[_weights(model).buffer]
    buffer.data, buffer.offset, buffer.size = None, 8, 16


def _text_constant(model: Any) -> None:
    _weights(model).type = schema.TensorType.STRING


def _negative_scale(model: Any) -> None:
    _weights(model).quantization.scale = [-1.0, 1.0, 1.0, 1.0]


def _wrong_axis(model: Any) -> None:
    _weights(model).quantization.quantizedDimension = 7


def _unordered(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


def _lost_weights(model: Any) -> None:
    model.buffers[_weights(model).buffer].data = None


def _odd_padding(model: Any) -> None:
    _convolution(model).builtinOptions.padding = 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_two_graphs, "more than one graph \\(also 'loop body'\\)"),
        (_sparse, "stored sparse"),
        (_outside, "outside the model's own tables|behind the end of the file"),
        (_text_constant, "of type string are not read"),
        (_negative_scale, "a scale is negative"),
        (_wrong_axis, "4 scales along axis 7"),
        (_unordered, "before anything has computed it"),
        (_lost_weights, "before anything has computed it"),
        (_odd_padding, "padding is 9"),
    ],
)
def test_what_cannot_be_read_is_said(
    int8: Path, tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    path = rewritten(int8, tmp_path / "m.tflite", change)
    with pytest.raises(ArtifactError, match=rf"m\.tflite.*({message})"):
        read_graph(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.tflite cannot be read: No such file"):
        read_graph(tmp_path / "none.tflite")


def test_damage_is_refused_or_read(int8: Path, tmp_path: Path) -> None:
    whole = int8.read_bytes()
    path = tmp_path / "m.tflite"
    generator = random.Random(0)
    outcomes: dict[str, int] = {"read": 0, "refused": 0}
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 20)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(data)
        try:
            assert isinstance(read_graph(path), Graph)
            outcomes["read"] += 1
        except ArtifactError as error:
            assert str(path) in str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10
