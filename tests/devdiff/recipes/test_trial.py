"""Several recipes of one model are tested alike and shown side by side."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.support.command import DATA, DIGITS, NO_EXPORT_CACHE, devdiff
from tests.support.schemas import recipes_schema

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

IMPOSSIBLE = '{"precision": "int8", "float_io": true, "keep_operators": ["LSTM"]}'


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The shipped model by three recipes, of which one asks for what the model does not have."""
    folder = tmp_path_factory.mktemp("trial")
    (folder / "impossible.json").write_text(IMPOSSIBLE)
    return folder, run(folder)


def run(folder: Path) -> Any:
    recipes = [part for name in NAMES for part in ("--recipe", name)]
    arguments: list[str | Path] = ["export-and-test", DIGITS, *DATA, *recipes, "--out", "run"]
    return devdiff(*arguments, cwd=folder, env=NO_EXPORT_CACHE)


NAMES = ("int8", "float16", "impossible.json")


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run/recipes.json").read_text())
    return found


def test_the_record_conforms_to_its_schema_and_names_its_reports(trial: tuple[Path, Any]) -> None:
    folder, _ = trial
    found = told(folder)
    jsonschema.validate(found, recipes_schema())
    for row in found["compressions"][:2]:
        report = json.loads((folder / "run" / row["report"]).read_text())
        assert report["manifest"]["artifacts"][-1]["sha256"] == row["artifact_sha256"]


def test_a_recipe_that_cannot_be_made_is_an_error_and_the_others_are_tested(
    trial: tuple[Path, Any],
) -> None:
    folder, done = trial
    verdicts = [row["verdict"] for row in told(folder)["compressions"]]
    assert verdicts == ["pass", "pass", "error"]
    assert done.returncode == 3
    assert "the float32 artifact has no operator 'LSTM'" in done.stdout
    assert done.stdout.startswith("ERROR  digits.onnx: 2 of 3 compressions passed")


def test_all_are_tested_on_the_same_samples(trial: tuple[Path, Any]) -> None:
    rows = told(trial[0])["compressions"][:2]
    assert rows[0]["inputs_sha256"] == rows[1]["inputs_sha256"]
    assert [row["samples"] for row in rows] == [600, 600]


def test_the_model_is_converted_once(trial: tuple[Path, Any]) -> None:
    phases = [line for line in trial[1].stderr.splitlines() if "converting ONNX" in line]
    assert len(phases) == 1
    reports = [trial[0] / "run" / row["report"] for row in told(trial[0])["compressions"][:2]]
    floats = {
        json.loads(path.read_text())["manifest"]["artifacts"][0]["sha256"] for path in reports
    }
    assert len(floats) == 1


def test_the_plot_names_what_was_tested(trial: tuple[Path, Any]) -> None:
    drawn = ElementTree.parse(trial[0] / "run/recipes.svg")
    words = {"".join(node.itertext()) for node in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"int8", "float16"} <= words
    assert "impossible" not in words


def test_the_same_command_goes_on_with_what_is_not_finished(trial: tuple[Path, Any]) -> None:
    folder, _ = trial
    (folder / "impossible.json").write_text(IMPOSSIBLE.replace("LSTM", "FULLY_CONNECTED"))
    done = run(folder)
    assert done.returncode == 2
    assert "other options or files" in done.stderr
    (folder / "impossible.json").write_text(IMPOSSIBLE)
    done = run(folder)
    assert done.returncode == 3
    assert done.stderr.count("has its report already") == 2


def test_export_leaves_a_folder_for_each_recipe(tmp_path: Path) -> None:
    recipes = ("--recipe", "dynamic", "--recipe", "int16x8")
    done = devdiff(
        "export", DIGITS, *DATA, *recipes, "--out", "out", cwd=tmp_path, env=NO_EXPORT_CACHE
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/dynamic/dynamic.tflite").exists()
    assert (tmp_path / "out/int16x8/int16x8.tflite").exists()
    assert done.stderr.count("converting ONNX") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--recipe", "int4"), "no such recipe; did you mean int8"),
        (("--recipe", "int8", "--recipe", "int8"), "two recipes have one name"),
        (("--compress", "int8", "--recipe", "float16"), "leave one out"),
        (("--compress", "none", "--recipe", "float16"), "leave one out"),
    ],
)
def test_recipes_that_do_not_go_together_are_said(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = devdiff("export-and-test", DIGITS, *DATA, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
