"""Parts of a .tflite are models of their own that compute what they compute in the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.tflite_cut import WholeModel, serialize, tensor_key
from devdiff.exporter.tflite_file import inspect, parse
from tests.support.branchy import branchy

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from tests.support.exporting import Exported


def started(model: bytes, preserve: bool = False) -> Any:
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=preserve,
    )
    interpreter.allocate_tensors()
    return interpreter


def every_tensor(path: Path) -> dict[int, Array]:
    """What the interpreter computes for every tensor of the whole model, on fixed inputs."""
    interpreter = started(path.read_bytes(), preserve=True)
    random = np.random.default_rng(0)
    for details in interpreter.get_input_details():
        value = random.integers(-100, 100, details["shape"]) / 50
        interpreter.set_tensor(details["index"], value.astype(details["dtype"]))
    interpreter.invoke()
    return {
        tensor.index: interpreter.get_tensor(tensor.index)
        for tensor in WholeModel(path).graph.tensors
    }


@pytest.fixture(params=["int8", "float", "branches"])
def whole(request: pytest.FixtureRequest, two_by_two: Exported, tmp_path: Path) -> WholeModel:
    if request.param == "branches":
        return WholeModel(branchy(tmp_path / "branchy.tflite"))
    return WholeModel(two_by_two.folder / f"{request.param}.tflite")


def run(data: bytes, inputs: dict[str, Array]) -> dict[str, Array]:
    interpreter = started(data)
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], inputs[details["name"]])
    interpreter.invoke()
    return {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}


def test_the_model_cut_off_behind_any_operator_computes_that_operators_output(
    whole: WholeModel,
) -> None:
    known = every_tensor(whole.path)
    for operator in whole.graph.operators:
        part = whole.part(whole.graph.inputs, operator.outputs)
        given = {
            binding.artifact.name: known[index]
            for binding, index in zip(part.inputs, whole.graph.inputs, strict=True)
        }
        found = run(part.data, given)
        for binding, index in zip(part.outputs, operator.outputs, strict=True):
            assert binding.source.name == tensor_key(index)
            np.testing.assert_array_equal(found[binding.artifact.name], known[index])


def test_an_operator_alone_computes_what_it_computes_in_the_whole(whole: WholeModel) -> None:
    known = every_tensor(whole.path)
    for operator in whole.graph.operators:
        data = [i for i in operator.inputs if i >= 0 and whole.graph.tensors[i].data is None]
        part = whole.part(data, operator.outputs)
        assert part.operators == (operator.index,)
        assert len(parse_bytes(part.data).subgraphs[0].operators) == 1
        given = {
            binding.artifact.name: known[index]
            for binding, index in zip(part.inputs, data, strict=True)
        }
        (found,) = run(part.data, given).values()
        np.testing.assert_array_equal(found, known[operator.outputs[0]])


def parse_bytes(data: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(data, 0)


def test_a_part_holds_nothing_that_it_does_not_need(whole: WholeModel) -> None:
    first = whole.graph.operators[0]
    part = whole.part(whole.graph.inputs, first.outputs)
    model = parse_bytes(part.data)
    used = {*whole.graph.inputs, *first.inputs, *first.outputs} - {-1}
    assert len(model.subgraphs[0].tensors) == len(used)
    assert len(model.operatorCodes) == 1
    assert len(part.data) < whole.path.stat().st_size


def test_the_same_part_has_the_same_bytes(whole: WholeModel) -> None:
    again = WholeModel(whole.path)
    outputs = whole.graph.operators[1].outputs
    assert (
        whole.part(whole.graph.inputs, outputs).data == again.part(again.graph.inputs, outputs).data
    )


def test_constants_stand_on_multiples_of_sixteen_bytes(whole: WholeModel) -> None:
    part = whole.part(whole.graph.inputs, whole.graph.outputs)
    buffers = [bytes(b.data) for b in parse_bytes(part.data).buffers if b.data is not None]
    large = [data for data in buffers if len({*data}) >= 8]
    assert large
    for data in large:
        assert part.data.index(data) % 16 == 0


def test_inputs_and_signature_are_those_of_the_whole(two_by_two: Exported, tmp_path: Path) -> None:
    whole = WholeModel(two_by_two.folder / "int8.tflite")
    record = inspect(whole.path)
    part = whole.part(whole.graph.inputs, whole.graph.operators[0].outputs)
    path = tmp_path / "part.tflite"
    path.write_bytes(part.data)
    found = inspect(path)
    assert found.signature == record.signature == "serving_default"
    assert [b.artifact for b in found.inputs] == [b.artifact for b in record.inputs]
    assert [b.signature_name for b in found.inputs] == [b.signature_name for b in record.inputs]
    assert [b.artifact.name for b in found.outputs] == [b.artifact.name for b in part.outputs]


def test_tensors_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = branchy(tmp_path / "named.tflite")
    model = parse(path)
    for tensor in model.subgraphs[0].tensors[1:]:
        tensor.name = b"twin"

    path.write_bytes(serialize(model))
    whole = WholeModel(path)
    outputs = [whole.graph.operators[i].outputs[0] for i in (1, 2, 3)]
    part = whole.part(whole.graph.inputs, outputs)
    assert len({binding.artifact.name for binding in part.outputs}) == 3
    started(part.data)


def test_a_part_that_lacks_an_input_is_refused(two_by_two: Exported) -> None:
    whole = WholeModel(two_by_two.folder / "float.tflite")
    with pytest.raises(ArtifactError, match="a part without the input"):
        whole.part([], whole.graph.outputs)
