"""Every format says beside the verdict what it stands on."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from rich.console import Console

from devdiff.comparison.intervals import smallest_seen
from devdiff.report import basis, junit, markdown, sarif, terminal
from devdiff.report.html import page
from devdiff.system.typed_json import fields
from tests.support.bare_reports import bare_report, scan_error, typed, with_pair
from tests.support.schemas import report_schema

if TYPE_CHECKING:
    from devdiff.report.model import BasisRecord, Report


def stands_on(made: dict[str, Any]) -> BasisRecord:
    shown = typed(made)
    return basis.make(shown.inputs, shown.pairs, shown.rungs)


def report(samples: int = 300, **inputs: Any) -> dict[str, Any]:
    """A report whose only step was compared on ``samples``."""
    made = with_pair(bare_report(), "pass")
    made["inputs"] = made["inputs"] | {"synthetic": False, "labelled": True} | inputs
    comparison = {
        "reference": "source",
        "candidate": "device",
        "samples": samples,
        "compared": samples,
        "reference_failed": 0,
        "candidate_failed": 0,
        "failures": [],
        "outputs": [],
        "classifications": [],
    }
    made["pairs"][0]["comparison"] = comparison
    made["basis"] = fields(stands_on(made))
    jsonschema.validate(made, report_schema())
    return made


def printed(shown: Report) -> str:
    out = io.StringIO()
    terminal.show(shown, Console(file=out, width=200), Path("report.json"))
    return out.getvalue()


SENTENCE = (
    "on 300 real labelled samples, this machine; a fault in 1 % of inputs would have been seen"
)


def test_the_sentence_says_samples_sort_place_and_power() -> None:
    assert basis.sentence(typed(report()).basis) == SENTENCE


@pytest.mark.parametrize("render", [printed, markdown.render, junit.render])
def test_every_format_has_it(render: Any) -> None:
    assert SENTENCE in render(typed(report()))


def test_the_page_has_it_as_terms() -> None:
    html = page.render(typed(report()))
    (basis_list,) = re.findall(r'<dl id="basis">.*?</dl>', html, flags=re.DOTALL)
    assert " ".join(re.sub(r"<[^>]*>", " ", basis_list).split()) == (
        "Samples 300 Inputs real Labels yes Ran on host: this machine Would show a fault in 1 % of "
        "inputs"
    )


def test_sarif_has_it() -> None:
    (run,) = sarif.render(typed(report() | {"scan": scan_error()}))["runs"]
    assert run["properties"]["basis"] == SENTENCE


def test_synthetic_samples_are_said_to_be() -> None:
    line = basis.sentence(typed(report(1, synthetic=True, labelled=False)).basis)
    assert line.startswith("on 1 synthetic sample, this machine; a fault in 95 % of")


def test_a_step_that_was_not_compared_leaves_nothing_to_stand_on() -> None:
    made = with_pair(bare_report(), "error")
    found = stands_on(made)
    assert (found.samples, found.smallest_fault_share) == (0, 1.0)
    assert basis.sentence(found).endswith("nothing was compared")


def test_a_phone_is_named() -> None:
    made = report()
    made["rungs"][1]["identity"] = {
        "device": {"serial": "R58M", "model": "SM-G991B", "virtual": False}
    }
    assert stands_on(made).where == "R58M (SM-G991B)"


@pytest.mark.parametrize(("samples", "share"), [(0, 1), (1, 0.95), (8, 0.312), (59, 0.0495)])
def test_the_smallest_fault_is_the_one_that_misses_all_samples_in_a_twentieth(
    samples: int, share: float
) -> None:
    found = smallest_seen(samples)
    assert found == pytest.approx(share, abs=5e-4)
    if samples:
        assert (1 - found) ** samples == pytest.approx(0.05)


def answered() -> dict[str, Any]:
    """A report of a step that lost one of two inputs, with its pairing."""
    made = report()
    response = {"output": "logits", "reference": 0.5, "candidate": 0.5, "reason": "It follows."}
    made["pairs"][0]["dependence"] = {
        "verdict": "fail",
        "samples": 16,
        "seed": 0,
        "least_share": 0.25,
        "reason": None,
        "responses": [
            response | {"input": "ids", "followed": 0.97, "verdict": "pass"},
            response | {"input": "mask", "followed": 0.0, "verdict": "fail"},
            response | {"input": "rate", "followed": None, "verdict": "not judged"},
        ],
    }
    tensor = {"source": "ids", "artifact": "args_1", "axes": [0, 2, 1]}
    pairing = {
        "by": "running",
        "reason": "of 2 pairings that fit, this one gives the source's answers on 8 samples",
        "inputs": [tensor],
        "outputs": [],
    }
    made["bindings"] = [pairing | {"file": "float.tflite"}, pairing | {"file": "int8.tflite"}]
    jsonschema.validate(made, report_schema())
    return made


@pytest.mark.slow
@pytest.mark.parametrize("render", [printed, markdown.render, junit.render, page.render])
def test_every_format_says_how_tensors_were_paired_and_inputs_answered(render: Any) -> None:
    text = render(typed(answered())).replace("&#39;", "'").replace("\\", "")
    assert "float.tflite, int8.tflite: tensors paired with the source's by running" in text
    assert "ids is args_1 with its axes as [0, 2, 1]" in text
    assert "not judged" in text or "followed in deployment" in text
    assert "mask" in text or render is junit.render


def test_a_pairing_that_left_no_choice_names_no_tensor() -> None:
    made = answered()
    made["bindings"][0] |= {"by": "name", "reason": "names agree"}
    made["bindings"][0]["inputs"] = [{"source": "ids", "artifact": "ids", "axes": [0, 1]}]
    assert "float.tflite: tensors paired with the source's by name (names agree)\n" in printed(
        typed(made)
    )
