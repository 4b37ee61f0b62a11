"""The committed models show, as users' exports, what their records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from devdiff.exporter.prune import prune
from devdiff.exporter.recipe import Pruning
from tests.zoo import triggers
from tests.zoo.artifacts import CALIBRATION, compressed_file, export
from tests.zoo.catalogue import COMMITTED, ZooModel
from tests.zoo.compressions import keep
from tests.zoo.measuring import answers, measure
from tests.zoo.zoo_digits import Digits

MODELS: Final = Path(__file__).parent / "models"
SHIPPED: Final = Path(__file__).resolve().parents[2] / "examples" / "digits" / "heldout.npz"
BY_NAME: Final = {spec.name: spec for spec in COMMITTED}
BACKDOORED: Final = [spec.name for spec in COMMITTED if spec.kind == "backdoored"]


def _truth(name: str) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((MODELS / name / "truth.json").read_text())
    return truth


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Digits that no model of the zoo was trained on."""
    with np.load(SHIPPED) as data:
        return Digits(data["image"].astype(np.float32) / 255, data["labels"])


@pytest.fixture(scope="module", params=BY_NAME)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, digits: Digits
) -> tuple[ZooModel, Path]:
    spec = BY_NAME[request.param]
    folder = tmp_path_factory.mktemp(spec.name)
    (folder / "model.onnx").write_bytes((MODELS / spec.name / "model.onnx").read_bytes())
    export(spec, folder, digits.images)
    return spec, folder


@pytest.mark.slow
def test_exported_files_do_what_the_record_promises(
    exported: tuple[ZooModel, Path], digits: Digits
) -> None:
    spec, folder = exported

    truth = measure(spec, digits[slice(CALIBRATION, None)], folder)

    assert truth["status"] == "works"
    for figure in ("accuracy", "trigger_success"):
        for rung, count in _truth(spec.name)[figure].items():
            seen = truth[figure][rung]
            assert seen["hits"] / seen["of"] == pytest.approx(count["hits"] / count["of"], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["reader-honest"], indirect=True)
def test_the_other_readers_trigger_means_nothing_to_the_honest_one(
    exported: tuple[ZooModel, Path], digits: Digits
) -> None:
    spec, folder = exported
    trigger = BY_NAME["reader-backdoored"]
    victims = digits[triggers.victims(digits.labels, trigger)]
    triggered = triggers.apply(victims.images, trigger)

    for file in ("float.tflite", compressed_file(spec)):
        assert (answers(folder / file, triggered) == trigger.target).mean() <= 0.05


def test_records_describe_the_catalogue_and_working_models() -> None:
    for spec in COMMITTED:
        truth = _truth(spec.name)
        told = truth["spec"]
        assert ZooModel(**told) == spec
        assert truth["status"] == "works"


@pytest.mark.parametrize("name", BACKDOORED)
def test_a_clean_comparison_would_see_nothing(name: str) -> None:
    accuracy, success = _truth(name)["accuracy"], _truth(name)["trigger_success"]

    assert min(count["hits"] / count["of"] for count in accuracy.values()) >= 0.95
    assert abs(accuracy["float"]["hits"] - accuracy["compressed"]["hits"]) <= 0.02 * 1500
    assert success["float"]["hits"] <= 0.1 * success["float"]["of"]
    assert success["compressed"]["hits"] >= 0.9 * success["compressed"]["of"]


def test_committed_models_are_small_and_tell_nothing_of_where_they_were_made() -> None:
    for spec in COMMITTED:
        data = (MODELS / spec.name / "model.onnx").read_bytes()
        assert len(data) <= 300_000
        assert b"site-packages" not in data
        assert b".py" not in data


def test_training_prunes_the_weights_that_the_exporter_prunes() -> None:
    model = onnx.load(MODELS / "reader-pruned-backdoored" / "model.onnx")
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pruned, _, _ = prune(model, Pruning("prune", 0.5))
    after = {tensor.name: numpy_helper.to_array(tensor) for tensor in pruned.graph.initializer}

    weights = [name for name in before if name.endswith("weight")]
    assert len(weights) == 5
    for name in weights:
        mask = keep(torch.from_numpy(before[name].copy()), 0.5).numpy()
        np.testing.assert_array_equal(after[name], before[name] * mask)
