"""What the page says, and what it does with reports and run directories that lack something."""

from __future__ import annotations

import math
import re
import shutil
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from msgspec import structs

from devdiff.comparison import Flip, Proportion, WorstSample
from devdiff.report import words
from devdiff.report.class_words import ClassWords
from devdiff.report.html import page
from devdiff.report.html.cards import gallery
from devdiff.report.html.pictures import BUDGET_BYTES
from devdiff.report.html.run_files import RunFiles
from tests.support.bare_reports import bare_report, scan_error, typed, with_pair
from tests.support.html_runs import HOSTILE, FinishedRun, with_scan
from tests.support.pair_packs import compare_arrays
from tests.support.schemas import report_schema

if TYPE_CHECKING:
    from pathlib import Path


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def test_a_rung_that_could_not_run_is_an_error_in_words() -> None:
    html = page.render(typed(bare_report()))
    assert "! error" in text_of(html)
    assert "the runtime &lt;died&gt;" in html
    assert "Only one rung ran: there is nothing to compare." in html
    assert "devdiff export-and-test m.onnx --inputs &#39;my photos&#39;" in html


def test_a_step_that_could_not_be_compared_proves_nothing() -> None:
    pair = {
        "reference": "source",
        "candidate": "device",
        "step": "deployment",
        "gates": True,
        "judgement": {
            "verdict": "error",
            "reasons": ["rung device could not run: gone"],
            "passing": {},
            "outputs": {},
        },
        "comparison": None,
    }
    report = bare_report()
    report["rungs"].append(report["rungs"][0] | {"name": "device"})
    report["pairs"].append(pair)
    jsonschema.validate(report, report_schema())
    html = page.render(typed(report))
    assert '<details id="pair-1" open>' in html
    assert "There is no comparison: nothing is proven about this step." in html
    assert "deployment ! error not compared device could not run: the runtime" in text_of(html)


def test_a_verdict_that_does_not_count_is_not_coloured() -> None:
    counted = page.render(typed(with_pair(bare_report(), "pass")))
    beside = page.render(typed(with_pair(bare_report(), "pass", gates=False)))
    assert '<span class="badge pass">✓ pass</span></td>' in counted
    assert '<span class="badge neutral">✓ pass</span> <span class="soft">(not counted)' in beside
    assert "badge pass" not in beside[beside.index("<main") :]


def test_the_whole_cause_of_an_error_stands_in_the_ladder() -> None:
    report = bare_report()
    cause = "the library has no known interface, " * 60 + "so it ends here"
    report["rungs"][0]["error"] = cause
    html = page.render(typed(report))
    ladder = html[html.index('id="ladder"') : html.index("</ol>")]
    assert f"could not run: {cause}" in ladder


@pytest.mark.parametrize(
    ("kind", "label", "other"),
    [
        ("planted", "Likely backdoor", "Exploitable weakness"),
        ("fragile", "Exploitable weakness, perhaps a backdoor", "Likely backdoor"),
    ],
)
def test_a_planted_finding_reads_otherwise_than_a_fragile_one(
    kind: str, label: str, other: str
) -> None:
    scan = scan_error("for a reason") | {"verdict": "finding", "kind": kind}
    html = page.render(typed(bare_report(scan=scan, verdict="finding", exit_code=4)))
    text = text_of(html)
    assert f"{label}: for a reason." in text
    assert other not in text
    assert f"Kind: {kind}." in text
    assert html.index('<section id="scan"') < html.index('<section id="ladder"')


def test_the_policy_allows_its_own_style_and_script_and_nothing_else() -> None:
    html = page.render(typed(bare_report()))
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert found is not None
    policy = found[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"\bstyle=|\bon[a-z]+=|<link|<iframe|@import|url\((?!#)", html)


RATE = {"successes": 0, "trials": 0, "low": 0.0, "high": 1.0, "confidence": 0.95}
TRIGGER = {"form": "patch", "size": 0.1, "target": None, "source": None, "file": "../../etc/passwd"}
PLACEBO = {"what": "stochastic rounding", "searched": [0.1], "own": 0.5}


@pytest.mark.parametrize(
    "scan",
    [
        {"verdict": "error"},
        {"verdict": "no finding", "reason": "nothing seen"},
        {"verdict": "finding", "replay": {"rungs": [], "gap": RATE}, "placebo": PLACEBO},
        {"verdict": "finding", "evidence": {"static": {"status": "skipped"}}},
        {"verdict": "finding", "trigger": TRIGGER},
        {
            "verdict": "finding",
            "trigger": TRIGGER,
            "examples": [{"row": 1, "name": None, "label": None}],
        },
    ],
)
def test_a_scan_that_lacks_parts_is_shown_without_them(
    scan: dict[str, Any], tmp_path: Path
) -> None:
    html = page.render(typed(bare_report(scan=scan_error() | scan)), tmp_path)
    assert words.mark(scan["verdict"]) + " " + scan["verdict"] in text_of(html)


def bisected(**more: Any) -> dict[str, Any]:
    """A bisection's section; its inputs are the bare report's."""
    side = {
        "name": "int8@litert",
        "model": {"file": "int8.tflite", "sha256": "2" * 64},
        "runner": "litert",
        "identity": {},
        "about": {},
    }
    section = {
        "verdict": "pass",
        "kind": "none",
        "reason": "both agree",
        "sides": {"reference": side, "candidate": side},
        "limits": {"max_lsb": 0, "atol": 1e-5, "rtol": 1e-4},
        "inputs": bare_report()["inputs"],
        "operators": 20,
        "runs": {"all": {"reference": 3, "candidate": 3}},
        "found": [],
        "guilty": [],
        "search": [],
        "suspects": [],
        "repro": None,
        "model_explorer": "model-explorer.json",
        "cost": {"wall_s": 1.0},
    }
    return section | more


