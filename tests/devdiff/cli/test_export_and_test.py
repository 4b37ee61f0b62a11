"""The main job, as a user runs it: one command, one verdict, one exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from devdiff.exporter.artifact import sha256_file
from tests.support import onnx_zoo
from tests.support.command import DATA, DIGITS, HELDOUT, NO_EXPORT_CACHE, devdiff
from tests.support.pausing import paused
from tests.support.schemas import report_schema


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    jsonschema.validate(report, report_schema())
    return report


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One finished run of the shipped model, and what it printed."""
    folder = tmp_path_factory.mktemp("digits")
    done = devdiff("export-and-test", DIGITS, *DATA, "--out", folder / "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


@pytest.mark.slow
def test_the_shipped_model_passes_on_every_rung(tested: tuple[Path, str]) -> None:
    folder, printed = tested
    report = report_of(folder)
    assert printed.startswith("PASS  digits.onnx")
    assert report["verdict"] == "pass"
    assert [rung["name"] for rung in report["rungs"]] == ["source", "float", "int8", "device"]
    assert all(rung["samples"] == 600 and rung["failed"] == 0 for rung in report["rungs"])
    steps = {pair["step"]: pair for pair in report["pairs"]}
    assert set(steps) == {"conversion", "compression", "deployment", "all"}
    (deployed,) = steps["deployment"]["comparison"]["outputs"]
    assert deployed["differing_elements"] == 0


def test_the_report_names_what_was_tested_and_what_ran(tested: tuple[Path, str]) -> None:
    folder, _ = tested
    report = report_of(folder)
    assert report["model"]["sha256"] == sha256_file(DIGITS)
    rungs = {rung["name"]: rung for rung in report["rungs"]}
    assert rungs["int8"]["model"]["sha256"] == sha256_file(folder / "artifacts/int8.tflite")
    assert rungs["device"]["model"] == rungs["int8"]["model"]
    assert rungs["float"]["model"]["sha256"] == sha256_file(folder / "artifacts/float.tflite")
    for rung in report["rungs"]:
        assert rung["results_sha256"] == sha256_file(folder / "rungs" / f"{rung['name']}.pack")
        assert rung["about"]["threads"] == 1
    device = rungs["device"]
    for part in ("runner", "library"):
        assert device["identity"][part]["sha256"] == sha256_file(
            Path(device["identity"][part]["path"])
        )
    assert device["about"]["delegate"] == "xnnpack"
    assert device["about"]["nodes_delegated"] > 0
    calibration = report["manifest"]["calibration"]
    assert calibration["samples"] == report["inputs"]["calibration"]["samples"] == 200
    assert report["inputs"]["samples"] + 200 == 800


@pytest.mark.slow
def test_a_finished_directory_is_not_overwritten(tested: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = tested
    before = sha256_file(folder / "report.json")
    again = devdiff("export-and-test", DIGITS, *DATA, "--out", folder, cwd=tmp_path)
    assert again.returncode == 2
    assert "finished" in again.stderr
    assert sha256_file(folder / "report.json") == before


def flip_a_weight_tensor(artifact: Path, out: Path, dtype: str) -> Path:
    """A copy with the largest weight tensor negated: a valid file, another model."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as tflite

    model = tflite.ModelT.InitFromPackedBuf(artifact.read_bytes(), 0)
    buffer = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
    values = np.array(buffer.data, np.uint8).view(dtype)
    buffer.data = np.frombuffer((-values).tobytes(), np.uint8)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    out.write_bytes(builder.Output())
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype", "step"),
    [("float", "float32", "conversion"), ("int8", "int8", "conversion+compression")],
)
def test_one_changed_weight_tensor_fails_at_its_step(
    tested: tuple[Path, str], tmp_path: Path, name: str, dtype: str, step: str
) -> None:
    changed = flip_a_weight_tensor(
        tested[0] / "artifacts" / f"{name}.tflite", tmp_path / "changed.tflite", dtype
    )
    done = devdiff(
        "export-and-test", changed, "--source", DIGITS, *DATA, "--out", "run", cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    report = report_of(tmp_path / "run")
    assert report["attribution"]["step"] == step
    assert done.stdout.startswith("FAIL  changed.tflite")
    # The changed file still runs alike on host and device: only the guilty step fails.
    deployment = next(pair for pair in report["pairs"] if pair["step"] == "deployment")
    assert deployment["judgement"]["verdict"] == "pass"


@pytest.mark.slow
def test_a_changed_int8_file_between_its_neighbours_fails_at_compression(
    tested: tuple[Path, str], tmp_path: Path
) -> None:
    artifacts = tested[0] / "artifacts"
    changed = flip_a_weight_tensor(artifacts / "int8.tflite", tmp_path / "changed.tflite", "int8")
    done = devdiff(
        "export-and-test",
        changed,
        *("--source", DIGITS, "--float", artifacts / "float.tflite"),
        *(*DATA, "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, report_schema())
    assert [rung["name"] for rung in report["rungs"]] == ["source", "float", "int8", "device"]
    assert report["attribution"]["step"] == "compression"


@pytest.mark.slow
def test_a_finished_artifact_alone_has_no_source_rung(
    tested: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copy(tested[0] / "artifacts/int8.tflite", tmp_path / "shipped.tflite")
    done = devdiff("export-and-test", "shipped.tflite", *DATA, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [rung["name"] for rung in report["rungs"]] == ["int8", "device"]
    assert report["inputs"]["samples"] == 800


@pytest.mark.slow
def test_without_inputs_the_verdict_speaks_of_numerics(tmp_path: Path) -> None:
    done = devdiff("export-and-test", DIGITS, "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["inputs"]["synthetic"]
    assert any("numerics" in note for note in report["inputs"]["notes"])


@pytest.mark.slow
def test_few_samples_are_inconclusive(tmp_path: Path) -> None:
    with np.load(HELDOUT) as arrays:
        np.savez(tmp_path / "few.npz", image=arrays["image"][:20], labels=arrays["labels"][:20])
    done = devdiff(
        "export-and-test",
        DIGITS,
        "--inputs",
        "few.npz",
        "--preprocess",
        "scale=1/255",
        "--device",
        "none",
        "--json",
        cwd=tmp_path,
    )
    report = json.loads(done.stdout)
    assert done.returncode == 5, done.stderr
    assert report["verdict"] == "inconclusive"
    compression = next(pair for pair in report["pairs"] if pair["step"] == "compression")
    assert "cannot decide" in compression["judgement"]["reasons"][0]


@pytest.mark.slow
def test_a_killed_run_continues_with_the_same_command(tmp_path: Path) -> None:
    arguments = ("export-and-test", DIGITS, *DATA, "--device", "local")
    for mark in ("artifacts/manifest.json", "rungs/source.json", "rungs/float.json"):
        process = paused(f"devdiff-runs/*/{mark}", *arguments, cwd=tmp_path)
        process.kill()
        process.communicate()
        assert not list(tmp_path.glob("devdiff-runs/*/report.json"))
    (folder,) = (tmp_path / "devdiff-runs").iterdir()
    written = (folder / "artifacts/int8.tflite").stat().st_mtime_ns
    done = devdiff(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continuing the unfinished run" in done.stderr
    assert (folder / "artifacts/int8.tflite").stat().st_mtime_ns == written
    assert report_of(folder)["verdict"] == "pass"


@pytest.mark.slow
def test_interrupting_says_how_to_go_on_and_leaves_no_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "devdiff",
            "export-and-test",
            str(DIGITS),
            *DATA,
            "--device",
            "local",
        ],
        cwd=tmp_path,
        env={**os.environ, **NO_EXPORT_CACHE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background lets all of them ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "loading TensorFlow" in line:
            break
    children = _children(process.pid)
    assert children
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in stderr
    assert "Traceback" not in stderr
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            break
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.slow
def test_a_float_output_that_is_wrong_fails_at_conversion_with_the_tolerance_that_would_pass(
    tmp_path: Path,
) -> None:
    model = onnx_zoo.two_by_two(tmp_path / "m.onnx")
    done = devdiff(
        "export-and-test", model, "--device", "none", "--atol", "1e-12", "--rtol", "1e-12",
        "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["attribution"]["step"] == "conversion"
    conversion = report["pairs"][0]["judgement"]
    assert "would pass" in " ".join(conversion["reasons"])
    limits = [f"{name}:{would['atol']}" for name, would in conversion["passing"].items()]
    again = devdiff(
        "export-and-test", model, "--device", "none", "--rtol", "1e-12", "--atol", *limits,
        "--json", cwd=tmp_path,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout
