"""``--compress``: what is done to the model before it ships, as rungs and steps of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from devdiff.exporter.artifact import sha256_file
from devdiff.exporter.compression import Compression
from devdiff.exporter.manifest import Manifest
from devdiff.inputs.input_set import InputRequest
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder.pipeline import export_and_test
from devdiff.ladder.request import LadderRequest
from devdiff.options import ModelSpec, Running
from tests.support import onnx_zoo
from tests.support.command import DATA, DIGITS, HELDOUT, devdiff
from tests.support.pausing import paused
from tests.support.schemas import report_schema

if TYPE_CHECKING:
    from pathlib import Path


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    jsonschema.validate(report, report_schema())
    return report


def steps(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [
        (p["step"], p["reference"], p["candidate"], p["judgement"]["verdict"])
        for p in report["pairs"]
    ]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run of the digits, pruned and quantized, and what it printed."""
    folder = tmp_path_factory.mktemp("both")
    done = devdiff(
        "export-and-test", DIGITS, *DATA, "--compress", "prune:0.3+int8", "--device", "local",
        "--out", "run", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


@pytest.mark.slow
def test_pruning_is_a_rung_and_a_step_of_its_own(both: tuple[Path, str]) -> None:
    folder, printed = both
    report = report_of(folder)
    assert steps(report) == [
        ("pruning", "source", "pruned", "pass"),
        ("conversion", "pruned", "float", "pass"),
        ("compression", "float", "int8", "pass"),
        ("deployment", "int8", "device", "pass"),
        ("all", "source", "device", "pass"),
    ]
    assert "source → pruned → float → int8 → device" in printed
    assert "pruned (prune:0.3): 30.0 % of 46864 weights are zero in 5 layers" in printed


@pytest.mark.slow
def test_every_rung_ran_the_file_of_its_name(both: tuple[Path, str]) -> None:
    folder, _ = both
    report = report_of(folder)
    files = {rung["name"]: rung["model"]["file"] for rung in report["rungs"]}
    assert files == {
        "source": "digits.onnx",
        "pruned": "pruned.onnx",
        "float": "pruned-float.tflite",
        "int8": "pruned-int8.tflite",
        "device": "pruned-int8.tflite",
    }
    for rung in report["rungs"][1:]:
        assert rung["pruning"] == "prune:0.3"
        path = folder / "artifacts" / rung["model"]["file"]
        assert rung["model"]["sha256"] == sha256_file(path)
    assert report["rungs"][0]["pruning"] is None
    assert report["manifest"]["pruned"]["pruning"] == {"method": "prune", "rate": 0.3}
    assert not (folder / "artifacts/float.tflite").exists()


@pytest.mark.slow
def test_another_compression_is_another_run(both: tuple[Path, str], tmp_path: Path) -> None:
    done = devdiff(
        "export-and-test", DIGITS, *DATA, "--compress", "prune:0.4+int8", "--out", both[0],
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "other options" in done.stderr


@pytest.mark.slow
def test_pruning_alone_ships_the_float_file_and_needs_no_calibration(tmp_path: Path) -> None:
    done = devdiff(
        "export-and-test", DIGITS, *DATA, "--compress", "prune:0.3", "--device", "local",
        "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = report_of(tmp_path / "run")
    assert [(pair[0], pair[3]) for pair in steps(report)] == [
        ("pruning", "pass"),
        ("conversion", "pass"),
        ("deployment", "pass"),
        ("all", "pass"),
    ]
    assert report["rungs"][-1]["model"]["file"] == "pruned-float.tflite"
    assert report["inputs"]["samples"] == 800
    assert report["manifest"]["calibration"] is None


@pytest.mark.slow
def test_what_pruning_breaks_is_laid_at_its_door(tmp_path: Path) -> None:
    done = devdiff(
        "export-and-test", DIGITS, *DATA, "--compress", "channel-prune:0.3+int8", "--out",
        "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    report = report_of(tmp_path / "run")
    assert report["attribution"] == {
        "step": "pruning",
        "reference": "source",
        "candidate": "pruned",
    }
    assert [pair[3] for pair in steps(report)[1:4]] == ["pass", "pass", "pass"]
    assert "the step pruning (source → pruned) changes the model" in done.stdout
    assert "48 of 170 channels" in done.stdout
    assert "11.weight (its channels are the model's outputs)" in done.stdout


@pytest.mark.slow
def test_the_unpruned_model_can_stand_beside_the_way(tmp_path: Path) -> None:
    request = LadderRequest(
        model=ModelSpec(DIGITS),
        compression=Compression.parse("prune:0.3+int8"),
        full=True,
        data=InputRequest(inputs=HELDOUT, preprocess=Preprocess.parse("scale=1/255")),
        running=Running(device="none"),
    )
    outcome = export_and_test(request, tmp_path / "run")
    report = report_of(outcome.directory)
    assert outcome.exit_code == 0
    assert ("conversion", "source", "full", "pass") in steps(report)
    assert steps(report)[-1][:3] == ("all", "source", "int8")
    manifest = Manifest.from_json(report["manifest"])
    full = manifest.full(outcome.directory / "artifacts")
    assert report["rungs"][-1]["model"] == {"file": "float.tflite", "sha256": full.sha256}
    assert report["rungs"][-1]["pruning"] is None
    assert "full" not in report["summary"]


@pytest.mark.slow
def test_without_any_compression_the_float_file_ships(tmp_path: Path) -> None:
    done = devdiff("export-and-test", DIGITS, *DATA, "--compress", "none", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [rung["name"] for rung in report["rungs"]] == ["source", "float", "device"]
    assert steps(report)[1][:2] == ("deployment", "float")


@pytest.mark.slow
def test_a_killed_run_keeps_its_pruned_model(tmp_path: Path) -> None:
    compress = ("--compress", "prune:0.3+int8", "--device", "none")
    arguments = ("export-and-test", DIGITS, *DATA, *compress)
    process = paused("devdiff-runs/*/rungs/source.json", *arguments, cwd=tmp_path)
    process.kill()
    process.communicate()
    (folder,) = (tmp_path / "devdiff-runs").iterdir()
    assert not (folder / "report.json").exists()
    kept = [folder / "artifacts" / name for name in ("pruned.onnx", "pruned-int8.tflite")]
    written = [path.stat().st_mtime_ns for path in kept]
    done = devdiff(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continuing the unfinished run" in done.stderr
    assert [path.stat().st_mtime_ns for path in kept] == written
    assert report_of(folder)["verdict"] == "pass"


@pytest.mark.slow
def test_a_pruned_export_and_its_runs(tmp_path: Path) -> None:
    done = devdiff(
        "export", DIGITS, *DATA, "--compress", "channel-prune:0.3", "--full", "--out", "exported",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {
        "pruned.onnx",
        "pruned-float.tflite",
        "float.tflite",
        "manifest.json",
        "export.log",
    }
    assert "pruned → float" in done.stdout
    assert "source → full" in done.stdout
    # The manifest beside a finished file says that it is pruned: its loss is no conversion's fault.
    done = devdiff(
        "export-and-test", "exported/pruned-float.tflite", "--source", DIGITS, *DATA, "--device",
        "none", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["attribution"]["step"] == "conversion+compression"
    assert "95 % required" in report["pairs"][0]["judgement"]["reasons"][0]
    for name, model in (("before", DIGITS), ("after", "exported/pruned-float.tflite")):
        assert devdiff("run", model, *DATA, "--out", name, cwd=tmp_path).returncode == 0
    done = devdiff("diff", "before", "after", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["step"] == "pruning"


@pytest.mark.slow
def test_a_conversion_beyond_tolerance_fails_the_export_of_the_unpruned_model_too(
    tmp_path: Path,
) -> None:
    onnx_zoo.two_by_two(tmp_path / "m.onnx")
    done = devdiff(
        "export", "m.onnx", "--out", "x", "--compress", "prune:0.5", "--full", "--atol", "0",
        "--rtol", "0", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    for name in ("conversion", "full_conversion"):
        assert document[name]["judgement"]["verdict"] == "fail"
    # The next export into the folder leaves nothing of this one.
    (tmp_path / "x/notes.txt").touch()
    done = devdiff("export", "m.onnx", "--out", "x", "--compress", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "x").iterdir()} == {
        "float.tflite",
        "manifest.json",
        "export.log",
        "notes.txt",
    }


@pytest.mark.slow
def test_a_finished_file_is_not_compressed(tmp_path: Path) -> None:
    (tmp_path / "shipped.tflite").write_bytes(b"\0\0\0\0TFL3")
    done = devdiff("export-and-test", "shipped.tflite", "--compress", "int8", cwd=tmp_path)
    assert done.returncode == 2
    assert "--recipe are for source models: shipped.tflite is finished" in done.stderr
    assert not (tmp_path / "devdiff-runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("export-and-test",), ("export", "--out", "exported")])
def test_a_compression_that_does_not_exist(tmp_path: Path, verb: tuple[str, ...]) -> None:
    done = devdiff(*verb, DIGITS, "--compress", "int4", cwd=tmp_path)
    assert done.returncode == 2
    assert "no 'int4' (did you mean int8?); there are int8, int8-float-io" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_pruning_that_would_do_nothing_leaves_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((20, 1, 4), np.float32))
    onnx_zoo.dense(tmp_path / "m.onnx")
    done = devdiff(
        "export-and-test", "m.onnx", "--compress", "channel-prune:0.5", "--inputs", "x.npy",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "all produce an output" in done.stderr
    assert list((tmp_path / "devdiff-runs").iterdir()) == []
