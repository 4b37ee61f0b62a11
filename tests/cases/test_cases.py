"""What the pages of docs/cases say came out comes out, on the real models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.models import case_files, case_runs
from tests.models.case_runs import kept_page
from tests.support.schemas import recipes_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.conformance, pytest.mark.network, pytest.mark.slow]

# How far figures may be from the page's on another processor; the share is of all elements, and of
# the whole range of a metric. A largest error may be five times as large.
_DECIBELS = 2.0
_SHARE = 0.1


def by_run(name: str) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The rows of the page's table as they come out now, by run and step."""
    rows = [row for one in kept_page(name) for row in case_runs.rows(one)]
    return {(row[0], row[1]): row[2:] for row in rows}


def numbers(cell: str) -> list[float]:
    return [float(text) for text in re.findall(r"\d+(?:\.\d+)?(?:e[-+]\d+)?", cell)]


@pytest.mark.parametrize("name", case_files.CASES)
def test_the_table_of_the_page_is_what_comes_out(name: str) -> None:
    now = by_run(name)
    page = {(row[0], row[1]): row[2:] for row in case_runs.quoted(name)}

    assert page.keys() == now.keys()
    for row, (error, snr, differ, metric, verdict) in page.items():
        now_error, now_snr, now_differ, now_metric, now_verdict = now[row]
        assert now_verdict == verdict, row
        assert [bool(numbers(cell)) for cell in (snr, metric)] == [
            bool(numbers(cell)) for cell in (now_snr, now_metric)
        ], row
        assert numbers(now_error) == pytest.approx(numbers(error), rel=4, abs=1e-6), row
        assert numbers(now_snr) == pytest.approx(numbers(snr), abs=_DECIBELS), row
        assert numbers(now_metric)[-2:] == pytest.approx(numbers(metric)[-2:], abs=_SHARE), row
        if counts := numbers(differ):
            now_counts = numbers(now_differ)
            assert now_counts[1] == counts[1], row
            assert abs(now_counts[0] - counts[0]) <= _SHARE * counts[1], row


@pytest.mark.parametrize("name", case_files.CASES)
def test_the_exit_code_of_every_command_is_the_one_on_the_page(name: str) -> None:
    text = case_runs.page(name).read_text("utf-8")
    codes = [int(code) for code in re.findall(r"exit code (\d)", text)]

    assert [one.exit_code for one in kept_page(name)] == codes
    assert not any("Traceback" in one.errors for one in kept_page(name))


def test_messages_on_the_page_are_what_is_said() -> None:
    quoted = re.findall(r"```text\n(.*?)```", case_runs.page("audio").read_text("utf-8"), re.DOTALL)
    said = [message for one in kept_page("audio") if (message := case_runs.said(one))]

    assert len(quoted) == len(said) == 2
    for quote, message in zip(quoted, said, strict=True):
        for part in quote.split("…"):
            assert " ".join(part.split()) in " ".join(message.split())


def test_labels_tell_a_picture_that_lies_on_its_side() -> None:
    rows = by_run("face-camera")

    assert numbers(rows["upright", "deployment"][3])[-1] < 0.7
    assert numbers(rows["turned", "deployment"][3])[-1] > 0.95


def test_the_words_are_lost_by_one_runtime_and_not_by_int8() -> None:
    rows = by_run("text-recognition")

    ruined, kept = numbers(rows["runtimes", "runtime litert:builtin"][3])
    assert ruined > 0.15
    assert kept < 0.1
    assert numbers(rows["recipes/int8", "deployment"][3])[-1] < 0.1
    assert numbers(rows["recipes/dynamic", "deployment"][3])[-1] < 0.1


def test_the_report_names_the_kernel_that_is_known_to_be_wrong() -> None:
    trial = kept_page("text-recognition")[0].reports
    told = {
        recipe: [
            reason
            for pair in trial[f"recipes/{recipe}"]["pairs"]
            if pair["gates"]
            for reason in pair["judgement"]["reasons"]
        ]
        for recipe in ("int8", "dynamic")
    }
    assert any("Rung int8 is not to be trusted: xnnpack of litert" in one for one in told["int8"])
    assert not any("not to be trusted" in one for one in told["dynamic"])


def test_recipes_are_shown_with_the_metric_of_the_task() -> None:
    (one,) = kept_page("detection")
    trial = one.trials["recipes"]

    jsonschema.validate(trial, recipes_schema())
    assert "mAP" in one.shown.splitlines()[2]
    for row in trial["compressions"]:
        rungs = one.reports[f"recipes/{row['compression']}"]["task"]["rungs"]
        assert row["metric"] == {"name": "mAP", **rungs[-1]["values"]["mAP"]}
        assert f"{row['metric']['value']:.4g} (" in one.shown


def test_int8_finds_the_faces_and_misplaces_their_boxes() -> None:
    rows = by_run("detection")
    trial = kept_page("detection")[0].reports
    rungs = {rung["rung"]: rung["values"] for rung in trial["recipes/int8"]["task"]["rungs"]}

    assert rungs["int8"]["AP50"]["value"] > 0.9
    assert rungs["int8"]["mAP"]["value"] < rungs["float"]["mAP"]["value"] - 0.1
    assert trial["recipes/int8"]["attribution"]["step"] == "compression"
    before, after = numbers(rows["recipes/dynamic", "compression"][3])
    assert after == pytest.approx(before, abs=0.05)
