"""The CSV of single samples adds up to what the report says of all of them."""

from __future__ import annotations

import csv
import json
import math
import shutil
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devdiff.comparison import ConversionExpectation, compare, judge
from devdiff.comparison.tolerance import Tolerances
from devdiff.errors import RunDirectoryError, UsageError
from devdiff.exporter.artifact import Array, Quantization, sha256_file
from devdiff.report import samples
from tests.support.bare_reports import NASTY, bare_report, typed
from tests.support.html_runs import HOSTILE, FinishedRun
from tests.support.pair_packs import binding, rung

Rows = list[dict[str, str]]


def rows(report: dict[str, Any], folder: Path | None, path: Path) -> Rows:
    """What the CSV says, row by row."""
    samples.write(typed(report), folder, path)
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def numbers(found: Rows, column: str) -> list[float]:
    return [float(row[column]) for row in found if row[column]]


@dataclass(frozen=True)
class Made:
    """A run directory written by hand."""

    folder: Path
    report: dict[str, Any]


def make_run(
    folder: Path,
    before: Array,
    after: Array,
    quantization: Quantization | None = None,
    failed: dict[int, str] | None = None,
    names: list[str] | None = None,
) -> Made:
    """Two rungs of one output ``y`` [N, *shape]; the second is stored as its dtype says."""
    folder.mkdir(parents=True)
    (folder / "rungs").mkdir()
    (folder / "inputs").mkdir()
    count = len(before)
    np.save(folder / "inputs/tested.npy", np.arange(count) + 10)
    np.save(folder / "inputs/labels.npy", np.zeros(count, np.int64))
    record = {
        "origin": "photos",
        "synthetic": False,
        "calibration_origin": "none",
        "calibration_samples": 0,
        "sha256": "1" * 64,
        "notes": [],
        "preprocess": {},
        "seed": 0,
        "names": names or [],
        "root": None,
        "guessed_classes": None,
        "at_least": False,
    }
    (folder / "inputs/inputs.json").write_text(json.dumps(record))
    (folder / "run.json").write_text("{}")
    sides = []
    told = []
    for name, values, affine in (("source", before, None), ("int8", after, quantization)):
        output = binding("y", values.shape[1:], str(values.dtype), quantization=affine)
        lost = failed if name == "int8" else None
        side = rung(folder / "rungs", name, [output], [values], lost)
        sides.append(side)
        (folder / f"rungs/{name}.json").write_text(json.dumps({"outputs": [asdict(output)]}))
        told.append(
            bare_report()["rungs"][0]
            | {"name": name, "error": None, "results_sha256": sha256_file(side.pack)}
        )
    comparison = compare(*sides)
    pair = {
        "reference": "source",
        "candidate": "int8",
        "step": "conversion",
        "gates": True,
        "judgement": judge(
            comparison, ConversionExpectation(Tolerances.parse((), (), ["y"]))
        ).to_json(),
        "comparison": comparison.to_json(),
    }
    return Made(folder, bare_report(rungs=told, pairs=[pair]))


RANDOM = np.random.default_rng(0)
SCORES = RANDOM.standard_normal((30, 1, 4)).astype(np.float32)


def test_largest_errors_and_flips_add_up(tmp_path: Path) -> None:
    other = SCORES + RANDOM.standard_normal(SCORES.shape).astype(np.float32)
    made = make_run(tmp_path / "run", SCORES, other)
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    comparison = made.report["pairs"][0]["comparison"]
    assert len(found) == 30
    assert found[4]["sample"] == "4"
    assert found[4]["row"] == "14"
    assert found[4]["label"] == "0"
    assert found[4]["source ms"] == "0.001004"
    errors = numbers(found, "source -> int8 y max_abs_error")
    assert max(errors) == pytest.approx(comparison["outputs"][0]["max_abs_error"], rel=1e-8)
    expected = np.abs(SCORES - other).max(axis=(1, 2))
    np.testing.assert_allclose(errors, expected, rtol=1e-8)
    flips = numbers(found, "source -> int8 y flipped")
    assert sum(flips) == comparison["classifications"][0]["flips"] > 0
    tops = [row["source y top_1"] for row in found]
    assert tops == [str(top) for top in SCORES.reshape(30, 4).argmax(1)]
    assert {row["source -> int8 y max_lsb"] for row in found} == {""}


def test_steps_of_a_quantized_output_are_those_of_the_report(tmp_path: Path) -> None:
    affine = Quantization(0.5, 3)
    stored = affine.quantize(SCORES, np.dtype(np.int8))
    made = make_run(tmp_path / "run", SCORES, stored, affine)
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    steps = numbers(found, "source -> int8 y max_lsb")
    told = made.report["pairs"][0]["comparison"]["outputs"][0]["max_lsb"]
    assert max(steps) == pytest.approx(told, rel=1e-6)


