"""Pruning takes what it says it takes, where it says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from devdiff.exporter.errors import CompressionError
from devdiff.exporter.prune import prune
from devdiff.exporter.recipe import Pruning
from tests.support.onnx_zoo import constant, save, value, weights

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array
    from devdiff.exporter.manifest import PrunedLayer

DIGITS = Path(__file__).parents[2] / "examples/digits/digits.onnx"
IMAGE = value("x", [1, 6, 8, 8])


def pruned(path: Path, text: str) -> tuple[Any, dict[str, PrunedLayer], str]:
    """The pruned model, checked; what was done to each weight tensor; the notes."""
    method, rate = text.split(":")
    kind = "prune" if method == "prune" else "channel-prune"
    model, layers, notes = prune(onnx.load(path), Pruning(kind, float(rate)))  # type: ignore[arg-type]
    onnx.checker.check_model(model, full_check=True)
    return model, {layer.weight: layer for layer in layers}, " ".join(notes)


def tensors(model: Any) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def values(model: Any) -> dict[str, Array]:
    """Every value the model computes for one random input, by name."""
    told = {output.name for output in model.graph.output}
    looked = onnx.ModelProto()
    looked.CopyFrom(model)
    for node in looked.graph.node:
        for name in node.output:
            if name not in told:
                looked.graph.output.add(name=name)
    session = onnxruntime.InferenceSession(looked.SerializeToString())
    generator = np.random.default_rng(0)
    feed = {
        one.name: generator.normal(size=one.shape).astype(np.float32)
        for one in session.get_inputs()
    }
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def dead(array: Array, axis: int = 1) -> list[int]:
    """The channels of a computed value that are zero everywhere."""
    rest = tuple(i for i in range(array.ndim) if i != axis)
    return [int(c) for c in np.flatnonzero(np.abs(array).max(axis=rest) == 0)]


def conv(data: str, weight: str, out: str, *more: str, **attributes: Any) -> Any:
    return helper.make_node("Conv", [data, weight, *more], [out], **attributes)


def head(data: str) -> list[Any]:
    """A classifier behind a feature map of any number of channels."""
    return [
        helper.make_node("GlobalAveragePool", [data], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head.w", "head.b"], ["y"], transB=1),
    ]


def classifier(path: Path, nodes: list[Any], data: str, channels: int, constants: Any) -> Path:
    """``x`` [1, 6, 8, 8] through ``nodes`` to a map of ``channels``, then to ``y`` [1, 5]."""
    ends = [weights("head.w", 5, channels), weights("head.b", 5)]
    return save(path, [*nodes, *head(data)], [IMAGE], [value("y", [1, 5])], [*constants, *ends])


def norms(array: Array) -> Array:
    rest = tuple(range(1, array.ndim))
    return np.asarray(np.abs(array).astype(np.float64).sum(axis=rest))


def weakest(array: Array, count: int) -> list[int]:
    """Which channels (first axis) have the smallest L1 norm."""
    return sorted(np.argsort(norms(array))[:count].tolist())


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.93])
def test_each_layer_loses_exactly_its_smallest_weights(rate: float) -> None:
    before = tensors(onnx.load(DIGITS))
    model, layers, _ = pruned(DIGITS, f"prune:{rate}")
    after = tensors(model)
    assert set(layers) == {"0.weight", "3.weight", "5.weight", "7.weight", "11.weight"}
    for name, layer in layers.items():
        gone = after[name] == 0
        assert gone.sum() == layer.zeros == round(rate * layer.weights)
        assert np.array_equal(after[name][~gone], before[name][~gone])
        assert np.abs(before[name][gone]).max() <= np.abs(before[name][~gone]).min()
    for name in set(before) - set(layers):
        assert np.array_equal(after[name], before[name])


def test_the_same_weights_go_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn.utils.prune import L1Unstructured, LnStructured

    before = tensors(onnx.load(DIGITS))
    single, whole = (tensors(pruned(DIGITS, how)[0]) for how in ("prune:0.4", "channel-prune:0.4"))
    for name in ("0.weight", "3.weight", "5.weight", "7.weight"):
        weight = torch.tensor(before[name])
        expected = L1Unstructured(0.4).prune(weight).numpy()
        assert np.array_equal(single[name], expected)
        expected = LnStructured(0.4, n=1, dim=0).prune(weight).numpy()
        assert np.array_equal(whole[name], expected)


def test_of_equal_weights_the_first_go(tmp_path: Path) -> None:
    w = np.where(np.arange(600).reshape(20, 30) % 2, 1, -1).astype(np.float32)
    w[0, 7] = -2
    path = save(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", [1, 20])],
        [value("y", [1, 30])],
        [constant("w", w)],
    )
    model, _, _ = pruned(path, "prune:0.5")
    gone = np.flatnonzero(tensors(model)["w"] == 0)
    assert gone.tolist() == [place for place in range(301) if place != 7]


def test_channels_of_a_matrix_that_stands_on_the_left(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [
            helper.make_node("MatMul", ["w", "x"], ["h"]),
            helper.make_node("Add", ["h", "b"], ["s"]),
            helper.make_node("MatMul", ["v", "s"], ["y"]),
        ],
        [value("x", [1, 6, 3])],
        [value("y", [1, 2, 3])],
        [weights("w", 8, 6), weights("b", 8, 1), weights("v", 2, 8)],
    )
    model, _, _ = pruned(path, "channel-prune:0.25")
    assert dead(values(model)["s"]) == weakest(tensors(onnx.load(path))["w"], 2)


def test_weights_are_found_behind_identities_transposes_and_constant_nodes(tmp_path: Path) -> None:
    hidden = weights("made", 3, 8)
    path = save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]),
            helper.make_node("Identity", ["wt"], ["wi"]),
            helper.make_node("MatMul", ["x", "wi"], ["h"]),
            helper.make_node("Constant", [], ["made"], value=hidden),
            helper.make_node("MatMul", ["made", "column"], ["unused"]),
            helper.make_node("Gemm", ["h", "made"], ["y"], transB=1),
        ],
        [value("x", [1, 4])],
        [value("y", [1, 3]), value("unused", [3, 1])],
        [weights("w", 8, 4), constant("column", np.ones((8, 1), np.float32))],
    )
    _, layers, _ = pruned(path, "prune:0.25")
    assert {name: layer.zeros for name, layer in layers.items()} == {"w": 8, "made": 6, "column": 2}
    model, layers, _ = pruned(path, "channel-prune:0.25")
    # Of w [8, 4] read as its transpose, a row is an output channel.
    assert dead(tensors(model)["w"], axis=0) == weakest(tensors(onnx.load(path))["w"], 2)
    assert layers["w"].zero_channels == 2
    assert layers["made"].zero_channels == 0


def test_a_shared_tensor_is_pruned_once(tmp_path: Path) -> None:
    path = classifier(
        tmp_path / "m.onnx",
        [conv("x", "w", "a", "b"), conv("a", "w", "c"), conv("c", "last", "d")],
        "d",
        6,
        [weights("w", 6, 6, 1, 1), weights("b", 6), weights("last", 6, 6, 1, 1)],
    )
    _, layers, _ = pruned(path, "prune:0.5")
    assert layers["w"].zeros == 18
    model, layers, _ = pruned(path, "channel-prune:0.5")
    gone = weakest(tensors(onnx.load(path))["w"], 3)
    assert layers["w"].zero_channels == 3
    assert dead(values(model)["a"]) == dead(values(model)["c"]) == gone


def test_a_tensor_that_is_also_a_table_keeps_its_channels(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Gather", ["w", "row"], ["extra"]),
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Add", ["h", "extra"], ["sum"]),
            helper.make_node("MatMul", ["sum", "v"], ["y"]),
        ],
        [value("x", [1, 6])],
        [value("y", [1, 3])],
        [weights("w", 6, 8), weights("v", 8, 3), constant("row", np.array([2]))],
    )
    with pytest.raises(CompressionError, match="nothing would be pruned"):
        pruned(path, "channel-prune:0.5")
    assert pruned(path, "prune:0.5")[1]["w"].zeros == 24


NORMALIZATION = ["scale", "shift", "mean", "variance"]


@pytest.mark.parametrize("between", ["Relu", "HardSwish", "LeakyRelu", "MaxPool"])
def test_pruned_channels_stay_zero_through_batch_normalization(
    tmp_path: Path, between: str
) -> None:
    attributes = {"kernel_shape": [2, 2]} if between == "MaxPool" else {}
    path = classifier(
        tmp_path / "m.onnx",
        [
            conv("x", "w", "c", "b", pads=[1] * 4),
            helper.make_node("BatchNormalization", ["c", *NORMALIZATION], ["n"]),
            helper.make_node(between, ["n"], ["r"], **attributes),
            helper.make_node("BatchNormalization", ["r", *NORMALIZATION], ["again"]),
            conv("again", "w2", "d"),
        ],
        "d",
        4,
        [
            weights("w", 10, 6, 3, 3),
            weights("b", 10),
            *(weights(name, 10) for name in NORMALIZATION[:3]),
            constant("variance", np.linspace(0.5, 2, 10, dtype=np.float32)),
            weights("w2", 4, 10, 1, 1),
        ],
    )
    gone = weakest(tensors(onnx.load(path))["w"], 4)
    model, layers, notes = pruned(path, "channel-prune:0.4")
    seen = values(model)
    for name in ("c", "n", "r", "again"):
        assert dead(seen[name]) == gone
    assert (layers["w"].channels, layers["w"].zero_channels) == (10, 4)
    assert "head.w (its channels are the model's outputs)" in notes
    # What was kept is as it was.
    before, kept = values(onnx.load(path)), [c for c in range(10) if c not in gone]
    assert np.array_equal(seen["c"][:, kept], before["c"][:, kept])
    if between == "Relu":
        assert np.array_equal(seen["again"][:, kept], before["again"][:, kept])


def old(path: Path) -> Path:
    """The model as written before initializers could do without being declared as inputs."""
    model = onnx.load(path)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(value(tensor.name, list(tensor.dims), tensor.data_type))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("declared", [False, True])
def test_parameters_shared_with_other_nodes_are_changed_for_one(
    tmp_path: Path, declared: bool
) -> None:
    """Exporters merge equal tensors: here one bias serves two convolutions and a sum."""
    path = classifier(
        tmp_path / "m.onnx",
        [
            conv("x", "w", "a", "b"),
            helper.make_node("Relu", ["a"], ["r"]),
            conv("r", "w2", "c", "b"),
            helper.make_node("Relu", ["c"], ["d"]),
        ],
        "d",
        4,
        [weights("w", 4, 6, 1, 1), weights("w2", 4, 4, 1, 1), weights("b", 4)],
    )
    before = tensors(onnx.load(path))
    model, _, _ = pruned(old(path) if declared else path, "channel-prune:0.25")
    for node, weight in ((model.graph.node[0], "w"), (model.graph.node[2], "w2")):
        (gone,) = weakest(before[weight], 1)
        expected = before["b"].copy()
        expected[gone] = 0
        assert np.array_equal(tensors(model)[node.input[2]], expected)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_convolutions_follow_the_layer_before(tmp_path: Path, multiplier: int) -> None:
    path = classifier(
        tmp_path / "m.onnx",
        [
            conv("x", "expand", "e", "expand.b"),
            helper.make_node("Clip", ["e", "zero", "six"], ["r"]),
            conv("r", "depth", "d", "depth.b", group=8, pads=[1] * 4),
            helper.make_node("Relu", ["d"], ["t"]),
            conv("t", "project", "p", "project.b"),
        ],
        "p",
        4,
        [
            weights("expand", 8, 6, 1, 1),
            weights("expand.b", 8),
            weights("depth", 8 * multiplier, 1, 3, 3),
            weights("depth.b", 8 * multiplier),
            weights("project", 4, 8 * multiplier, 1, 1),
            weights("project.b", 4),
            constant("zero", np.array(0, np.float32)),
            constant("six", np.array(6, np.float32)),
        ],
    )
    gone = weakest(tensors(onnx.load(path))["expand"], 2)
    model, layers, _ = pruned(path, "channel-prune:0.25")
    following = [c * multiplier + k for c in gone for k in range(multiplier)]
    seen = values(model)
    assert dead(seen["e"]) == gone
    assert dead(seen["d"]) == dead(tensors(model)["depth"], axis=0) == following
    assert layers["depth"].zero_channels == len(following)
    assert layers["project"].zero_channels == 1


def test_grouped_convolutions_are_pruned_by_output_channel(tmp_path: Path) -> None:
    transposed = helper.make_node("ConvTranspose", ["a", "up", "up.b"], ["u"], group=2)
    path = classifier(
        tmp_path / "m.onnx",
        [conv("x", "w", "a", "b", group=3), transposed, conv("u", "last", "d")],
        "d",
        4,
        [
            weights("w", 12, 2, 3, 3),
            weights("b", 12),
            weights("up", 12, 5, 2, 2),
            weights("up.b", 10),
            weights("last", 4, 10, 1, 1),
        ],
    )
    before = tensors(onnx.load(path))
    seen = values(pruned(path, "channel-prune:0.3")[0])
    assert dead(seen["a"]) == weakest(before["w"], 4)
    # Output channel 5 g + j of the transposed one has the weights [6 g : 6 g + 6, j].
    split = np.moveaxis(before["up"].reshape(2, 6, 5, 2, 2), 2, 1).reshape(10, -1)
    assert dead(seen["u"]) == weakest(split, 3)


@pytest.mark.parametrize("bias", [(8,), (1, 1, 8)])
def test_a_bias_that_is_a_sum_behind_a_matrix_product(
    tmp_path: Path, bias: tuple[int, ...]
) -> None:
    filled = np.full(bias, 0.5, np.float32)
    path = save(
        tmp_path / "m.onnx",
        [
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Add", ["b", "m"], ["s"]),
            helper.make_node("Sigmoid", ["s"], ["gate"]),
            helper.make_node("Mul", ["s", "gate"], ["silu"]),
            helper.make_node("MatMul", ["silu", "v"], ["y"]),
        ],
        [value("x", [1, 3, 6])],
        [value("y", [1, 3, 2])],
        [weights("w", 6, 8), weights("v", 8, 2), constant("b", filled)],
    )
    gone = weakest(tensors(onnx.load(path))["w"].T, 2)
    model, _, _ = pruned(path, "channel-prune:0.25")
    seen, before = values(model), values(onnx.load(path))
    assert dead(seen["s"], axis=2) == dead(seen["silu"], axis=2) == gone
    kept = [c for c in range(8) if c not in gone]
    assert np.array_equal(seen["s"][..., kept], before["s"][..., kept])


def test_an_activation_written_out_keeps_its_form(tmp_path: Path) -> None:
    """x·clip(x + 3, 0, 6) / 6: converters know it by its scalars."""
    scalars = [constant(f"k{n}", np.array(n, np.float32)) for n in (0, 3, 6)]
    path = classifier(
        tmp_path / "m.onnx",
        [
            conv("x", "w", "c", "b"),
            helper.make_node("Add", ["c", "k3"], ["moved"]),
            helper.make_node("Clip", ["moved", "k0", "k6"], ["clipped"]),
            helper.make_node("Mul", ["c", "clipped"], ["product"]),
            helper.make_node("Div", ["product", "k6"], ["h"]),
            conv("h", "depth", "d", "depth.b", group=8),
            conv("d", "last", "e"),
        ],
        "e",
        4,
        [
            *(weights("w", 8, 6, 1, 1), weights("b", 8)),
            *(weights("depth", 8, 1, 3, 3), weights("depth.b", 8)),
            *(weights("last", 4, 8, 1, 1), *scalars),
        ],
    )
    gone = weakest(tensors(onnx.load(path))["w"], 4)
    model, _, _ = pruned(path, "channel-prune:0.5")
    assert dead(values(model)["h"]) == dead(values(model)["d"]) == gone
    assert set(tensors(model)) == set(tensors(onnx.load(path)))
    assert tensors(model)["k3"] == 3


@pytest.mark.parametrize("transposed", [0, 1])
def test_channels_of_a_gemm(tmp_path: Path, transposed: int) -> None:
    shape = (9, 6) if transposed else (6, 9)
    path = save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=transposed),
            helper.make_node("Gemm", ["h", "v"], ["y"]),
        ],
        [value("x", [1, 6])],
        [value("y", [1, 2])],
        [weights("w", *shape), weights("b", 1), weights("v", 9, 2)],
    )
    rows = tensors(onnx.load(path))["w"]
    model, _, _ = pruned(path, "channel-prune:0.5")
    assert dead(values(model)["h"]) == weakest(rows if transposed else rows.T, 4)


def test_a_residual_sum_wakes_no_error_and_keeps_what_it_adds(tmp_path: Path) -> None:
    path = classifier(
        tmp_path / "m.onnx",
        [
            conv("x", "w", "a", "b"),
            helper.make_node("Add", ["a", "x"], ["sum"]),
            helper.make_node("Relu", ["sum"], ["r"]),
        ],
        "r",
        6,
        [weights("w", 6, 6, 1, 1), weights("b", 6)],
    )
    seen = values(pruned(path, "channel-prune:0.5")[0])
    assert len(dead(seen["a"])) == 3
    assert dead(seen["r"]) == []


def test_layers_behind_which_only_outputs_lie_keep_all_channels(tmp_path: Path) -> None:
    """Two heads, one through a reshape and a sum, and a feature map that is also an output."""
    path = save(
        tmp_path / "m.onnx",
        [
            conv("x", "stem", "s"),
            conv("s", "features", "f"),
            conv("f", "boxes", "bm"),
            helper.make_node("Reshape", ["bm", "shape"], ["br"]),
            helper.make_node("Add", ["br", "anchors"], ["b"]),
            conv("f", "classes", "cm"),
            helper.make_node("GlobalAveragePool", ["cm"], ["cp"]),
            helper.make_node("Softmax", ["cp"], ["c"], axis=1),
            conv("f", "deep", "dm", group=8),
            conv("dm", "masks", "m", group=8),
        ],
        [IMAGE],
        [
            value("f", [1, 8, 8, 8]),
            value("b", [1, 4, 64]),
            value("c", [1, 5, 1, 1]),
            value("m", [1, 8, 8, 8]),
        ],
        [
            weights("stem", 8, 6, 1, 1),
            weights("features", 8, 8, 1, 1),
            weights("boxes", 4, 8, 1, 1),
            weights("classes", 5, 8, 1, 1),
            weights("deep", 8, 1, 1, 1),
            weights("masks", 8, 1, 1, 1),
            weights("anchors", 1, 4, 64),
            constant("shape", np.array([1, 4, 64])),
        ],
    )
    model, layers, notes = pruned(path, "channel-prune:0.5")
    assert {name for name, layer in layers.items() if layer.zeros} == {"stem"}
    for name in ("features", "boxes", "classes"):
        assert f"{name} (its channels are the model's outputs)" in notes
    assert np.array_equal(tensors(model)["anchors"], tensors(onnx.load(path))["anchors"])


def test_one_channel_always_remains(tmp_path: Path) -> None:
    path = classifier(
        tmp_path / "m.onnx",
        [conv("x", "w", "a"), conv("a", "single", "b")],
        "b",
        1,
        [weights("w", 2, 6, 1, 1), weights("single", 1, 2, 1, 1)],
    )
    _, layers, _ = pruned(path, "channel-prune:0.99")
    assert (layers["w"].zero_channels, layers["single"].zero_channels) == (1, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("channel-prune:0.5", "all produce an output"),
        ("prune:0.01", "no layer is large enough"),
    ],
)
def test_a_pruning_that_would_do_nothing_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = classifier(tmp_path / "m.onnx", [], "x", 6, [])
    with pytest.raises(CompressionError, match=told):
        pruned(path, text)


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "x"], ["y"])],
        [value("x", [4, 4])],
        [value("y", [4, 4])],
    )
    with pytest.raises(CompressionError, match="there is nothing to prune"):
        pruned(path, "prune:0.5")


def test_the_digits_lose_the_channels_that_were_asked_for() -> None:
    model, layers, notes = pruned(DIGITS, "channel-prune:0.3")
    seen = values(model)
    for name, computed in (("0.weight", "relu"), ("3.weight", "relu_1"), ("7.weight", "relu_3")):
        layer = layers[name]
        assert layer.channels is not None
        assert layer.zero_channels == round(0.3 * layer.channels)
        assert layer.zeros * layer.channels == layer.weights * layer.zero_channels
        assert set(weakest(tensors(onnx.load(DIGITS))[name], layer.zero_channels)) <= set(
            dead(seen[computed])
        )
    assert layers["11.weight"].zeros == 0
    assert "11.weight (its channels are the model's outputs)" in notes
