"""What is printed of a run: all that happened, the report, or the verdict alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import onnx_zoo
from tests.support.command import devdiff

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of two inputs and two outputs."""
    made = tmp_path_factory.mktemp("verbosity")
    onnx_zoo.two_by_two(made / "m.onnx")
    return made


def run(folder: Path, out: str, *options: str) -> subprocess.CompletedProcess[str]:
    done = devdiff("run", "m.onnx", "--out", out, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_a_run_says_its_phases_and_its_report(folder: Path) -> None:
    done = run(folder, "plain")
    assert done.stdout.splitlines()[-1] == "outputs: plain"
    phases = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert phases == [
        "devdiff: reading the model",
        "devdiff: preparing inputs",
        "devdiff: running on onnxruntime",
    ]
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
def test_verbose_says_what_came_of_each_phase_and_what_it_took(folder: Path) -> None:
    done = run(folder, "verbose", "--verbose")
    assert done.stdout.splitlines()[-1] == "outputs: verbose"
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"  m\.onnx: sha256 [0-9a-f]{12}", lines[1])
    assert "  100 unlabelled samples of synthetic, seed 0" in done.stderr
    for phase in ("reading the model", "preparing inputs", "running on onnxruntime"):
        assert re.search(rf"^devdiff: {phase}: \d+\.\d s", done.stderr, re.MULTILINE)
    assert re.search(r"running on onnxruntime: \d+\.\d s, 100 of 100$", done.stderr, re.MULTILINE)
    assert re.fullmatch(r"devdiff: \d+\.\d s in all", lines[-1])


@pytest.mark.slow
def test_quiet_says_nothing_of_a_run_and_all_of_an_error(folder: Path) -> None:
    done = run(folder, "quiet", "-q")
    assert (done.stdout, done.stderr) == ("", "")
    done = devdiff("-q", "run", "nowhere.onnx", "--out", "x", cwd=folder)
    assert done.returncode == 2
    assert (done.stdout, done.stderr) == ("", "devdiff: nowhere.onnx does not exist\n")


@pytest.mark.slow
def test_json_stays_whole_when_it_is_quiet(folder: Path) -> None:
    done = run(folder, "json", "-q", "--json")
    assert json.loads(done.stdout)["rung"]["samples"] == 100
    assert done.stderr == ""


@pytest.mark.slow
def test_quiet_says_every_verdict_in_a_line(folder: Path) -> None:
    (folder / "devdiff.toml").write_text('[models.m]\nmodel = "m.onnx"\ndevices = "none"\n')
    model = ("export-and-test", "m.onnx", "--device", "none")
    assert devdiff("attest", "--new-key", "key.pem", "-q", cwd=folder).stdout == ""
    for words, verdict in (
        ((*model, "--out", "test"), "PASS  m.onnx: every step stayed"),
        ((*model, "--out", "again", "--baseline", "test/report.json"), "PASS  m.onnx: held to"),
        (
            (*model, "--out", "both", "--recipe", "int8", "--recipe", "float16"),
            "PASS  m.onnx: both",
        ),
        (("diff", "test:source", "test"), "PASS  test:source → test:int8"),
        (("diff", "test:source", "test:float", "--atol", "0", "--rtol", "0"), "FAIL  test:source"),
        (("export", "m.onnx", "--out", "exported"), "PASS  exported"),
        (("bisect", "exported/int8.tflite", "--device", "local"), "PASS  "),
        # A pass on synthetic samples is no test of a model.
        (("check",), "INCONCLUSIVE  "),
        (("attest", "test", "--key", "key.pem", "--out", "s.json"), "PASS  s.json"),
        (("verify", "--attestation", "s.json", "--public-key", "key.pub.pem"), "INCONCLUSIVE  "),
    ):
        done = devdiff(*words, "--quiet", cwd=folder)
        assert len(done.stdout.splitlines()) == 1, (words, done.stdout, done.stderr)
        assert done.stdout.startswith(verdict), (words, done.stdout)
        assert done.stderr == ""
