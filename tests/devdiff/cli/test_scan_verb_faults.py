"""``devdiff scan`` on finished files: what does not belong together, what dies, and the device."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devdiff.cli.main import main
from devdiff.inputs.input_set import InputRequest
from devdiff.ladder.export_run import ExportRequest, export_model
from devdiff.options import ModelSpec
from tests.support import planted_net
from tests.support.pausing import paused

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net with a backdoor and another net, exported, and ``images.npz``."""
    folder = tmp_path_factory.mktemp("nets")
    np.savez(folder / "images.npz", image=planted_net.images(120))
    for name in ("planted", "other"):
        model = planted_net.save(folder / f"{name}.onnx", upside_down=name == "other")
        request = ExportRequest(ModelSpec(model), data=InputRequest(inputs=folder / "images.npz"))
        export_model(request, folder / name)
    return folder


def _command(place: Path, run: Path, full: str = "planted") -> list[str]:
    return [
        *("scan", str(place / "planted" / "int8.tflite")),
        *("--float", str(place / full / "float.tflite")),
        *("--inputs", str(place / "images.npz"), "--out", str(run)),
        # Else a busy machine would search less than an idle one.
        *("--budget", "36000", "--placebos", "1"),
    ]


def _scan(run: Path) -> dict[str, Any]:
    scan: dict[str, Any] = json.loads((run / "report.json").read_text())["scan"]
    return scan


def test_a_full_model_that_is_another_model_is_refused_with_the_evidence(
    place: Path, tmp_path: Path
) -> None:
    code = main([*_command(place, tmp_path / "run", "other"), "--device", "none"])
    scan = _scan(tmp_path / "run")
    assert code == 3
    assert scan["verdict"] == "error"
    assert "step" in scan["reason"] or "weights" in scan["reason"]


def test_samples_that_are_not_finite_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.load(place / "images.npz")["image"].copy()
    command = _command(place, tmp_path / "run")
    command[command.index("--inputs") + 1] = str(tmp_path / "broken.npz")
    images[3, 0, 5, 5] = np.nan
    np.savez(tmp_path / "broken.npz", image=images)
    assert main([*command, "--device", "none"]) == 2
    assert "sample 3 of input 'image' holds NaN" in capsys.readouterr().err

    images[3, 0, 5, 5] = np.inf
    np.savez(tmp_path / "broken.npz", image=images)
    assert main([*command, "--device", "none"]) == 3
    assert "not finite" in _scan(tmp_path / "run")["reason"]


@pytest.mark.parametrize("options", [(), ("--compress", "none")])
def test_a_model_with_nothing_to_hold_it_against_is_a_usage_error(
    options: tuple[str, ...], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = place / "planted" / "int8.tflite"
    if options:
        model = place / "planted.onnx"
    inputs = str(place / "images.npz")
    code = main(["scan", str(model), "--inputs", inputs, *options, "--out", str(tmp_path / "r")])
    assert code == 2
    assert "beside its full one" in capsys.readouterr().err


def test_the_device_is_replayed_too_and_the_trigger_is_kept_as_measured(
    place: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main([*_command(place, run), "--device", "local"]) == 4
    scan = _scan(run)
    rungs = {rung["rung"]: rung["triggered"] for rung in scan["replay"]["rungs"]}
    assert set(rungs) == {"float", "int8", "device"}
    assert rungs["device"]["low"] > rungs["float"]["high"]
    with np.load(run / "scan" / "trigger.npz") as trigger:
        kept = [trigger[name] for name in ("mask", "pattern", "shift")]
    with np.load(run / "scan" / "examples.npz") as examples:
        mask, pattern, shift = kept
        changed = examples["clean"] * (1 - mask) + mask * pattern + shift
        expected = np.clip(changed, examples["low"], examples["high"])
        np.testing.assert_allclose(examples["triggered"], expected, atol=1e-6)


def _searches(parent: int) -> list[int]:
    """Processes below ``parent`` that search."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            words = (path.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and b"spawn_main" in words:
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("what", ["a search is killed", "the user interrupts"])
def test_a_scan_that_is_broken_off_says_so_and_leaves_no_process(
    what: str, place: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "devdiff", *_command(place, run), "--device", "none"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that starts the tests in the background lets all of them ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 120
    while not (children := _searches(process.pid)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if what == "a search is killed":
        subprocess.run(["kill", "-9", str(children[0])], check=True)
    else:
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said
    assert _searches(process.pid) == []
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    if what == "a search is killed":
        assert process.returncode == 3
        assert "killed" in _scan(run)["reason"]
    else:
        assert process.returncode == 130


def test_a_scan_goes_on_with_the_searches_that_were_done(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = paused(
        "run/scan/search-*.npz", *_command(place, run), "--device", "none", cwd=tmp_path
    )
    children = _searches(process.pid)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 300
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kept = {path: path.stat().st_mtime_ns for path in (run / "scan").glob("search-*.npz")}

    assert main([*_command(place, run), "--device", "none"]) == 4

    assert _scan(run)["verdict"] == "finding"
    assert (
        kept.items()
        <= {path: path.stat().st_mtime_ns for path in (run / "scan").glob("search-*.npz")}.items()
    )
