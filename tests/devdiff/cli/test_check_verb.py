"""``devdiff check``: the matrix of a configuration, run, judged and held to a baseline."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from devdiff.cli.main import main
from devdiff.errors import UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.gate.baseline_file import Baseline
from devdiff.gate.config import Config
from tests.support.command import DIGITS, HELDOUT, NO_EXPORT_CACHE, ROOT, devdiff
from tests.support.pausing import paused
from tests.support.schemas import check_schema

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

TWO_CELLS = f"""
[defaults]
inputs = "{HELDOUT}"
preprocess = "scale=1/255"
devices = ["local", "none"]

[models.digits]
model = "{DIGITS}"
"""
BROKEN = f"""
[models.broken]
model = "{DIGITS}"
inputs = "flat.npy"
devices = "none"
"""


def check(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return devdiff("check", *arguments, cwd=folder, env=NO_EXPORT_CACHE)


def checked(directory: Path) -> dict[str, Any]:
    """The check.json of a directory, held against its schema, its reports against their hashes."""
    loaded: dict[str, Any] = json.loads((directory / "check.json").read_text())
    jsonschema.Draft202012Validator(check_schema()).validate(loaded)
    for cell in loaded["cells"]:
        if cell["report"] is not None:
            report = directory / cell["report"]
            assert sha256_file(report) == cell["sha256"]
            assert json.loads(report.read_text())["verdict"] == cell["verdict"]
    return loaded


@pytest.mark.slow
def test_a_check_runs_all_continues_after_an_error_and_holds_to_what_it_was(tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "flat.npy", np.zeros((8, 3), np.float32))
    # The broken model comes first: its error must not keep the others from running.
    (tmp_path / "devdiff.toml").write_text(BROKEN.lstrip() + TWO_CELLS)
    done = check(tmp_path, "--write-baseline", "known.json")
    assert done.returncode == 3, done.stderr
    (directory,) = (tmp_path / "devdiff-checks").iterdir()
    first = checked(directory)
    broken, local, none = first["cells"]
    assert [cell["name"] for cell in first["cells"]] == [
        "broken/int8/none",
        "digits/int8/local",
        "digits/int8/none",
    ]
    assert (broken["gate"], broken["report"]) == ("error", None)
    assert "samples are float32[3]" in broken["error"]
    assert local["gate"] == none["gate"] == "pass"
    assert local["agreement"] == {"agreed": 600, "samples": 600}
    assert local["worst_step"] == "compression (float → int8)"
    assert done.stdout.startswith("ERROR  2 of 3 passed; 1 error: broken/int8/none\n")
    assert all(cell["wall_s"] > 0 for cell in first["cells"])
    page = (directory / "check.html").read_text()
    assert f"page: {directory.relative_to(tmp_path)}/check.html" in done.stdout
    for cell in (local, none):
        assert f'href="{cell["directory"]}/report.html"' in page
    assert "broken-int8-none/report.html" not in page
    row = next(line for line in done.stdout.splitlines() if line.startswith("digits  int8"))
    assert row.split()[:5] == ["digits", "int8", "local", "pass", "600/600"]
    assert row.rstrip().endswith("digits-int8-local/report.json")
    assert "baseline: known.json (2 of 3 cells; without broken/int8/none" in done.stderr
    assert done.stderr.count("converting ONNX to TensorFlow") == 1
    assert "digits/int8/none (3 of 3): running int8" in done.stderr
    shared = [directory / f"digits-int8-{device}" for device in ("local", "none")]
    hashes = [sha256_file(folder / "artifacts/int8.tflite") for folder in shared]
    assert hashes[0] == hashes[1]

    mended = np.random.default_rng(0).random((8, 1, 28, 28), np.float32)
    np.save(tmp_path / "flat.npy", mended)
    (tmp_path / "devdiff.toml").write_text(TWO_CELLS)
    done = check(tmp_path, "--baseline", "known.json", "--out", "second", "--json")
    assert done.returncode == 0, done.stderr
    second = checked(tmp_path / "second")
    assert json.loads(done.stdout) == second
    assert second["baseline"]["sha256"] == sha256_file(tmp_path / "known.json")
    assert [cell["baseline"]["verdict"] for cell in second["cells"]] == ["pass", "pass"]
    known, same = Baseline.load(tmp_path / "known.json"), Baseline.load(tmp_path / "second")
    assert set(same.cells) == {"digits/int8/local", "digits/int8/none"}
    assert {name: facts.steps for name, facts in same.cells.items()} == {
        name: facts.steps for name, facts in known.cells.items()
    }
    report = tmp_path / "second/digits-int8-local/report.json"
    whole = report.read_text()
    report.write_text(f"{whole} ")
    with pytest.raises(UsageError, match="it was changed"):
        Baseline.load(tmp_path / "second/check.json")
    report.write_text(whole)
    done = check(tmp_path, "--baseline", "known.json", "--out", "second")
    assert done.returncode == 2
    assert "holds this run already, finished" in done.stderr


@pytest.mark.slow
def test_a_killed_check_of_the_example_continues_with_what_is_not_finished(tmp_path: Path) -> None:
    example = ("check", "--config", ROOT / "examples/digits/devdiff.toml")
    checks = tmp_path / "devdiff-checks"
    process = paused("devdiff-checks/*/digits-int8-local/report.json", *example, cwd=tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (report,) = checks.glob("*/digits-int8-local/report.json")
    before = (report.stat().st_mtime_ns, sha256_file(report))
    done = devdiff(*example, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continuing the unfinished check" in done.stderr
    assert "digits/int8/local (1 of 2): has its report already" in done.stderr
    record = json.loads((report.parents[1] / "check.json").read_text())
    assert all(cell["wall_s"] > 0 for cell in record["cells"])
    assert (report.stat().st_mtime_ns, sha256_file(report)) == before
    assert len(list(checks.iterdir())) == 1
    assert [cell["gate"] for cell in checked(report.parents[1])["cells"]] == ["pass", "pass"]


@pytest.mark.slow
def test_a_run_that_fails_as_it_did_passes_beside_its_baseline(tmp_path: Path) -> None:
    """The same wounded model twice, then one that is wounded more."""
    data = ("--inputs", HELDOUT, "--preprocess", "scale=1/255", "--device", "none")
    wounded = (DIGITS, *data, "--compress", "prune:0.5")
    done = devdiff("export-and-test", *wounded, "--out", "first", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    again = (*wounded, "--baseline", "first/report.json")
    done = devdiff("export-and-test", *again, "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "baseline first/report.json: pass" in done.stdout
    assert "known pruning (source → pruned), output logits: fails as in the" in done.stdout
    held = json.loads((tmp_path / "again/baseline.json").read_text())
    assert held["sha256"] == sha256_file(tmp_path / "first/report.json")
    assert held["verdict"] == "pass"
    assert json.loads((tmp_path / "again/report.json").read_text())["verdict"] == "fail"

    worse = (DIGITS, *data, "--compress", "prune:0.7", "--baseline", "first")
    done = devdiff("export-and-test", *worse, "--out", "worse", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "worse pruning (source → pruned), output logits: agreement: " in done.stdout

    other = (tmp_path / "first/artifacts/pruned-float.tflite", *data, "--source", DIGITS)
    done = devdiff("export-and-test", *other, "--baseline", "first", cwd=tmp_path)
    assert done.returncode == 3, done.stdout
    assert "incomparable model: the baseline is of digits.onnx" in done.stdout
    assert "incomparable pruning (source → pruned): the baseline has this step" in done.stdout


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "devdiff.toml").write_text(TWO_CELLS)
    return tmp_path


def test_list_shows_the_matrix_and_runs_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    below = here / "deep"
    below.mkdir()
    monkeypatch.chdir(below)
    assert main(["check", "--list", "--device", "virtual"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].split()[:4] == ["digits", "int8", "virtual", str(DIGITS)]
    assert not list(below.iterdir())


def test_init_of_a_model_writes_what_can_be_checked_at_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "devdiff.toml").unlink()
    (here / "ml").mkdir()
    (here / "ml" / "the reader.onnx").write_bytes(DIGITS.read_bytes())
    (here / "loader.py").write_text("def samples(): ...")
    words = ["check", "--init", "ml/the reader.onnx", "--config", "ml/devdiff.toml"]

    assert main(words) == 2
    assert "name its samples, too, with --inputs" in capsys.readouterr().err
    assert main([*words, "--inputs", "nowhere.npz"]) == 2
    assert "nowhere.npz does not exist" in capsys.readouterr().err
    assert not (here / "ml" / "devdiff.toml").exists()
    data = ("--inputs", str(HELDOUT), "--preprocess", "scale=1/255")
    assert main([*words, *data]) == 0
    assert "now run devdiff check" in capsys.readouterr().out
    (entry,) = Config.load(here / "ml" / "devdiff.toml").chosen(())
    assert entry.name == "the-reader"
    assert entry.model.path == (here / "ml" / "the reader.onnx").resolve()
    assert 'model = "the reader.onnx"' in (here / "ml" / "devdiff.toml").read_text()
    monkeypatch.chdir(here / "ml")
    assert main(["check", "--list"]) == 0
    assert "the-reader" in capsys.readouterr().out

    assert main(["check", "--inputs", str(HELDOUT)]) == 2
    assert "--inputs is for --init" in capsys.readouterr().err


@pytest.mark.slow
def test_what_init_wrote_of_a_model_runs(here: Path) -> None:
    (here / "devdiff.toml").unlink()
    data = ("--inputs", str(HELDOUT), "--preprocess", "scale=1/255")
    assert main(["check", "--init", str(DIGITS), *data]) == 0
    assert main(["check"]) == 0


def test_init_writes_a_configuration_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "devdiff.toml").unlink()
    assert main(["check", "--init"]) == 0
    assert "devdiff.toml: name your model" in capsys.readouterr().out
    written = (here / "devdiff.toml").read_text()
    assert main(["check", "--init"]) == 2
    told = capsys.readouterr().err
    assert told == "devdiff: devdiff.toml exists already; it was left as it is\n"
    assert (here / "devdiff.toml").read_text() == written
    assert main(["check"]) == 2
    missing = f"[models.model] model: {here.resolve() / 'model.onnx'} does not exist"
    assert missing in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--baseline", "no.json"], "the baseline no.json does not exist"),
        (["--write-baseline", "no/known.json"], "name a file in a folder that exists"),
        (["--junit", "."], "--junit .: name a file in a folder that exists"),
        (["--sarif", "devdiff.toml"], "--sarif devdiff.toml is a file"),
        (["other"], "has no model 'other'; it has digits"),
        (["--config", "other.toml"], "other.toml: there is no such file"),
    ],
)
def test_what_cannot_be_checked_is_one_line_before_anything_runs(
    arguments: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["devdiff.toml"]