def test_samples_that_failed_are_told_and_have_no_figures(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", SCORES, SCORES, failed={3: "killed"})
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    assert [row["int8 status"] for row in found].count("failed") == 1
    lost = found[3]
    assert (lost["source status"], lost["int8 status"]) == ("ok", "failed")
    assert lost["source y top_1"] != ""
    figures = [value for name, value in lost.items() if "->" in name or "int8 y" in name]
    assert figures == ["", "", "", ""]
    assert found[4]["source -> int8 y max_abs_error"] == "0"


def test_what_is_not_finite_is_no_small_error(tmp_path: Path) -> None:
    before, after = SCORES.copy(), SCORES.copy()
    after[0, 0, 1] = math.nan
    before[1, 0, 0] = after[1, 0, 0] = math.inf
    before[2] = after[2] = math.nan
    before[3, 0, 0], after[3, 0, 0] = 3e38, -3e38
    made = make_run(tmp_path / "run", before, after)
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    errors = [row["source -> int8 y max_abs_error"] for row in found[:5]]
    assert errors[:3] == ["inf", "0", ""]
    assert float(errors[3]) == pytest.approx(6e38)
    assert found[0]["int8 y top_1"] == ""
    assert [row["source -> int8 y flipped"] for row in found[:3]] == ["1", "0", ""]


def test_a_rung_that_could_not_run_keeps_its_columns(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", SCORES, SCORES)
    made.report["rungs"][1] |= {"error": "gone", "results_sha256": None}
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    assert {row["int8 status"] for row in found} == {"not run"}
    assert {row["source -> int8 y max_abs_error"] for row in found} == {""}
    made.report["rungs"][0] |= {"error": "gone", "results_sha256": None}
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    assert [row["sample"] for row in found] == [str(place) for place in range(30)]


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@x", "\t=1", "\uff1d1", "=cmd|' /C calc'!A0"]
)
def test_no_cell_is_a_formula(name: str) -> None:
    assert samples.cell(name) == f"'{name.strip()}"


def test_names_from_outside_are_cells_of_one_line(tmp_path: Path) -> None:
    names = [f"{place}{HOSTILE}" for place in range(39)] + [NASTY]
    made = make_run(tmp_path / "run", SCORES, SCORES, names=names)
    found = rows(made.report, made.folder, tmp_path / "x.csv")
    assert found[0]["name"] == f"10{HOSTILE}"
    assert found[29]["name"].startswith("'=x|`*_]]>&<b>[a]")
    assert len((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()) == 31


def test_report_json_alone_has_no_samples(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the run directory"):
        rows(bare_report(), None, tmp_path / "x.csv")


@pytest.mark.parametrize("spoiled", ["pack", "layout", "inputs", "count", "names", "rung"])
def test_what_is_not_the_reports_is_refused_and_nothing_is_written(
    spoiled: str, tmp_path: Path
) -> None:
    made = make_run(tmp_path / "run", SCORES, SCORES)
    report = made.report
    if spoiled == "pack":
        with (made.folder / "rungs/int8.pack").open("ab") as stream:
            stream.write(b"x")
    elif spoiled == "layout":
        (made.folder / "rungs/int8.json").write_text("{}")
    elif spoiled == "inputs":
        report["inputs"]["sha256"] = "2" * 64
    elif spoiled == "count":
        np.save(made.folder / "inputs/tested.npy", np.arange(29))
        np.save(made.folder / "inputs/labels.npy", np.zeros(29, np.int64))
    elif spoiled == "names":
        record = made.folder / "inputs/inputs.json"
        record.write_text(record.read_text().replace('"names": []', '"names": ["a"]'))
    else:
        report["rungs"][1]["name"] = "../../elsewhere"
    with pytest.raises(RunDirectoryError):
        rows(report, made.folder, tmp_path / "x.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    peaks = []
    for count in (4_000, 16_000):
        scores = np.zeros((count, 1, 64), np.float32)
        made = make_run(tmp_path / str(count), scores, scores)
        tracemalloc.start()
        samples.write(typed(made.report), made.folder, tmp_path / "x.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Blocks and columns are of one size; the tested rows and their labels are 16 bytes a sample.
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.slow
def test_a_real_run_adds_up(digits_run: FinishedRun, tmp_path: Path) -> None:
    found = rows(digits_run.report, digits_run.folder, tmp_path / "x.csv")
    assert len(found) == digits_run.report["inputs"]["samples"]
    for pair in digits_run.report["pairs"]:
        (output,) = pair["comparison"]["outputs"]
        head = f"{pair['reference']} -> {pair['candidate']} logits"
        worst = max(numbers(found, f"{head} max_abs_error"))
        assert worst == pytest.approx(output["max_abs_error"], rel=1e-8)
        if output["lsb"] is not None:
            assert max(numbers(found, f"{head} max_lsb")) == output["max_lsb"]
        (scored,) = pair["comparison"]["classifications"]
        assert sum(numbers(found, f"{head} flipped")) == scored["flips"]
        for side in ("reference", "candidate"):
            right = sum(row[f"{pair[side]} logits top_1"] == row["label"] for row in found)
            assert right == scored["accuracy"][side]["successes"]


@pytest.mark.slow
def test_a_real_run_with_hostile_names_stays_a_table(
    hostile_run: FinishedRun, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(hostile_run.folder, folder)
    found = rows(hostile_run.report, folder, tmp_path / "x.csv")
    assert found[0]["name"].endswith(f"{HOSTILE}.png")
    assert len(found) == hostile_run.report["inputs"]["samples"]
