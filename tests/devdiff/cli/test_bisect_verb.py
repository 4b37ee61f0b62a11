"""``devdiff bisect`` as a user types it: between runtimes, files and precisions, and of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from devdiff.exporter.tflite_cut import WholeModel
from devdiff.report.html.page import PAGE_NAME
from tests.support.branchy import SHAPE, branchy, changed
from tests.support.command import DATA, DIGITS, HELDOUT, devdiff
from tests.support.schemas import bisect_schema
from tests.support.schemas import report_schema as schema

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits model as float.tflite and int8.tflite."""
    folder = tmp_path_factory.mktemp("bisected")
    done = devdiff("export", DIGITS, *DATA, "--out", folder / "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def bisected(done: subprocess.CompletedProcess[str], code: int) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    section: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(section, bisect_schema())
    return section


def branches(folder: Path) -> tuple[Path, Path]:
    """Two files that differ in the MUL of operator 9, and samples for them."""
    model = branchy(folder / "branchy.tflite")
    samples = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    np.save(folder / "samples.npy", samples)
    return model, changed(model, folder / "changed.tflite", 9)


@pytest.mark.slow
def test_xnnpack_and_builtin_kernels_part_at_a_convolution(exported: Path, tmp_path: Path) -> None:
    """By one step."""
    sides = ("--between", "litert:xnnpack", "litert:builtin")
    done = devdiff("bisect", exported / "int8.tflite", *DATA, *sides, "--out", tmp_path / "run",
                   cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "FAIL  operator 1, CONV_2D" in done.stdout
    assert "born here" in done.stdout
    section = json.loads((tmp_path / "run/bisect.json").read_text())
    (guilty,) = section["guilty"]
    assert (guilty["index"], guilty["kind"]) == (1, "CONV_2D")
    suspects = {one["index"]: one for one in section["suspects"]}
    assert suspects[1]["alone"]["tensors"][0]["max_lsb"] == 1
    # A maximum is exact on both.
    assert suspects[2]["kind"] == "MAX_POOL_2D"
    assert not suspects[2]["born"]
    assert section["runs"]["search"]["candidate"] <= section["runs"]["allowed"]
    repro = tmp_path / "run" / section["repro"]
    assert repro.name == "op_001_CONV_2D"
    nodes = json.loads((tmp_path / "run/model-explorer.json").read_text())
    assert nodes["results"][guilty["name"]] == {"value": 1.0}


@pytest.mark.slow
def test_an_old_runtime_parts_from_the_new_one(exported: Path, tmp_path: Path) -> None:
    sides = ("--between", "int8@litert", "int8@tflite-runtime")
    done = devdiff("bisect", exported / "int8.tflite", *DATA, *sides, "--json", cwd=tmp_path)
    section = bisected(done, 1)
    assert section["kind"] == "born"
    assert section["guilty"][0]["kind"] == "CONV_2D"
    versions = {role: side["about"]["runtime_version"] for role, side in section["sides"].items()}
    assert versions["candidate"] == "2.14.0"
    assert versions["reference"] != "2.14.0"


@pytest.mark.slow
def test_the_same_place_twice_agrees(exported: Path, tmp_path: Path) -> None:
    """Also where the first few samples are not all there are."""
    sides = ("--between", "litert", "litert")
    done = devdiff("bisect", exported / "int8.tflite", *DATA, *sides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "PASS  int8@litert and int8@litert agree on 256 samples" in done.stdout


@pytest.mark.slow
def test_another_file_of_the_same_graph_is_bisected(tmp_path: Path) -> None:
    model, other = branches(tmp_path)
    data = ("--inputs", tmp_path / "samples.npy")
    done = devdiff("bisect", model, "--against", other, *data, "--json", cwd=tmp_path)
    section = bisected(done, 1)
    assert [one["index"] for one in section["guilty"]] == [9]
    assert section["sides"]["candidate"]["name"] == "changed.tflite@litert"
    assert [one["index"] for one in section["suspects"]] == [9, 11, 12]
    assert [one["born"] for one in section["suspects"]] == [True, False, False]


@pytest.mark.slow
def test_a_bisection_that_was_killed_goes_on_behind_its_last_cut(tmp_path: Path) -> None:
    model, other = branches(tmp_path)
    command = ("bisect", model, "--against", other, "--inputs", tmp_path / "samples.npy",
               "--out", tmp_path / "run")  # fmt: skip
    whole = devdiff(*command, cwd=tmp_path)
    assert whole.returncode == 1, whole.stderr
    found = json.loads((tmp_path / "run/bisect.json").read_text())
    again = devdiff(*command, cwd=tmp_path)
    assert again.returncode == 2
    assert "holds this run already, finished: read" in again.stderr
    assert "bisect.json" in again.stderr
    # As if it had been killed after its last cut, before it could say what it found.
    (tmp_path / "run/bisect.json").unlink()
    resumed = devdiff(*command, cwd=tmp_path)
    assert "continuing the unfinished bisection" in resumed.stderr
    assert resumed.returncode == 1
    assert json.loads((tmp_path / "run/bisect.json").read_text())["guilty"] == found["guilty"]


@pytest.mark.slow
def test_what_is_found_about_a_run_goes_into_its_report(tmp_path: Path) -> None:
    kernels = ("--device", "local", "--delegate", "none", "--host-runtime", "litert", "--exact")
    run = tmp_path / "run"
    tested = devdiff("export-and-test", DIGITS, *DATA, *kernels, "--out", run, cwd=tmp_path)
    assert tested.returncode == 1, tested.stderr
    assert f"which operator: devdiff bisect {run}\n" in tested.stdout
    done = devdiff("bisect", run, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    report = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, schema())
    section = report["bisect"]
    assert section["guilty"][0]["kind"] == "CONV_2D"
    # The step that failed, with its own samples: the worst, not just the first.
    assert [side["name"] for side in section["sides"].values()] == ["int8@litert", "int8@device"]
    assert section["sides"]["candidate"]["about"]["delegate"] == "none"
    assert "The operator that differs" in (run / PAGE_NAME).read_text()
    assert (run / "bisect" / section["repro"] / "repro.py").is_file()
    profiled = devdiff("bisect", run, "--between", "float", "int8", cwd=tmp_path)
    assert profiled.returncode == 0, profiled.stderr
    assert "PASS  int8 keeps" in profiled.stdout
    report = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, schema())
    kept = report["bisect"]["profile"]["kept_in_float"]
    plain, *single, together = kept["variants"]
    assert plain["layers"] == []
    assert plain["float_operators"] == {}
    assert plain["sqnr_db"] == kept["shipped"]["sqnr_db"]
    for variant in single:
        assert variant["float_operators"]["CONV_2D"] == 1
        assert variant["sqnr_db"] > plain["sqnr_db"]
    assert together["sqnr_db"] > max(variant["sqnr_db"] for variant in single)
    for name in ("table", "plot"):
        assert (run / "bisect" / report["bisect"]["profile"][name]).stat().st_size > 200
    assert "What int8 costs each layer" in (run / PAGE_NAME).read_text()
    # What is asked for now counts, also where it is the usual, which the run was not made with.
    asked = ("--delegate", "xnnpack", "--threads", "2", "--between", "litert", "device")
    done = devdiff("bisect", run, *asked, "--json", cwd=tmp_path)
    about = bisected(done, 0)["sides"]["candidate"]["about"]
    assert (about["delegate"], about["threads"]) == ("xnnpack", 2)


@pytest.mark.slow
def test_a_run_is_bisected_on_its_own_device_and_on_no_other_that_is_there(tmp_path: Path) -> None:
    kernels = ("--device", "local", "--delegate", "none", "--host-runtime", "litert", "--exact")
    run = tmp_path / "run"
    tested = devdiff("export-and-test", DIGITS, *DATA, *kernels, "--out", run, cwd=tmp_path)
    assert tested.returncode == 1, tested.stderr
    # As of a run that took the only phone there was, which is gone by now.
    asked = json.loads((run / "run.json").read_text())
    asked["request"]["running"]["device"] = None
    (run / "run.json").write_text(json.dumps(asked))
    report = json.loads((run / "report.json").read_text())
    report["options"]["running"]["device"] = None
    (run / "report.json").write_text(json.dumps(report))
    device = next(rung for rung in report["rungs"] if rung["name"] == "device")
    assert device["runner"] == "local"
    env = {"ANDROID_ADB_SERVER_PORT": "9"}

    # This machine it was, whatever else is attached.
    env |= {"ANDROID_SERIAL": "no-such-phone"}
    done = devdiff("bisect", run, cwd=tmp_path, env=env)
    assert done.returncode == 1, done.stderr

    device["runner"] = "emulator-5998"
    (run / "report.json").write_text(json.dumps(report))
    recorded = json.loads((run / "rungs/device.json").read_text())
    (run / "rungs/device.json").write_text(json.dumps({**recorded, "runner": "emulator-5998"}))
    done = devdiff("bisect", run, cwd=tmp_path, env=env)
    assert done.returncode == 3, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "the run was made on emulator-5998, which is not to be reached" in last
    assert "--device SERIAL" in last


@pytest.mark.slow
def test_what_a_run_knows_itself_is_not_taken_from_elsewhere(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    done = devdiff("bisect", run, "--inputs", "other.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "--inputs other.npz: a run is bisected with its own files" in done.stderr


@pytest.mark.slow
def test_a_run_whose_file_was_changed_is_not_bisected(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(DIGITS.read_bytes())
    run = tmp_path / "run"
    device = ("--device", "none")
    tested = devdiff("export-and-test", model, *DATA, *device, "--out", run, cwd=tmp_path)
    assert tested.returncode == 0, tested.stderr
    model.write_bytes(b"something else")
    done = devdiff("bisect", run, "--between", "litert", "litert:builtin", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not the file any more that the run tested" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.tflite",), "nothing.tflite does not exist"),
        (("nothing.tflite", "--atol", "logits:1"), "every tensor on the way is held to one"),
        (("nothing.tflite", "--rtol", "much"), "'much' is no tolerance"),
        (("nothing.tflite", "--max-lsb", "-1"), "is no whole number from 0 up"),
        ((".",), "is no run directory"),
        ((str(DIGITS),), "is a source model: bisect takes the .tflite made from it"),
    ],
)
def test_what_cannot_be_bisected_is_said_in_a_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = devdiff("bisect", *arguments, "--inputs", HELDOUT, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "devdiff-runs").exists()


@pytest.mark.slow
def test_sides_that_do_not_exist_are_said_in_a_line(tmp_path: Path) -> None:
    model, _ = branches(tmp_path)
    whole = WholeModel(model)
    shorter = tmp_path / "shorter.tflite"
    outputs = whole.graph.operators[12].outputs
    shorter.write_bytes(whole.part(whole.graph.inputs, outputs).data)
    for options, said in (
        (("--between", "litert", "nowhere"), "no host runtime 'nowhere'"),
        (("--between", "float", "int8"), "there is no int8 file here, only float"),
        (("--device", "none"), "--device none leaves no device"),
        (("--against", shorter), "has 16 operators and shorter.tflite 13: only two files of the"),
        (("--against", tmp_path / "none.tflite"), "none.tflite does not exist"),
    ):
        done = devdiff("bisect", model, *options, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not list((tmp_path / "devdiff-runs").glob("*"))
