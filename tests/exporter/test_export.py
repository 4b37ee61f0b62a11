"""An export keeps names, layouts and numbers, and says what it did."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from devdiff.exporter.errors import ArtifactError, CalibrationError, ConversionError
from devdiff.exporter.manifest import Manifest
from devdiff.exporter.recipe import FLOAT32, INT8
from devdiff.exporter.worker_client import ExportWorker
from tests.support import onnx_zoo
from tests.support.exporting import Exported, export

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, Artifact


def infer(artifact: Artifact, sample: dict[str, Array]) -> dict[str, Array]:
    """Outputs in the source's names, layout and units, by the artifact's bindings alone."""
    interpreter = Interpreter(str(artifact.path))
    interpreter.allocate_tensors()
    inputs = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    outputs = {d["name"]: d["index"] for d in interpreter.get_output_details()}
    for binding in artifact.inputs:
        encoded = binding.encode(sample[binding.source.name])
        interpreter.set_tensor(inputs[binding.artifact.name], encoded)
    interpreter.invoke()
    results = {}
    for binding in artifact.outputs:
        stored = interpreter.get_tensor(outputs[binding.artifact.name])
        quantization = binding.artifact.quantization
        real = quantization.dequantize(stored) if quantization else stored
        results[binding.source.name] = binding.to_source_layout(real)
    return results


@pytest.fixture(scope="module")
def sample(two_by_two: Exported) -> dict[str, Array]:
    """A calibration sample, so that no range is exceeded and only rounding is seen."""
    return {name: np.load(path)[0] for name, path in two_by_two.calibration.items()}


def reference(model: Path, sample: dict[str, Array]) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, sample), strict=True))


@pytest.mark.slow
def test_float_artifact_answers_like_the_source(
    two_by_two: Exported, sample: dict[str, Array]
) -> None:
    expected = reference(two_by_two.source.path, sample)
    seen = infer(two_by_two.manifest.artifact(two_by_two.folder, "float32"), sample)
    assert set(seen) == {"features/α@1", "scores#"}
    for name, value in expected.items():
        assert seen[name].shape == value.shape
        np.testing.assert_allclose(seen[name], value, atol=1e-5)


def test_int8_artifact_is_integer_outside_and_close_inside(
    two_by_two: Exported, sample: dict[str, Array]
) -> None:
    artifact = two_by_two.manifest.artifact(two_by_two.folder, "int8")
    for binding in (*artifact.inputs, *artifact.outputs):
        assert binding.artifact.dtype == "int8"
        assert binding.artifact.quantization is not None
    expected = reference(two_by_two.source.path, sample)
    for name, value in infer(artifact, sample).items():
        error = np.abs(value - expected[name]).max()
        assert error < 0.1 * np.abs(expected[name]).max()


def test_signature_names_stay_close_to_the_sources(two_by_two: Exported) -> None:
    artifact = two_by_two.manifest.artifact(two_by_two.folder, "float32")
    names = [b.signature_name for b in (*artifact.inputs, *artifact.outputs)]
    assert names == ["image_0", "kernel", "features___1", "scores_"]


def test_manifest_names_everything_that_went_in(two_by_two: Exported) -> None:
    manifest = Manifest.load(two_by_two.folder)
    assert manifest == two_by_two.manifest
    assert manifest.source_files == {"awkward model.onnx": two_by_two.source.sha256}
    assert manifest.calibration is not None
    assert manifest.calibration.samples == 8
    assert {"onnx2tf", "tensorflow", "onnx", "python", "devdiff"} <= set(manifest.versions)
    assert [record.recipe.precision for record in manifest.artifacts] == ["float32", "int8"]
    assert manifest.artifacts[1].float_operators == {}


def test_frameworks_print_into_the_log_and_leave_nothing_else(
    two_by_two: Exported, capfd: pytest.CaptureFixture[str]
) -> None:
    assert {path.name for path in two_by_two.folder.iterdir()} == {
        "float.tflite",
        "int8.tflite",
        "manifest.json",
        "log.txt",
        "calibration-0.npy",
        "calibration-1.npy",
    }
    printed = capfd.readouterr()
    assert printed.out == ""


@pytest.mark.slow
def test_an_export_leaves_nothing_in_the_temporary_directory(
    two_by_two: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    export(two_by_two.source.path, tmp_path / "out")
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_killed_parent_leaves_neither_process_nor_files(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = (
        "import os, pathlib, signal\n"
        "from devdiff.exporter.worker_client import ExportWorker\n"
        f"with ExportWorker(pathlib.Path({str(tmp_path / 'log')!r})) as worker:\n"
        "    print(worker.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    for _ in range(200):
        if not Path(f"/proc/{done.stdout.strip()}").exists() and not list(temporary.iterdir()):
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{done.stdout.strip()}").exists()
    assert list(temporary.iterdir()) == []


def test_changed_artifact_is_refused(two_by_two: Exported, tmp_path: Path) -> None:
    two_by_two.manifest.save(tmp_path)
    data = bytearray((two_by_two.folder / "int8.tflite").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "int8.tflite").write_bytes(data)
    with pytest.raises(ArtifactError, match="not the file its manifest names"):
        Manifest.load(tmp_path).artifact(tmp_path, "int8")


@pytest.mark.slow
def test_same_inputs_give_the_same_bytes(two_by_two: Exported, tmp_path: Path) -> None:
    again = export(two_by_two.source.path, tmp_path / "again")
    for first, second in zip(two_by_two.manifest.artifacts, again.manifest.artifacts, strict=True):
        assert first.sha256 == second.sha256


@pytest.mark.slow
def test_old_opset_is_raised_before_it_converts_wrongly(tmp_path: Path) -> None:
    exported = export(onnx_zoo.dense(tmp_path / "old.onnx", opset=9), tmp_path / "out")
    assert "opset 9 raised to 13" in exported.manifest.notes
    sample = {"x": np.array([[0.1, -2.0, 0.7, 1.5]], np.float32)}
    seen = infer(exported.manifest.artifact(exported.folder, "float32"), sample)
    np.testing.assert_allclose(seen["y"], reference(exported.source.path, sample)["y"], atol=1e-6)


@pytest.mark.slow
def test_integer_inputs_stay_integers(tmp_path: Path) -> None:
    exported = export(onnx_zoo.embedding(tmp_path / "ids.onnx"), tmp_path / "out")
    assert exported.source.index_limits == {"ids": 11}
    artifact = exported.manifest.artifact(exported.folder, "int8")
    assert artifact.inputs[0].artifact.dtype == "int64"
    assert artifact.inputs[0].artifact.quantization is None
    sample = {"ids": np.array([[0, 1, 2, 3, 4, 4]], np.int64)}
    expected = reference(exported.source.path, sample)["mean"]
    assert np.abs(infer(artifact, sample)["mean"] - expected).max() < 0.05


@pytest.mark.slow
def test_nan_in_calibration_data_is_named(two_by_two: Exported, tmp_path: Path) -> None:
    broken = np.load(two_by_two.calibration["image:0"])
    broken[3, 0, 1, 2, 2] = np.nan
    np.save(tmp_path / "broken.npy", broken)
    with ExportWorker(tmp_path / "log") as worker:
        worker.describe(two_by_two.source.path, {})
        with pytest.raises(CalibrationError, match=r"sample 3 of input 'image:0' holds NaN"):
            worker.export(
                tmp_path,
                (INT8,),
                {**two_by_two.calibration, "image:0": tmp_path / "broken.npy"},
                "test",
                0,
            )
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.slow
def test_unknown_operator_is_named_before_anything_starts(tmp_path: Path) -> None:
    path = onnx_zoo.one_node(tmp_path / "m.onnx", "Frobnicate", domain="acme")
    with ExportWorker(tmp_path / "log") as worker:
        worker.describe(path, {})
        with pytest.raises(ConversionError, match=r"acme\.Frobnicate \(node 'the_node'\)"):
            worker.export(tmp_path, (FLOAT32,), {}, "test", 0)
