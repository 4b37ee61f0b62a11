"""The smaller commands: export, run, diff, doctor, and the help of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.exporter.manifest import Manifest
from tests.support import onnx_zoo
from tests.support.command import DATA, DIGITS, devdiff

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of the digits model and runs of it: source, host, device."""
    folder = tmp_path_factory.mktemp("verbs")
    done = devdiff("export", DIGITS, "--out", "exported", *DATA, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASS  converted")
    assert done.stdout.splitlines()[1] == (
        "on 20 real unlabelled samples, this machine; a fault in 13.9 % of inputs would have been "
        "seen"
    )
    for name, model, place in (
        ("source", DIGITS, ()),
        ("host", "exported/int8.tflite", ("--host-runtime", "litert")),
        ("builtin", "exported/int8.tflite", ("--host-runtime", "litert:builtin")),
        ("device", "exported/int8.tflite", ("--device", "local")),
    ):
        done = devdiff("run", model, *place, "--out", f"runs/{name}", *DATA, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "800" in done.stdout
    return folder


def test_export_leaves_artifacts_and_manifest_and_nothing_else(kept: Path) -> None:
    names = {path.name for path in (kept / "exported").iterdir()}
    assert names == {"float.tflite", "int8.tflite", "manifest.json", "export.log"}
    manifest = Manifest.load(kept / "exported")
    assert [record.recipe.precision for record in manifest.artifacts] == ["float32", "int8"]


def test_exporting_again_gives_the_same_files(kept: Path, tmp_path: Path) -> None:
    done = devdiff("export", DIGITS, "--out", tmp_path / "again", *DATA, "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["conversion"]["judgement"]["verdict"] == "pass"
    assert document["manifest"] == Manifest.load(kept / "exported").to_json() | {
        "artifacts": document["manifest"]["artifacts"],
        "calibration": document["manifest"]["calibration"],
        "shapes": document["manifest"]["shapes"],
        "notes": [],
    }
    for name in ("float.tflite", "int8.tflite"):
        first = (kept / "exported" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first


def test_export_of_a_model_that_converts_beyond_tolerance_exits_1(tmp_path: Path) -> None:
    onnx_zoo.two_by_two(tmp_path / "m.onnx")
    done = devdiff("export", "m.onnx", "--out", "x", "--atol", "0", "--rtol", "0", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "would pass" in done.stdout


def test_host_and_device_agree_in_every_element(kept: Path) -> None:
    done = devdiff("diff", "runs/host", "runs/device", "--exact", "--json", cwd=kept)
    assert done.returncode == 0, done.stdout
    judged = json.loads(done.stdout)
    assert judged["step"] == "deployment"
    assert (judged["basis"]["samples"], judged["basis"]["inputs"]) == (800, "real")
    assert judged["comparison"]["outputs"][0]["differing_elements"] == 0


def test_other_kernels_differ_by_a_step_and_fail_only_when_exact(kept: Path) -> None:
    loose = devdiff("diff", "runs/builtin", "runs/device", "--json", cwd=kept)
    assert loose.returncode == 0
    output = json.loads(loose.stdout)["comparison"]["outputs"][0]
    assert output["lsb"]["max_lsb"] == 1
    assert output["differing_elements"] > 0
    exact = devdiff("diff", "runs/builtin", "runs/device", "--exact", cwd=kept)
    assert exact.returncode == 1
    assert f"differs in {output['differing_elements']} of 8000 elements" in exact.stdout
    assert exact.stdout.splitlines()[1].startswith("on 800 real labelled samples, this machine; a")


def test_source_and_device_are_compared_by_their_answers(kept: Path) -> None:
    done = devdiff("diff", "runs/source", "runs/device", "--json", cwd=kept)
    judged = json.loads(done.stdout)
    assert judged["step"] == "compression"
    accuracy = judged["comparison"]["classifications"][0]["accuracy"]
    assert accuracy["reference"]["successes"] / 800 > 0.97


def test_runs_on_different_inputs_are_not_compared(kept: Path, tmp_path: Path) -> None:
    done = devdiff("run", DIGITS, "--out", tmp_path / "other", cwd=kept)
    assert done.returncode == 0, done.stderr
    done = devdiff("diff", "runs/source", tmp_path / "other", cwd=kept)
    assert done.returncode == 2
    assert "different inputs" in done.stderr
    done = devdiff("diff", tmp_path / "other", tmp_path / "other", cwd=kept)
    assert done.stdout.splitlines()[1].startswith("on 100 synthetic samples, this machine; a fault")


def test_changed_outputs_are_refused(kept: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(kept / "runs/device", tmp_path / "copy")
    data = bytearray((copy / "outputs.pack").read_bytes())
    data[-100] ^= 1
    (copy / "outputs.pack").write_bytes(data)
    done = devdiff("diff", kept / "runs/host", copy, cwd=tmp_path)
    assert done.returncode == 2
    assert "was changed" in done.stderr
    done = devdiff("diff", kept / "runs/host", tmp_path, cwd=tmp_path)
    assert "holds no run" in done.stderr


@pytest.mark.parametrize(
    ("model", "on"), [("digits.onnx", "litert"), ("int8.tflite", "onnxruntime")]
)
def test_a_model_does_not_run_where_it_cannot(kept: Path, model: str, on: str) -> None:
    path = DIGITS if model == "digits.onnx" else kept / "exported" / model
    done = devdiff("run", path, "--host-runtime", on, "--out", "runs/never", cwd=kept)
    assert done.returncode == 2
    assert "does not run on" in done.stderr
    assert not (kept / "runs/never").exists()


def test_a_folder_with_other_things_is_left_alone(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = devdiff("run", DIGITS, "--out", tmp_path, cwd=kept)
    assert done.returncode == 2
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_run_that_failed_does_not_block_its_own_retry(tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", image=np.zeros((4, 3, 3), np.float32))
    out = tmp_path / "out"
    for _ in range(2):
        done = devdiff("run", DIGITS, "--inputs", "wrong.npz", "--out", out, cwd=tmp_path)
        assert done.returncode == 2
        assert "wrong.npz" in done.stderr
    done = devdiff("run", DIGITS, *DATA, "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(out.glob(".*"))


def test_doctor_knows_this_machine(tmp_path: Path) -> None:
    done = devdiff("doctor", "--json", cwd=tmp_path)
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0
    assert findings["native runner"]["ok"]
    assert findings["tensorflow"]["found"] == "2.19.0"
    table = devdiff("doctor", cwd=tmp_path)
    assert "runtime library" in table.stdout


def test_doctor_says_how_to_get_what_is_missing(tmp_path: Path) -> None:
    # An unusable cache directory stands for a machine that cannot build or fetch anything.
    (tmp_path / "file").touch()
    done = devdiff(
        "doctor", cwd=tmp_path, env={"DEVDIFF_CACHE_DIR": str(tmp_path / "file" / "cache")}
    )
    assert done.returncode == 3
    assert "missing  native runner" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", [(), ("export-and-test",), ("export",), ("run",), ("diff",)])
def test_help_has_examples(tmp_path: Path, verb: tuple[str, ...]) -> None:
    done = devdiff(*verb, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "examples:" in done.stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from devdiff.cli.main import parser\n"
        "parser()\n"
        "heavy = {'numpy', 'rich', 'onnx', 'tensorflow', 'PIL', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_outputs_survive_without_labels_or_names(kept: Path, tmp_path: Path) -> None:
    with np.load(DATA[1]) as arrays:
        np.save(tmp_path / "images.npy", arrays["image"][:10])
    data = ("--inputs", "images.npy", "--preprocess", "scale=1/255")
    for on in ("litert", "litert:reference"):
        out = tmp_path / on.replace(":", "-")
        done = devdiff(
            "run",
            kept / "exported/float.tflite",
            "--host-runtime",
            on,
            *data,
            "--out",
            out,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    done = devdiff("diff", tmp_path / "litert", tmp_path / "litert-reference", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
