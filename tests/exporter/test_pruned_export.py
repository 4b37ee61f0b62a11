"""What an export with pruning leaves: the pruned source, artifacts of it, and the unpruned one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from devdiff.exporter.artifact import Array, sha256_file
from devdiff.exporter.errors import ArtifactError, CompressionError
from devdiff.exporter.manifest import Manifest
from devdiff.exporter.recipe import FLOAT32, INT8, Pruning
from devdiff.exporter.tflite_graph import read_graph
from devdiff.exporter.worker_client import ExportWorker
from tests.support import onnx_zoo
from tests.support.exporting import calibration_files
from tests.support.onnx_zoo import constant, save, value, weights

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[2] / "examples/digits/digits.onnx"


def export(model: Path, folder: Path, pruning: Pruning | None, full: bool = False) -> Manifest:
    with ExportWorker(folder / "log.txt") as worker:
        calibration = calibration_files(worker.describe(model, {}), folder)
        return worker.export(
            folder, (FLOAT32, INT8), calibration, "test", 0, pruning=pruning, full=full
        )


def layers(artifact: Path) -> list[tuple[Array, Array]]:
    """Weights and biases as they are stored in a .tflite file, layer by layer."""
    graph = read_graph(artifact)
    found = []
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "FULLY_CONNECTED"):
            weight, bias = (graph.tensors[index].data for index in operator.inputs[1:3])
            assert weight is not None
            assert bias is not None
            found.append((weight, bias))
    return found


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    """The digits without half of their weights, and the artifact with all of them."""
    folder = tmp_path_factory.mktemp("half")
    return export(DIGITS, folder, Pruning("prune", 0.5), full=True), folder


def test_the_artifacts_have_the_zeros_that_were_asked_for(half: tuple[Manifest, Path]) -> None:
    manifest, folder = half
    assert manifest.pruned is not None
    assert manifest.pruned.sparsity == 0.5
    floating = layers(manifest.artifact(folder, "float32", pruned=True).path)
    integer = layers(manifest.artifact(folder, "int8", pruned=True).path)
    told = manifest.pruned.layers
    assert len(floating) == len(integer) == len(told) == 5
    for (weight, _), (quantized, _), layer in zip(floating, integer, told, strict=True):
        assert weight.size == layer.weights
        assert np.count_nonzero(weight == 0) == layer.zeros == layer.weights // 2
        assert not quantized[weight == 0].any()


def test_the_unpruned_artifact_is_that_of_an_export_without_pruning(
    half: tuple[Manifest, Path], tmp_path: Path
) -> None:
    manifest, folder = half
    plain = export(DIGITS, tmp_path, None)
    assert plain.pruned is None
    full = manifest.full(folder)
    assert (full.path.name, full.sha256) == ("float.tflite", plain.full(tmp_path).sha256)
    assert plain.full(tmp_path) == plain.artifact(tmp_path, "float32")
    assert plain.shipped(tmp_path).path.name == "int8.tflite"


def test_the_manifest_leads_to_every_file(half: tuple[Manifest, Path]) -> None:
    manifest, folder = half
    assert Manifest.load(folder) == manifest
    files = [record.file for record in manifest.artifacts]
    assert files == ["float.tflite", "pruned-float.tflite", "pruned-int8.tflite"]
    assert manifest.shipped(folder).path.name == "pruned-int8.tflite"
    assert manifest.artifacts[0].recipe.pruning is None
    assert manifest.artifacts[2].recipe.pruning == Pruning("prune", 0.5)
    assert manifest.source_files == {"digits.onnx": sha256_file(DIGITS)}
    assert manifest.pruned is not None
    assert sha256_file(manifest.pruned_source(folder)) == manifest.pruned.sha256
    with pytest.raises(ArtifactError, match="holds no unpruned int8 artifact"):
        manifest.artifact(folder, "int8")


def test_a_changed_pruned_source_is_refused(half: tuple[Manifest, Path], tmp_path: Path) -> None:
    manifest, folder = half
    data = bytearray((folder / "pruned.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "pruned.onnx").write_bytes(data)
    with pytest.raises(ArtifactError, match="not the file its manifest names"):
        manifest.pruned_source(tmp_path)


def test_pruning_again_gives_the_same_bytes(half: tuple[Manifest, Path], tmp_path: Path) -> None:
    again = export(DIGITS, tmp_path, Pruning("prune", 0.5))
    assert again.pruned == half[0].pruned
    assert again.artifacts == half[0].artifacts[1:]


def normalized(path: Path) -> Path:
    """Convolution, batch normalization, convolution, scores: ``x`` [1, 3, 8, 8] to [1, 5]."""
    norm = ["scale", "shift", "mean", "variance"]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", *norm], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "w2", "b2"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"]),
    ]
    constants = [
        weights("w", 10, 3, 3, 3),
        weights("b", 10),
        *(weights(name, 10) for name in norm[:3]),
        constant("variance", np.linspace(0.5, 2, 10, dtype=np.float32)),
        *(weights("w2", 4, 10, 3, 3), weights("b2", 4)),
        *(weights("w3", 4, 5), weights("b3", 5)),
    ]
    return save(path, nodes, [value("x", [1, 3, 8, 8])], [value("y", [1, 5])], constants)


def test_pruned_channels_are_zero_in_the_artifacts(tmp_path: Path) -> None:
    """Behind the batch normalization too, which the converter folds into the convolution."""
    manifest = export(normalized(tmp_path / "m.onnx"), tmp_path, Pruning("channel-prune", 0.4))
    assert manifest.pruned is not None
    assert [layer.zero_channels for layer in manifest.pruned.layers] == [4, 2, 0]
    for precision in ("float32", "int8"):
        artifact = manifest.artifact(tmp_path, precision, pruned=True)
        for (weight, bias), gone in zip(layers(artifact.path), (4, 2, 0), strict=True):
            dead = ~weight.reshape(len(weight), -1).any(axis=1)
            assert np.count_nonzero(dead) == gone
            assert not bias[dead].any()
            assert bias[~dead].all()


def shrunk(path: Path) -> Path:
    """Two of four channels are so weak that pruning half of all weights leaves them a bias only."""
    w: Any = np.random.default_rng(0).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    w[1:3] *= 1e-3
    return save(
        path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"]),
            helper.make_node("GlobalAveragePool", ["c"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "w2"], ["y"]),
        ],
        [value("x", [1, 3, 8, 8])],
        [value("y", [1, 5])],
        [constant("w", w), weights("b", 4), weights("w2", 4, 5)],
    )


def test_a_layer_reduced_to_its_bias_still_quantizes(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    manifest = export(shrunk(tmp_path / "m.onnx"), tmp_path, Pruning("prune", 0.5))
    sample = np.load(tmp_path / "calibration-0.npy")[0]
    answers = []
    for precision in ("float32", "int8"):
        artifact = manifest.artifact(tmp_path, precision, pruned=True)
        interpreter = Interpreter(str(artifact.path))
        interpreter.allocate_tensors()
        encoded = artifact.inputs[0].encode(sample)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], encoded)
        interpreter.invoke()
        stored = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        quantization = artifact.outputs[0].artifact.quantization
        answers.append(quantization.dequantize(stored) if quantization else stored)
    assert np.abs(answers[0] - answers[1]).max() < 0.05 * np.abs(answers[0]).max()


def test_phases_tell_of_pruning_and_of_the_second_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVDIFF_EXPORT_CACHE", "")
    told: list[str] = []
    collect: Callable[[str], None] = told.append
    with ExportWorker(tmp_path / "log.txt") as worker:
        worker.describe(normalized(tmp_path / "m.onnx"), {})
        worker.export(
            tmp_path, (FLOAT32,), {}, "none", None, collect, Pruning("prune", 0.5), full=True
        )
    assert told[0] == "pruning (prune:0.5), step 1 of 4"
    assert told[-1] == "unpruned model: writing the float32 artifact, step 3 of 3"
    assert capsys.readouterr().out == ""


def test_nothing_to_prune_is_said_before_tensorflow_is_loaded(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        [value("x", [1, 4])],
        [value("y", [1, 4])],
    )
    told: list[str] = []
    with ExportWorker(tmp_path / "log.txt") as worker:
        worker.describe(path, {})
        with pytest.raises(CompressionError, match=r"prune:0\.5: the model has no convolution"):
            worker.export(
                tmp_path, (FLOAT32,), {}, "none", None, told.append, Pruning("prune", 0.5)
            )
    assert told == ["pruning (prune:0.5), step 1 of 4"]
    assert not (tmp_path / "manifest.json").exists()


def test_a_pruned_model_carries_its_weights(tmp_path: Path) -> None:
    """Also where the source keeps them in a file of their own."""
    model = onnx_zoo.external(tmp_path / "m.onnx")
    out = tmp_path / "out"
    out.mkdir()
    with ExportWorker(out / "log.txt") as worker:
        worker.describe(model, {})
        manifest = worker.export(out, (FLOAT32,), {}, "none", None, pruning=Pruning("prune", 0.5))
        assert set(manifest.source_files) == {"m.onnx", "weights.bin"}
        (tmp_path / "weights.bin").unlink()
        assert worker.describe(manifest.pruned_source(out), {}).files.keys() == {"pruned.onnx"}
