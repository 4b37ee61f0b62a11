"""Figures of the rungs side by side are those of the report, with their intervals and limits."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.comparison import Proportion
from devdiff.report import task as task_words
from devdiff.report import words
from devdiff.report.html import rungs
from devdiff.report.model import EstimateRecord
from tests.support import drawn_runs
from tests.support.bare_reports import bare_report, typed, with_pair
from tests.support.pair_packs import compare_arrays

if TYPE_CHECKING:
    from pathlib import Path


def compared(folder: Path, step: str, **rung: Any) -> rungs.RungTable | None:
    """A candidate that answers 19 of 20 samples as the reference does, and is right on 18."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 1, 4)).astype(np.float32)
    other = values.copy()
    other[0, 0] = -other[0, 0]
    labels = values[:, 0].argmax(axis=1)
    labels[1] = (labels[1] + 1) % 4
    comparison = compare_arrays(folder, values, other, labels=labels)
    data = with_pair(bare_report(), "fail", comparison=comparison.to_json(), step=step)
    data["inputs"] = data["inputs"] | {"origin": "photos", "synthetic": False}
    data["rungs"][1] = data["rungs"][1] | rung
    return rungs.table(typed(data))


def column(table: rungs.RungTable | None, title: str) -> rungs.Column:
    assert table is not None
    return next(column for column in table.columns if column.title == title)


def test_accuracy_and_agreement_stand_with_exact_intervals(tmp_path: Path) -> None:
    table = compared(tmp_path, "deployment")
    accuracy, same = column(table, "Accuracy"), column(table, "Same answers")
    low, high = Proportion.of(19, 20).low, Proportion.of(19, 20).high
    assert accuracy.cells["source"].text == f"95 % ({100 * low:.3g}–{100 * high:.3g} %)"
    assert accuracy.cells["device"].text.startswith("90 % (")
    assert same.cells["device"].text.startswith("95 % (")
    assert same.cells["device"].note == "compared with source"
    assert "source" not in same.cells
    assert "exact 95 % interval" in accuracy.legend


def test_only_a_step_that_has_a_limit_shows_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    changed = {"precision": "int8"}
    with_limit = column(compared(tmp_path / "a", "compression", **changed), "Same answers")
    without = column(compared(tmp_path / "b", "deployment"), "Same answers")
    assert with_limit.cells["device"].note == "compared with source, limit 95 %"
    assert 'class="limit"' in str(with_limit.cells["device"].drawing)
    assert 'class="limit"' not in str(without.cells["device"].drawing)


def test_a_drawing_shows_value_interval_and_limit_to_scale(tmp_path: Path) -> None:
    found = column(compared(tmp_path, "compression", precision="int8"), "Same answers")
    root = ElementTree.fromstring(str(found.cells["device"].drawing))
    rate = Proportion.of(19, 20)
    low, high = 0.75, 1.0  # around the whole interval, in steps of five points
    assert "from 75 % to 100 %" in found.legend

    def place(value: float) -> float:
        return 6 + (value - low) / (high - low) * 148

    dot = root.find("circle")
    assert dot is not None
    assert float(dot.get("cx", 0)) == pytest.approx(place(0.95), abs=0.06)
    ends = str(root.find("path[@class='spread']").get("d")).removeprefix("M").split("L")  # type: ignore[union-attr]
    assert float(ends[0].split()[0]) == pytest.approx(place(rate.low), abs=0.06)
    assert float(ends[1].split()[0]) == pytest.approx(place(rate.high), abs=0.06)
    limit = str(root.find("path[@class='limit']").get("d"))  # type: ignore[union-attr]
    assert float(limit.removeprefix("M").split()[0]) == pytest.approx(place(0.95), abs=0.06)


def test_a_task_is_held_to_what_the_rung_before_may_lose(tmp_path: Path) -> None:
    table = rungs.table(drawn_runs.boxes_run(tmp_path))
    cell = column(table, "mAP").cells["int8"]
    assert cell.text == "50 % (40–60 %)"
    assert cell.note == "limit 45 %"


def test_time_and_size_are_bars_of_the_same_scale(tmp_path: Path) -> None:
    time = {"wall_s": 1.0, "median_ms": 2.0, "p90_ms": 2.5}
    table = compared(tmp_path, "deployment", time=time, bytes=1_234_567)
    assert column(table, "Median time").cells["device"].text == "2 ms (90 % in 2.5 ms)"
    assert column(table, "Model file").cells["device"].text == "1.23 MB"
    assert "source" not in column(table, "Median time").cells


def test_one_rung_has_nothing_beside_it() -> None:
    assert rungs.table(typed(bare_report())) is None


@pytest.mark.parametrize(
    ("value", "share", "text"),
    [
        ((0.5, 0.25, 0.75), True, "50 % (25–75 %)"),
        ((0.5, 0.25, 0.75), False, "0.5 (0.25–0.75)"),
        ((0.99996, None, None), True, "99.996 %"),
        ((1.0, 0.9, 1.0), True, "100 % (90–100 %)"),
        ((None, None, None), True, "-"),
    ],
)
def test_shares_are_percent(value: tuple[Any, ...], share: bool, text: str) -> None:
    assert task_words.interval(EstimateRecord(*value), share=share) == text


@pytest.mark.parametrize(
    ("value", "share", "text"),
    [
        ((0.0, 0.0, 0.0), True, "no change"),
        ((0.0, -0.01, 0.01), True, "no change (-1 to +1)"),
        ((-0.012, -0.03, 0.002), True, "-1.2 points (-3 to +0.2)"),
        ((0.25, 0.1, 0.4), False, "+0.25 (+0.1 to +0.4)"),
    ],
)
def test_changes_are_points_and_nothing_is_no_change(
    value: tuple[Any, ...], share: bool, text: str
) -> None:
    assert task_words.interval(EstimateRecord(*value), True, share=share) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (4_000, "4 kB"), (45_600_000, "45.6 MB")]
)
def test_sizes_have_their_unit(count: int, text: str) -> None:
    assert words.size(count) == text
