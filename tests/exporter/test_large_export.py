"""Large models are exported in steps of a process each, and come out as small ones do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from devdiff.exporter import apart, prepare
from devdiff.exporter.artifact import TensorSpec
from devdiff.exporter.converters import answers, stand_ins
from devdiff.exporter.converters.tf_function_io import Converted, ConvertedOutput
from devdiff.exporter.errors import ConversionError, WorkerError
from devdiff.exporter.manifest import Manifest
from devdiff.exporter.quantizers import quantizer
from devdiff.exporter.quantizers.quantizer import FloatModel
from devdiff.exporter.recipe import BUILTIN
from devdiff.exporter.sources import reader
from devdiff.exporter.tflite_graph import Graph, read_graph
from scripts.bench import export_memory, models
from tests.support import onnx_zoo
from tests.support.exporting import export

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_step_gives_back_what_it_returns_or_raises() -> None:
    assert apart.run(lambda: (os.getpid(), {"a": [1]})) != (os.getpid(), {"a": [1]})

    def refuse() -> None:
        raise ConversionError("no such operator")

    with pytest.raises(ConversionError, match="no such operator"):
        apart.run(refuse)
    with pytest.raises(OSError, match="full"):
        apart.run(lambda: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(WorkerError, match="ZeroDivisionError"):
        apart.run(lambda: 1 // 0)
    with pytest.raises(WorkerError, match="ended with code 7"):
        apart.run(lambda: os._exit(7))


def test_a_step_that_is_killed_takes_its_process_along() -> None:
    script = (
        "import os, signal\n"
        "from devdiff.exporter import apart\n"
        "apart.run(lambda: os.kill(os.getpid(), signal.SIGABRT))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGABRT


@pytest.mark.slow
def test_a_large_model_is_exported_as_a_small_one_is_in_little_memory(tmp_path: Path) -> None:
    model = models.wide(tmp_path / "wide.onnx", 100)
    assert model.stat().st_size > apart.LARGE
    cost = export_memory.export(model, tmp_path)
    assert cost.peak_bytes <= export_memory.allowed(model)
    assert "converting with all constants" not in (tmp_path / "out/export.log").read_text()
    manifest = Manifest.load(tmp_path / "out")
    assert [record.recipe.precision for record in manifest.artifacts] == ["float32", "int8"]
    floating, integers = (record.operators for record in manifest.artifacts)
    assert floating == integers
    assert manifest.artifacts[1].float_operators == {}


@pytest.mark.slow
def test_weights_that_are_put_aside_leave_the_same_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of large models on one that both ways can go, in a process for each."""
    model = models.wide(tmp_path / "wide.onnx", 6)
    run, made = apart.run, {}
    monkeypatch.setattr(apart, "run", lambda step: step())
    for name, limit in (("usual", 1 << 40), ("aside", 1)):
        monkeypatch.setattr(apart, "LARGE", limit)
        (folder := tmp_path / name).mkdir()

        def convert(folder: Path = folder) -> tuple[bool, list[Path]]:
            os.chdir(folder)
            read = reader.read(model, {}, None, False, folder)
            prepared = prepare.make(read, None, folder, lambda phase: None)
            paths = [prepared.floating]
            for recipe in ("float16", "dynamic"):
                floating = FloatModel(
                    prepared.saved_model, prepared.floating, folder, prepared.constants
                )
                compressed = quantizer.compress(floating, BUILTIN[recipe], {})
                paths.append(folder / f"{recipe}.tflite")
                paths[-1].write_bytes(compressed.data)
            return prepared.large, paths

        large, paths = run(convert)
        assert large == (name == "aside")
        made[name] = [read_graph(path) for path in paths]
    for usual, aside in zip(made["usual"], made["aside"], strict=True):
        assert [o.kind for o in aside.operators] == [o.kind for o in usual.operators]
        _have_equal_constants(aside, usual)