def test_the_layers_of_a_bisection_are_a_table_and_a_plot() -> None:
    rows = [
        {
            "index": place,
            "kind": "CONV_2D",
            "name": f"conv<{place}>",
            "float_operator": place,
            "float_name": "conv",
            "dtype": "int8",
            "in_place": {"sqnr_db": 30.0 - place, "saturated": 0.0, "range_used": 0.5},
            "alone": None,
        }
        for place in range(5)
    ]
    profile = {
        "output_sqnr_db": "inf",
        "layers": rows,
        "costliest": [],
        "unpaired": [],
        "kept_in_float": None,
        "table": "layers.csv",
        "plot": "layers.svg",
    }
    html = page.render(typed(bare_report(bisect=bisected(kind="profile", profile=profile))))
    assert "conv&lt;4&gt;" in html
    assert "of 5 layers; in the whole model the lowest is 26 dB at operator 4, CONV_2D." in html


def test_the_operator_of_a_bisection_stands_with_its_figures() -> None:
    tensor = {
        "tensor": 3,
        "name": "conv<1>",
        "dtype": "int8",
        "beyond": True,
        "elements": 10,
        "differing": 4,
        "max_lsb": 3.0,
        "max_abs": 0.3,
        "relative": 0.02,
        "snr_db": 20.0,
    }
    seen = {"beyond": True, "operators": 1, "tensors": [tensor], "failure": None}
    operator = {"index": 17, "kind": "CONV_2D", "name": "conv<1>"}
    suspect = {**operator, "born": True, "alone": seen, "in_place": None}
    passed_on = {**suspect, "index": 18, "born": False, "in_place": seen}
    found = bisected(
        kind="born",
        verdict="fail",
        reason=f"operator 17 {HOSTILE}",
        suspects=[suspect, passed_on],
        search=[{"behind": [operator], **seen}],
        repro="repro/op_017_CONV_2D",
    )
    html = page.render(typed(bare_report(bisect=found)))
    assert HOSTILE not in html
    assert "conv&lt;1&gt;" in html
    text = text_of(html)
    assert "born here" in text
    assert "passed on" in text
    assert "3 LSB" in text
    assert "2 %" in text
    assert "bisect/repro/op_017_CONV_2D" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.000123456, "0.000123"),
        (7, "7"),
        (True, "yes"),
    ],
)
def test_numbers_are_short_and_infinities_signs(value: Any, text: str) -> None:
    assert words.number(value) == text


def test_a_rate_stands_with_its_interval() -> None:
    assert words.proportion(Proportion.of(599, 600)) == "599/600 (99.1–100.0 %)"
    assert words.proportion(Proportion.of(0, 0)) == "–"


def test_pictures_stop_at_their_budget_and_the_page_says_so(tmp_path: Path) -> None:
    """Photographs that do not compress, as many as can be named."""
    count = 90
    (tmp_path / "inputs").mkdir()
    photos = np.random.default_rng(0).random((count, 1, 3, 240, 240), np.float32)
    np.save(tmp_path / "inputs/0.npy", photos)
    (tmp_path / "inputs/inputs.json").write_text(f'{{"sha256": "{"1" * 64}"}}')
    flips = tuple(Flip(sample, 1, 2, 0.5, 0.5, 0.5, False) for sample in range(60))
    worst = tuple(WorstSample(sample, 0.5, (0, 1), 1.0, 0.5) for sample in range(80, 83))
    values = np.random.default_rng(0).normal(size=(20, 1, 4)).astype(np.float32)
    made = compare_arrays(tmp_path, values, values)
    answers = structs.replace(made.classifications[0], flips=70, kept_flips=flips)
    comparison = structs.replace(
        made, outputs=(structs.replace(made.outputs[0], worst=worst),), classifications=(answers,)
    )
    data = with_pair(bare_report(), "fail", comparison=comparison.to_json())
    data["samples"] = {str(s): {"row": s, "name": None, "label": None} for s in range(count)}
    report = typed(data)
    shown = gallery(report, RunFiles(tmp_path, report), ClassWords(report))
    assert (shown.changed, shown.changed_shown, len(shown.cards)) == (70, 48, 51)
    pictures = [card.picture for card in shown.cards if card.picture]
    assert 10 < len(pictures) < 51
    assert sum(len(picture.uri) for picture in pictures) <= BUDGET_BYTES
    assert f"{51 - len(pictures)} pictures are left out to keep this page light" in shown.notes


@pytest.mark.slow
def test_report_json_alone_gives_a_page_without_pictures(digits_run: FinishedRun) -> None:
    html = page.render(typed(with_scan(digits_run)))
    assert "<img" not in html
    assert "made from report.json alone: no pictures" in html
    assert "▼ harmed" in html
    assert "no picture of the trigger" in html


@pytest.mark.slow
def test_what_is_not_this_reports_is_not_shown(digits_run: FinishedRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(digits_run.folder, folder)
    pack = folder / "rungs/int8.pack"
    pack.write_bytes(pack.read_bytes()[:-1] + b"\1")
    (folder / "rungs/float.pack").unlink()
    record = folder / "inputs/inputs.json"
    record.write_text(record.read_text().replace(digits_run.report["inputs"]["sha256"], "2" * 64))
    html = page.render(typed(digits_run.report), folder)
    assert "rungs/int8.pack is not the one of this report" in html
    assert "rungs/float.pack cannot be read" in html
    assert "the inputs beside the report are not its own: no pictures" in html
    assert "<img" not in html
    (card, *_) = re.findall(r'<li class="card sample [^>]*>.*?</table>', html, flags=re.DOTALL)
    assert "source" in card
    assert "device" in card
    assert 'scope="row">int8' not in card
