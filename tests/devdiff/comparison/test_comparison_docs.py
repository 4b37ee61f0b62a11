"""The documented way to compare from Python works as written, and starts without SciPy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from devdiff.exporter.artifact import Quantization
from tests.support.pair_packs import binding, rung

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "comparison.md"


def test_the_example_runs_as_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    affine = Quantization(0.03, 0)
    values = np.random.default_rng(0).standard_normal((100, 1, 4)).astype(np.float32)
    outputs = binding("logits", (1, 4)), binding("logits", (1, 4), "int8", quantization=affine)
    sides = [
        rung(tmp_path, "float", outputs[:1], [values]),
        rung(tmp_path, "int8", outputs[1:], [affine.quantize(values, np.dtype(np.int8))]),
    ]
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {
        "float_pack": sides[0].pack,
        "float_outputs": sides[0].outputs,
        "int8_pack": sides[1].pack,
        "int8_outputs": sides[1].outputs,
        "labels": values.reshape(100, 4).argmax(axis=1),
    }
    exec(compile(example, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "pass Output logits agrees on" in printed
    assert "with 90 % required" in printed


def test_importing_the_comparison_loads_nothing_heavy() -> None:
    program = "import sys, devdiff.comparison; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = {name.split(".")[0] for name in done.stdout.decode().split()}
    assert "numpy" in loaded
    assert not loaded & {"scipy", "tensorflow", "torch", "onnx", "onnxruntime", "ai_edge_litert"}