def _have_equal_constants(aside: Graph, usual: Graph) -> None:
    for mine, other in zip(aside.operators, usual.operators, strict=True):
        pairs = zip(mine.inputs, other.inputs, strict=True)
        for left, right in ((aside.tensors[a], usual.tensors[b]) for a, b in pairs):
            assert (left.data is None) == (right.data is None)
            if left.data is not None and right.data is not None:
                # Batch norms are folded in another order of operations.
                steps = 1 if left.dtype == "int8" else 0
                np.testing.assert_allclose(
                    left.data.astype(np.float32),
                    right.data.astype(np.float32),
                    *(1e-3 if left.dtype == "float16" else 1e-4, 1e-5 + steps),
                )


@pytest.mark.slow
def test_weights_that_are_integers_ahead_leave_the_same_int8_artifact(tmp_path: Path) -> None:
    export(models.wide(tmp_path / "wide.onnx", 6), tmp_path)
    floating, made = tmp_path / "float.tflite", []
    samples = np.random.default_rng(0).standard_normal((3, 1, 3, 32, 32), np.float32)
    for ahead in (False, True):
        path, ranges = tmp_path / f"{ahead}.tflite", tmp_path / "ranges.tflite"

        def quantize(ahead: bool = ahead, path: Path = path, ranges: Path = ranges) -> None:
            from devdiff.exporter.quantizers import calibrated, int8

            calibrated.calibrate(floating, {"image": samples}, ranges, weights=ahead)
            path.write_bytes(int8.to_integers(ranges, float_io=False, per_channel=True))

        apart.run(quantize)
        assert (ranges.stat().st_size < floating.stat().st_size / 3) == ahead
        made.append(read_graph(path))
    assert [o.kind for o in made[0].operators] == [o.kind for o in made[1].operators]
    for one, other in zip(made[0].operators, made[1].operators, strict=True):
        for left, right in zip(one.inputs, other.inputs, strict=True):
            usual, ahead_of = made[0].tensors[left], made[1].tensors[right]
            for name in ("data", "scales", "zero_points"):
                values = getattr(usual, name), getattr(ahead_of, name)
                assert (values[0] is None) == (values[1] is None)
                assert values[0] is None or np.array_equal(*values), name


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["a sample that runs", "no sample that runs"])
def test_a_constant_that_the_converter_computed_with_is_converted_as_it_is(
    sample: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    matrix = np.random.default_rng(0).standard_normal((600, 600), np.float32)
    artifact = tmp_path / "float.tflite"

    def convert() -> None:
        import tensorflow as tf

        from devdiff.exporter.quantizers import tflite_converter

        weight = tf.constant(matrix)
        spec, output = TensorSpec("x", (1, 600), "float32"), TensorSpec("y", (1, 600), "float32")

        def call(x: Any) -> list[Any]:
            if sample == "no sample that runs" and tf.executing_eagerly():
                raise ValueError("not with these values")
            return [tf.matmul(x, weight * np.linspace(1, 2, 600, dtype=np.float32))]

        converted = Converted(call, (spec,), (ConvertedOutput(output, (0, 1)),), ())
        (constants := tmp_path / "constants").mkdir()
        aside = stand_ins.StandIns(constants)
        tflite_converter.save_function(converted, ["x"], ["y"], tmp_path / "saved", aside)
        tflite_converter.to_float32(tmp_path / "saved", artifact, constants)

    apart.run(convert)
    assert "converting with all constants in memory" in capfd.readouterr().err
    interpreter = Interpreter(str(artifact))
    interpreter.allocate_tensors()
    x = np.random.default_rng(3).normal(size=(1, 600)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    wanted = x @ (matrix * np.linspace(1, 2, 600, dtype=np.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_taken(tmp_path: Path) -> None:
    made = onnx_zoo.dense(tmp_path / "dense.onnx")
    export(made, tmp_path / "out")
    (spec,) = Manifest.load(tmp_path / "out").artifacts[0].inputs
    (output,) = Manifest.load(tmp_path / "out").artifacts[0].outputs

    def call(x: Any) -> list[Any]:
        return [np.full(output.source.shape, 7.0, np.float32)]

    outputs = (ConvertedOutput(output.source, output.permutation),)
    converted = Converted(call, (spec.source,), outputs, ())
    answers.keep(converted, [spec.signature_name], [output.signature_name], tmp_path)
    with pytest.raises(ConversionError, match="is off by"):
        answers.check(tmp_path, tmp_path / "out/float.tflite")
