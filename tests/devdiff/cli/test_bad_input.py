"""Whatever a user can get wrong is one line with the next step, and an exit code; never a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto

from devdiff.ladder.run_directory import open_run
from tests.support import onnx_zoo
from tests.support.command import DATA, DIGITS, devdiff

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def refused(
    *arguments: str | Path, cwd: Path, code: int = 2, env: dict[str, str] | None = None
) -> str:
    """The one line of a refusal, after checking that nothing was left behind."""
    done = devdiff(*arguments, cwd=cwd, env=env)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("devdiff: ")
    assert not list(cwd.glob("devdiff-runs/*/report.json"))
    return last.removeprefix("devdiff: ")


def test_models_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "random.onnx").write_bytes(os.urandom(3000))
    (tmp_path / "random.tflite").write_bytes(os.urandom(3000))
    (tmp_path / "notes.txt").write_text("hello")
    assert "is empty" in refused("export-and-test", "empty.onnx", cwd=tmp_path)
    assert "random.onnx" in refused("export-and-test", "random.onnx", cwd=tmp_path)
    assert "not a .tflite" in refused("export-and-test", "random.tflite", cwd=tmp_path)
    assert "'.txt'" in refused("export-and-test", "notes.txt", cwd=tmp_path)
    assert "does not exist" in refused("export-and-test", "nowhere.onnx", cwd=tmp_path)
    assert "no SavedModel" in refused("export-and-test", ".", cwd=tmp_path)
    assert not list(tmp_path.glob("devdiff-runs/*"))


def test_options_that_are_for_source_models(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"anything")
    signature = refused("export-and-test", "m.tflite", "--signature", "serve", cwd=tmp_path)
    assert signature == "--signature is for SavedModels; a .tflite runs its main graph"
    shape = refused("export-and-test", "m.tflite", "--shape", "x:1,3", cwd=tmp_path)
    assert shape == "--shape is for models with dynamic axes; a .tflite has fixed ones"


def test_a_truncated_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(DIGITS.read_bytes()[:100_000])
    assert "m.onnx" in refused("export-and-test", "m.onnx", cwd=tmp_path)


def test_missing_external_data(tmp_path: Path) -> None:
    onnx_zoo.external(tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    assert "weights.bin" in refused("export-and-test", "m.onnx", cwd=tmp_path)


def test_dynamic_axes_and_wrong_types(tmp_path: Path) -> None:
    onnx_zoo.dense(tmp_path / "dynamic.onnx", ["n", "width"])
    assert "--shape x:" in refused("export-and-test", "dynamic.onnx", cwd=tmp_path)
    shape = ("--shape", "x:one,4")
    assert "write INPUT:" in refused("export-and-test", "dynamic.onnx", *shape, cwd=tmp_path)
    onnx_zoo.one_node(tmp_path / "half.onnx", "Identity", TensorProto.FLOAT16)
    assert "float16" in refused("export-and-test", "half.onnx", cwd=tmp_path)


def test_an_operator_nobody_converts_is_named(tmp_path: Path) -> None:
    onnx_zoo.one_node(tmp_path / "m.onnx", "Frobnicate", domain="acme")
    assert "acme.Frobnicate" in refused("export-and-test", "m.onnx", cwd=tmp_path)


def image(count: int, **extra: Any) -> dict[str, Any]:
    return {"image": np.random.default_rng(0).random((count, 1, 28, 28), np.float32), **extra}


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (image(0), (), "zero samples"),
        (image(9, labels=np.zeros(12, int)), (), "12 labels for 9 samples"),
        (image(9, labels=np.full(9, 11)), ("--device", "none"), "labels run from 11 to 11"),
        ({"picture": np.zeros((9, 2)), "sound": np.zeros(9)}, (), "the model's inputs are image"),
        ({"image": np.zeros((9, 3, 28, 28), np.float32)}, (), "float32[3, 28, 28]"),
        ({"image": np.array([{}] * 9)}, (), "Python objects"),
        (image(9), ("--classifier", "answers"), "there are logits"),
        (image(9), ("--atol", "answers:1"), "no output 'answers'"),
    ],
)
def test_data_and_options_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, Any], options: tuple[str, ...], message: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    seen = refused("export-and-test", DIGITS, "--inputs", "x.npz", *options, cwd=tmp_path)
    assert message in seen


def test_nan_in_the_calibration_set(tmp_path: Path) -> None:
    arrays = image(9)
    np.savez(tmp_path / "x.npz", **arrays)
    arrays["image"][4, 0, 3, 3] = np.nan
    np.savez(tmp_path / "y.npz", **arrays)
    data = ("--inputs", "x.npz", "--calibration", "y.npz")
    seen = refused("export-and-test", DIGITS, *data, cwd=tmp_path)
    assert "y.npz: sample 4 of input 'image' holds NaN" in seen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "phone"), "there is no device 'phone'"),
        (("--device", "virtual:z80"), "there are virtual cortex-a53"),
        (("--device", "local", "--delegate", "gpu"), "--delegate gpu is for phones"),
        (("--host-runtime", "pytorch"), "give litert, tflite-runtime, tensorflow"),
        (("--preprocess", "scale=big"), "--preprocess"),
        (("--source", "m.onnx"), "--source"),
    ],
)
def test_options_that_mean_nothing(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    (tmp_path / "m.onnx").touch()
    assert message in refused("export-and-test", DIGITS, *options, cwd=tmp_path)


def test_a_device_that_does_not_answer_is_told_before_the_work(tmp_path: Path) -> None:
    seen = refused("export-and-test", DIGITS, "--device", "127.0.0.1:9", cwd=tmp_path, code=3)
    assert "127.0.0.1:9" in seen
    assert not list(tmp_path.glob("devdiff-runs/*"))


def test_json_tells_of_errors_too(tmp_path: Path) -> None:
    done = devdiff("export-and-test", "nowhere.onnx", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {
        "verdict": "error",
        "error": "nowhere.onnx does not exist",
        "exit_code": 2,
    }


def test_a_run_directory_nobody_may_write(tmp_path: Path) -> None:
    # Not even root may write into /proc.
    seen = refused("export-and-test", DIGITS, "--out", "/proc/devdiff", cwd=tmp_path)
    assert "/proc/devdiff" in seen


def test_two_runs_in_one_directory(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "m", {"other": True}):
        seen = refused("export-and-test", DIGITS, "--out", tmp_path / "run", cwd=tmp_path)
    assert "in use by another devdiff" in seen


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("kilobytes", [400, 2600, 3250, 3400, 3600])
def test_a_full_disk_is_named_and_the_run_continues_when_there_is_room(
    tmp_path: Path, kilobytes: int
) -> None:
    """The sizes stop the inputs, the calibration set, the export, and the first and last rung."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={kilobytes}k"
    mount = ["mount", "-t", "tmpfs", "-o", size, "devdiff-test", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        seen = refused(
            "export-and-test", DIGITS, *DATA, "--out", disk / "run", cwd=tmp_path, code=3
        )
        assert "No space left on device" in seen
        assert not (disk / "run/report.json").exists()
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        done = devdiff("export-and-test", DIGITS, *DATA, "--out", disk / "run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m devdiff --help | head -c 10"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
