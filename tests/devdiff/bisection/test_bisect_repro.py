"""A repro shows the difference to somebody who has neither devdiff nor the device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.bisection import explorer, repro
from devdiff.exporter.artifact import Array, sha256_file
from tests.support.bisect_bench import bench, searched, side
from tests.support.branchy import branchy, changed
from tests.support.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.bisection.isolate import Isolated
    from devdiff.exporter.tflite_graph import Graph


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return branchy(tmp_path_factory.mktemp("branchy") / "branchy.tflite")


def written(folder: Path, model: Path, other: Path, runner: InProcess | None = None) -> Path:
    on = bench(folder, side(model), side(other, runner))
    found: Isolated = searched(on).isolated
    if found.kind == "context":
        return repro.write(on, found.guilty, found.window, found.outputs, folder / "repro")
    (operator,) = found.guilty
    inputs, outputs = on.flow.inputs_of(operator), on.flow.outputs_of(operator)
    return repro.write(on, (operator,), inputs, outputs, folder / "repro")


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The README's command, where nothing of devdiff can be imported."""
    readme = (folder / "README.md").read_text()
    command = readme.split("```sh\n")[1].split("\n```")[0].split()
    assert command == ["python", "repro.py"]
    hidden = (
        "import sys, runpy\n"
        "sys.modules['devdiff'] = None\n"
        "sys.argv = ['repro.py']; runpy.run_path('repro.py', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", hidden],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "environment.json").read_text())
    return data


def test_the_operator_of_two_files_shows_its_difference_again(model: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, model, changed(model, tmp_path / "changed.tflite", 9))
    assert folder.name == "op_009_MUL"
    names = {path.name for path in folder.iterdir()}
    assert {"op_009_MUL.tflite", "op_009_MUL.candidate.tflite", "repro.py", "README.md"} <= names
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000
    done = run(folder)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    (recorded,) = [line for line in said if line.startswith("recorded:")]
    assert "elements differ" in recorded
    # Each file gives here, with the kernels that were recorded, what its side gave.
    place = next(i for i, line in enumerate(said) if "builtin" in line and "candidate" in line)
    assert said[place + 2].endswith("against the candidate: equal")


def test_arrays_and_hashes_are_those_of_the_environment(model: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, model, changed(model, tmp_path / "changed.tflite", 4))
    environment = told(folder)
    for name, sha256 in environment["files"].items():
        assert sha256_file(folder / name) == sha256
    assert len(environment["inputs"]) == 2  # the residual's two summands
    for tensor in environment["inputs"]:
        values = np.load(folder / tensor["file"])
        assert values.shape == (environment["samples"], *tensor["shape"])
        assert values.dtype == tensor["dtype"]
    (output,) = environment["outputs"]
    left, right = (np.load(folder / output[role]) for role in ("reference", "candidate"))
    assert (left != right).any()
    assert environment["reference"]["about"]["runtime"] == "litert"
    assert environment["candidate"]["of"]["file"] == "changed.tflite"


def test_neighbours_that_fail_together_are_one_model(model: Path, tmp_path: Path) -> None:
    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        return [output + 1 for output in outputs] if len(graph.operators) >= 2 else outputs

    folder = written(tmp_path, model, model, InProcess(spoil))
    assert folder.name == "ops_000-001"
    assert not list(folder.glob("*.candidate.tflite"))
    done = run(folder)
    assert done.returncode == 0
    assert "against the reference: equal" in done.stdout


def test_an_operator_that_fails_on_one_side_has_a_repro_too(model: Path, tmp_path: Path) -> None:
    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        if any(operator.kind == "AVERAGE_POOL_2D" for operator in graph.operators):
            raise RuntimeError("no pools here")
        return outputs

    folder = written(tmp_path, model, model, InProcess(spoil))
    assert folder.name == "op_014_AVERAGE_POOL_2D"
    assert not list(folder.glob("candidate_output*"))
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert "recorded:  reference against candidate: 3 samples fail: no pools here" in done.stdout
    assert "The candidate fails: 3 samples fail" in (folder / "README.md").read_text()


def test_errors_on_the_graph_are_named_by_tensors(tmp_path: Path) -> None:
    """In the form of Model Explorer's own node_data_builder, GraphNodeData."""
    values = {"a": 1.5, "b": None, "c": float("inf"), "d": 0.0}
    data = json.loads(explorer.write(tmp_path / "nodes.json", values).read_text())
    assert data["results"] == {"a": {"value": 1.5}, "d": {"value": 0.0}}
    assert [stop["stop"] for stop in data["gradient"]] == [0.0, 0.5, 1.0]
    turned = json.loads(
        explorer.write(tmp_path / "nodes.json", values, worst_is_low=True).read_text()
    )
    colours = [stop["bgColor"] for stop in data["gradient"]]
    assert [stop["bgColor"] for stop in turned["gradient"]] == colours[::-1]
