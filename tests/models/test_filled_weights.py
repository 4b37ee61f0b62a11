"""Graphs that come without weights get weights that tell right from wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.models import filled_weights, model_inputs

LIGHT = Path(onnx.__file__ or "").parent / "backend" / "test" / "data" / "light"


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("filled") / "squeezenet.onnx"
    return filled_weights.fill(LIGHT / "light_squeezenet.onnx", target)


def scores(model: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of every initializer that is also an input
    session = onnxruntime.InferenceSession(model, options)
    photo = model_inputs.normalized_photos(1, 5, 224, 224)[0]
    return np.asarray(session.run(None, {"data_0": photo})[0]).ravel()


def test_constant_weights_would_score_every_class_the_same() -> None:
    assert np.ptp(scores(LIGHT / "light_squeezenet.onnx")) == 0


def test_filled_weights_tell_the_classes_apart(squeezenet: Path) -> None:
    found = scores(squeezenet)

    assert len(np.unique(found)) > 900
    assert found.max() < 0.9


def test_filled_model_keeps_operators_names_and_shapes(squeezenet: Path) -> None:
    before, after = onnx.load(LIGHT / "light_squeezenet.onnx"), onnx.load(squeezenet)
    onnx.checker.check_model(after, full_check=True)

    operators = [node.op_type for node in before.graph.node if node.op_type != "ConstantOfShape"]
    assert [node.op_type for node in after.graph.node] == operators
    assert [value.name for value in after.graph.input] == ["data_0"]
    assert after.graph.output == before.graph.output


def test_filling_twice_gives_the_same_bytes(squeezenet: Path, tmp_path: Path) -> None:
    again = filled_weights.fill(LIGHT / "light_squeezenet.onnx", tmp_path / "again.onnx")

    assert again.read_bytes() == squeezenet.read_bytes()
