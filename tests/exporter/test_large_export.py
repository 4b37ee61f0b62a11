"""Large models are exported in steps of a process each, and come out as small ones do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import helper

from devdiff.exporter import apart
from devdiff.exporter.errors import ConversionError, WorkerError
from tests.support import onnx_zoo
from tests.support.exporting import export

if TYPE_CHECKING:
    from pathlib import Path

_WIDTH = 4_200  # squared, in float32: 70 MB


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
def test_a_large_model_is_exported_as_a_small_one_is(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "wide"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Gemm", ["z", "last"], ["logits"]),
    ]
    wide = onnx_zoo.weights("wide", _WIDTH, _WIDTH)
    last = onnx_zoo.weights("last", _WIDTH, 10, seed=1)
    model = onnx_zoo.save(
        tmp_path / "large.onnx",
        nodes,
        [onnx_zoo.value("x", [1, _WIDTH])],
        [onnx_zoo.value("logits", [1, 10])],
        [wide, last],
    )
    assert model.stat().st_size > apart.LARGE
    exported = export(model, tmp_path / "out")
    assert [record.recipe.precision for record in exported.manifest.artifacts] == [
        "float32",
        "int8",
    ]
    interpreter = Interpreter(str(tmp_path / "out/float.tflite"))
    interpreter.allocate_tensors()
    x = np.random.default_rng(3).normal(size=(1, _WIDTH)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    import onnxruntime

    (expected,) = onnxruntime.InferenceSession(str(model)).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
