"""Every recipe makes the artifact it describes, all of one conversion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.device_runner.pack import PackTensor
from devdiff.device_runner.results import ResultReader
from devdiff.device_runner.runner import Job
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.manifest import ArtifactRecord, Manifest
from devdiff.exporter.recipe import BUILTIN, FLOAT32, Recipe
from devdiff.exporter.tflite_graph import read_graph
from devdiff.exporter.worker_client import ExportWorker
from tests.support.exporting import DIGITS, digit_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array

KEPT = (
    Recipe("kept", "int8", keep_operators=("FULLY_CONNECTED",)),
    Recipe("ai-edge-kept", "int8", "ai-edge", True, keep_operators=("FULLY_CONNECTED",)),
)
RECIPES = {recipe.name: recipe for recipe in (*BUILTIN.values(), *KEPT)}
# What the artifact stores its inputs and outputs as.
STORED = {"int8": "int8", "int16x8": "int16", "dynamic": "float32", "float16": "float32"}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Made:
    manifests: dict[str, Manifest]
    folder: Path
    phases: list[str]

    def record(self, name: str) -> ArtifactRecord:
        return self.manifests[name].artifacts[-1]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportWorker]:
    with ExportWorker(tmp_path_factory.mktemp("worker") / "log.txt") as running:
        running.describe(DIGITS, {})
        yield running


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("calibration") / "images.npy"
    np.save(path, digit_images()[:100])
    return {"image": path}


@pytest.fixture(scope="module")
def made(
    worker: ExportWorker, calibration: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Made:
    folder = tmp_path_factory.mktemp("recipes")
    phases: list[str] = []
    manifests = {}
    for name, recipe in RECIPES.items():
        (folder / name).mkdir()
        manifests[name] = worker.export(
            folder / name, (FLOAT32, recipe), calibration, "digits", 0, phases.append
        )
    return Made(manifests, folder, phases)


def answers(manifest: Manifest, folder: Path, recipe: Recipe, images: Array) -> Array:
    """The model's scores [N, 10] in real units, by LiteRT on this machine."""
    artifact = manifest.artifact(folder, recipe.precision)
    (source,), (output,) = artifact.inputs, artifact.outputs
    job = Job(
        model=artifact.path,
        tensors=(PackTensor.of(source.artifact, source.signature_name),),
        samples=len(images),
        encode=lambda index: [source.encode(images[index])],
        results=folder / "results.pack",
        log=folder / "log.txt",
        timeout_s=60,
    )
    HostRunner().run(job, lambda done: None)
    reader = ResultReader(folder / "results.pack")
    stored = np.concatenate([block.arrays[0] for block in reader.read_blocks()])
    scale = output.artifact.quantization
    return (scale.dequantize(stored) if scale else stored).reshape(len(images), -1)


@pytest.mark.parametrize("name", RECIPES)
def test_inputs_and_outputs_are_stored_as_the_recipe_says(made: Made, name: str) -> None:
    recipe, record = RECIPES[name], made.record(name)
    assert record.recipe == recipe
    wanted = "float32" if recipe.float_io else STORED[recipe.precision]
    assert {one.artifact.dtype for one in (*record.inputs, *record.outputs)} == {wanted}


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_smaller_and_answers_like_the_float_artifact(made: Made, name: str) -> None:
    images = digit_images()[100:200]
    folder, manifest = made.folder / name, made.manifests[name]
    floating, compressed = manifest.artifacts
    assert compressed.bytes < 0.6 * floating.bytes
    before = answers(manifest, folder, FLOAT32, images)
    after = answers(manifest, folder, RECIPES[name], images)
    assert (before.argmax(1) == after.argmax(1)).mean() >= 0.97


def test_the_model_is_converted_once_for_all_recipes(made: Made) -> None:
    assert sum("converting ONNX to TensorFlow" in phase for phase in made.phases) == 1
    assert len({manifest.artifacts[0].sha256 for manifest in made.manifests.values()}) == 1


def test_what_was_made_before_changes_no_byte(
    made: Made, calibration: dict[str, Path], tmp_path: Path
) -> None:
    last = KEPT[0]
    with ExportWorker(tmp_path / "log.txt") as alone:
        alone.describe(DIGITS, {})
        manifest = alone.export(tmp_path, (FLOAT32, last), calibration, "digits", 0)
    assert manifest.artifacts[-1].sha256 == made.record(last.name).sha256


@pytest.mark.parametrize(
    ("name", "scales"), [("int8", True), ("int8-per-tensor", False), ("ai-edge-int8", True)]
)
def test_weights_have_a_scale_a_channel_or_a_tensor(made: Made, name: str, scales: bool) -> None:
    graph = read_graph(made.folder / name / "int8.tflite")
    weights = [graph.tensors[one.inputs[1]] for one in graph.operators if one.kind == "CONV_2D"]
    found = [len(one.scales) for one in weights if one.scales is not None]
    assert len(found) == len(weights)
    assert all((many > 1) == scales for many in found)


@pytest.mark.parametrize("recipe", KEPT, ids=lambda recipe: recipe.name)
def test_a_kept_operator_computes_in_float_and_the_others_do_not(
    made: Made, recipe: Recipe
) -> None:
    record = made.record(recipe.name)
    assert record.float_operators.get("FULLY_CONNECTED") == 1
    assert "CONV_2D" not in record.float_operators


def test_a_layer_is_kept_by_its_name(
    made: Made, worker: ExportWorker, calibration: dict[str, Path], tmp_path: Path
) -> None:
    graph = read_graph(made.folder / "int8" / "float.tflite")
    convolutions = [one for one in graph.operators if one.kind == "CONV_2D"]
    name = graph.tensors[convolutions[1].outputs[0]].name
    for recipe in KEPT:
        wanted = replace(recipe, keep_operators=(), keep_layers=(name,))
        manifest = worker.export(tmp_path, (FLOAT32, wanted), calibration, "digits", 0)
        assert manifest.artifacts[-1].float_operators["CONV_2D"] == 1


def test_an_output_of_a_kept_layer_is_no_integer(
    worker: ExportWorker, calibration: dict[str, Path], tmp_path: Path
) -> None:
    recipe = replace(KEPT[1], float_io=False)
    with pytest.raises(CompressionError, match="say float_io = true"):
        worker.export(tmp_path, (FLOAT32, recipe), calibration, "digits", 0)


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (
            replace(KEPT[0], keep_operators=("CONV2D",)),
            "no operator 'CONV2D'; did you mean CONV_2D",
        ),
        (
            replace(KEPT[0], keep_operators=(), keep_layers=("nowhere",)),
            "no layer 'nowhere'; there are ",
        ),
    ],
)
def test_a_layer_that_is_not_there_is_said(
    worker: ExportWorker,
    calibration: dict[str, Path],
    tmp_path: Path,
    recipe: Recipe,
    told: str,
) -> None:
    with pytest.raises(CompressionError, match=told):
        worker.export(tmp_path, (FLOAT32, recipe), calibration, "digits", 0)
