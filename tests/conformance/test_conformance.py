"""Real models of other people, from their packages through every rung to a verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.models import model_runs
from tests.models.model_catalogue import CATALOGUE, by_name

pytestmark = [pytest.mark.conformance, pytest.mark.network, pytest.mark.slow]

# Converts without a word, and wrongly: a Slice after a convolution in magika, an AveragePool with
# uneven pads in Inception v1.
CHANGED_BY_CONVERSION = ("magika", "light_inception_v1")
# The padding of its first MaxPool becomes the lowest float, which ruins the scale before it.
NOT_PREPARED_BY_THE_RUNTIME = ("light_resnet50",)
NOT_CONVERTED = ("silero-vad",)


def _model(name: str) -> Any:
    return pytest.param(name, marks=[pytest.mark.large] if by_name(name).large else [])


CONVERTED = [
    _model(model.name)
    for model in CATALOGUE
    if model.name not in (*CHANGED_BY_CONVERSION, *NOT_PREPARED_BY_THE_RUNTIME, *NOT_CONVERTED)
]


@pytest.fixture(autouse=True)
def _enough_memory(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("large") is not None:
        found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
        available = int(found[1]) / 2**20 if found else 0.0
        if available < 10:
            pytest.skip(f"needs 10 GiB of memory, {available:.1f} GiB are available")


@pytest.mark.parametrize("name", CONVERTED)
def test_conversion_keeps_the_model_and_every_rung_runs_it(name: str) -> None:
    run = model_runs.kept_run(name)

    assert run.verdict("conversion") == "pass", run.report["summary"]
    for output in run.outputs("conversion"):
        assert output["max_abs_error"] <= 1e-4 * output["reference"]["peak"]
    assert [rung["name"] for rung in run.report["rungs"]] == ["source", "float", "int8", "device"]
    assert not any(rung["error"] or rung["failed"] for rung in run.report["rungs"])
    assert run.exit_code == run.report["exit_code"]


@pytest.mark.parametrize(
    "name", [name for name in CONVERTED if name.values[0] != "rapidocr-recogniser"]
)
def test_device_answers_as_the_host_does_to_the_last_bit(name: str) -> None:
    run = model_runs.kept_run(name)

    assert run.verdict("deployment") == "pass"
    assert [output["differing_elements"] for output in run.outputs("deployment")] == [0]


@pytest.mark.parametrize("name", CHANGED_BY_CONVERSION)
def test_model_changed_by_the_converter_fails_at_that_step(name: str) -> None:
    run = model_runs.kept_run(name)

    assert (run.exit_code, run.report["verdict"]) == (1, "fail")
    assert run.report["attribution"]["step"] == "conversion"


@pytest.mark.parametrize("name", NOT_PREPARED_BY_THE_RUNTIME)
def test_artifact_that_no_runtime_prepares_proves_nothing(name: str) -> None:
    run = model_runs.kept_run(name)

    assert (run.exit_code, run.report["verdict"]) == (3, "error")
    assert run.verdict("conversion") == "pass"
    errors = {rung["name"]: rung["error"] for rung in run.report["rungs"]}
    assert errors["source"] is None
    assert errors["float"] is None
    assert "failed to prepare" in errors["int8"]
    assert errors["device"] is not None


@pytest.mark.parametrize("name", NOT_CONVERTED)
def test_model_that_cannot_be_converted_is_refused_by_its_operator(name: str) -> None:
    run = model_runs.kept_run(name)

    assert (run.exit_code, run.report["verdict"]) == (2, "error")
    assert "at operator Conv (output 'If_0_then_branch" in run.report["error"]
    assert "Traceback" not in run.errors


def test_int8_keeps_the_answers_of_the_text_classifier() -> None:
    comparison = model_runs.kept_run("rapidocr-classifier").pair("compression")["comparison"]

    top_1 = comparison["classifications"][0]["top_1"]
    assert top_1["successes"] / top_1["trials"] >= 0.9


def test_int8_that_ruins_the_text_recogniser_fails_at_compression() -> None:
    run = model_runs.kept_run("rapidocr-recogniser")

    assert run.exit_code == 1
    assert run.report["attribution"]["step"] == "compression"


def test_int8_that_silences_the_detectors_class_scores_is_noticed() -> None:
    run = model_runs.kept_run("nudenet-320n")
    (output,) = run.outputs("compression")

    assert run.report["attribution"]["step"] == "compression"
    groups = {group["channels"]: group["snr_db"] for group in output["variation"]["groups"]}
    assert groups["4-21"] < 5 < groups["0-3"]
    # Boxes reach 320 and scores 1; in one tensor they share one scale, above every score.
    assert output["candidate"]["scale"] > 1
    assert output["flat_positions"] >= 18 * 2100
