"""A report that was edited by hand is refused wherever it is read, and the field is named."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.cli.main import main
from devdiff.comparison.intervals import clopper_pearson
from devdiff.errors import ReportError
from devdiff.gate.baseline_file import Baseline
from devdiff.history import tracking
from devdiff.report import load
from devdiff.report.consistency import contradictions
from devdiff.system.errors import FormatError
from devdiff.verdict import Verdict
from tests.support.bare_reports import typed
from tests.support.packages import report, tflite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.html_runs import FinishedRun

Edit = Callable[[dict[str, Any]], Any]
LADDER = {"source": b"onnx", "float": tflite(3), "int8": tflite(1), "device": tflite(1)}


def passes(data: dict[str, Any]) -> None:
    """What whoever turns a failed report into a passed one changes first."""
    data.update(verdict="pass", exit_code=0, attribution=None)


def judged_pass(data: dict[str, Any]) -> None:
    passes(data)
    for pair in data["pairs"]:
        pair["judgement"] = data["pairs"][0]["judgement"]


def without_last_step(data: dict[str, Any]) -> None:
    passes(data)
    data["pairs"] = [pair for pair in data["pairs"] if pair["candidate"] != "device"]


def not_counted(data: dict[str, Any]) -> None:
    passes(data)
    for pair in data["pairs"]:
        pair["gates"] = pair["gates"] and pair["candidate"] != "device"


def without_last_rung(data: dict[str, Any]) -> None:
    passes(data)
    del data["rungs"][-1]


def without_outputs(data: dict[str, Any]) -> None:
    judged_pass(data)
    for pair in data["pairs"]:
        if pair["candidate"] == "device":
            pair["comparison"]["outputs"] = []


def without_comparison(data: dict[str, Any]) -> None:
    judged_pass(data)
    for pair in data["pairs"]:
        pair["comparison"] = None


def smaller_error(data: dict[str, Any]) -> None:
    judged_pass(data)
    for pair in data["pairs"]:
        pair["comparison"]["outputs"][0]["max_abs_error"] = 0.0


def louder_signal(data: dict[str, Any]) -> None:
    judged_pass(data)
    for pair in data["pairs"]:
        pair["comparison"]["outputs"][0]["snr_db"] = 60.0


def without_samples(data: dict[str, Any]) -> None:
    data["inputs"]["samples"] = 0


def without_finding(data: dict[str, Any]) -> None:
    passes(data)
    data["scan"].update(verdict="no finding", kind="planted")


def rung_without_error(data: dict[str, Any]) -> None:
    data["rungs"][-1]["error"] = None


FAILED = {
    "the verdict": (passes, "verdict: pass, and its steps, rungs and scan come to fail"),
    "the verdict alone": (lambda data: data.update(verdict="pass"), "exit_code: 1"),
    "the exit code": (lambda data: data.update(exit_code=0), "exit_code: 0, and that of fail is 1"),
    "the judgements": (judged_pass, r"judgement.verdict: pass, and its figures come to fail"),
    "the last step": (without_last_step, "deployment .int8 → device. is missing"),
    "what counts": (not_counted, r"pairs\[2\]\.gates"),
    "the last rung": (without_last_rung, "no step deployment"),
    "the outputs": (without_outputs, r"comparison\.outputs: none, and the model has y"),
    "the largest error": (smaller_error, "y: its percentiles do not rise to max_abs_error"),
    "the SNR": (louder_signal, "y: snr_db is above what peak and rms_error allow"),
    "the comparisons": (without_comparison, "there is no comparison"),
    "the attribution": (lambda data: data.update(attribution=None), "attribution: "),
    "the limits": (
        lambda data: data["options"].update(gates={"max_lsb": "many"}),
        r"options\.gates\.max_lsb: expected int, got str",
    ),
}
PASSED = {
    "the samples": (without_samples, r"rungs\[0\]\.samples: .* 10 samples, and there are 0"),
    "a rung's samples": (
        lambda data: data["rungs"][1].update(samples=0),
        r"rungs\[1\]\.samples: rung float ran 0",
    ),
    "failed samples": (
        lambda data: data["rungs"][1].update(failed=3),
        r"reference_failed: 0 samples, and 3 failed|candidate_failed: 0 samples, and 3 failed",
    ),
    "a model's hash": (
        lambda data: data["rungs"][3]["model"].update(sha256="7" * 64),
        r"pairs\[2\]\.step: from int8 to device lies the step compression",
    ),
    "the source's hash": (
        lambda data: data["model"].update(sha256="7" * 64),
        r"model\.sha256: no rung ran m\.onnx",
    ),
    "a step twice": (lambda data: data["pairs"].append(data["pairs"][0]), "is there twice"),
    "a rung twice": (lambda data: data["rungs"].append(data["rungs"][0]), "is there twice"),
    "a step of no rung": (
        lambda data: data["pairs"][0].update(candidate="nowhere"),
        "no step conversion .source → nowhere.",
    ),
    "the sort of inputs": (
        lambda data: data["inputs"].update(origin="synthetic, seed 0"),
        r"inputs\.synthetic: the inputs are called real",
    ),
    "another's figures": (
        lambda data: data["pairs"][1]["comparison"].update(reference="source"),
        r"pairs\[1\]\.comparison\.reference: it is of source, not float",
    ),
    "the time": (lambda data: data.update(finished="yesterday"), "finished: 'yesterday'"),
    "a verdict that is graver": (
        lambda data: data.update(verdict="fail", exit_code=1),
        "verdict: fail, and its steps, rungs and scan come to pass",
    ),
    "a finding of a step": (
        lambda data: data["pairs"][1]["judgement"].update(verdict="finding"),
        r"pairs\[1\]\.judgement: a finding is a scan's, not a step's",
    ),
    "a finding of an output": (
        lambda data: data["pairs"][1]["judgement"]["outputs"]["y"].update(verdict="finding"),
        r"pairs\[1\]\.judgement: a finding is a scan's, not a step's",
    ),
    "an unknown field": (lambda data: data.update(more=1), "the whole: there is no field more"),
    "an unknown limit": (
        lambda data: data["options"].update(gates={"max_lsbs": 3}),
        r"options\.gates: there is no field max_lsbs",
    ),
    "a wrong type": (
        lambda data: data["rungs"][0].update(failed="0"),
        r"rungs\[0\]\.failed: expected int, got str",
    ),
    "a true for a one": (lambda data: data.update(schema_version=True), "schema_version is True"),
}


def changed_answers(data: dict[str, Any]) -> dict[str, Any]:
    """The agreement of a step that changed answers."""
    found: Iterator[dict[str, Any]] = (
        pair["comparison"]["classifications"][0]["top_1"] for pair in data["pairs"]
    )
    return next(top for top in found if top["successes"] < top["trials"])


def narrowed(data: dict[str, Any]) -> None:
    """An interval that is right, of a confidence that nobody asked for."""
    top = changed_answers(data)
    low, high = clopper_pearson(top["successes"], top["trials"], 1e-6)
    top.update(low=low, high=high, confidence=1e-6)


def edited(path: Path, data: dict[str, Any], edit: Edit) -> Path:
    data = copy.deepcopy(data)
    edit(data)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("verdict", "edit", "words"),
    [
        *(pytest.param("fail", *case, id=f"failed: {name}") for name, case in FAILED.items()),
        *(pytest.param("pass", *case, id=f"passed: {name}") for name, case in PASSED.items()),
        pytest.param("error", passes, "come to error", id="error: the verdict"),
        pytest.param("error", rung_without_error, "ran 0 samples", id="error: the rung"),
        pytest.param("finding", passes, "come to finding", id="finding: the verdict"),
        pytest.param(
            "finding",
            without_finding,
            r"scan\.verdict: no finding, of the kind planted",
            id="finding: the scan",
        ),
    ],
)
def test_an_edited_report_is_refused_and_the_field_is_named(
    tmp_path: Path, verdict: str, edit: Edit, words: str
) -> None:
    path = report(tmp_path / "report.json", LADDER, verdict)
    assert load.load(path).verdict == verdict
    whole = json.loads(path.read_text())
    with pytest.raises(ReportError, match=words):
        load.load(edited(path, whole, edit))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a report that holds no others."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


@pytest.mark.slow
def test_no_edit_of_one_figure_makes_a_judgement_of_pass_fit(tmp_path: Path) -> None:
    """Each value of a failed report in turn, under a verdict and a judgement of pass."""
    ladder = {"source": b"onnx", "float": tflite(3)}
    good = load.load(report(tmp_path / "good.json", ladder)).to_json()["pairs"][0]["judgement"]
    data = load.load(report(tmp_path / "report.json", ladder, "fail")).to_json()
    passes(data)
    data["pairs"][0]["judgement"] = good
    values: tuple[Any, ...] = (
        0,
        1,
        -1,
        1e-9,
        1e9,
        "inf",
        "-inf",
        None,
        True,
        False,
        "pass",
        10,
        [],
    )
    tried, slipped = 0, []
    for path in list(leaves(data)):
        for value in values:
            changed = copy.deepcopy(data)
            functools.reduce(operator.getitem, path[:-1], changed)[path[-1]] = value
            with contextlib.suppress(FormatError):
                shown = typed(changed)
                tried += 1
                slipped += [] if any(contradictions(shown)) else [(path, value)]
    assert tried > 500
    assert slipped == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda text: text[:-40], "is not JSON"),
        (lambda text: text + "{}", "is not JSON"),
        (lambda text: text.replace('"failed": 0', '"failed": 0, "failed": 1', 1), "stands twice"),
        (lambda text: '{"verdict": "fail", ' + text[1:], "'verdict' stands twice"),
        (lambda text: text.replace('"options": {}', '"options": {"a": NaN}'), "NaN"),
        (
            lambda text: text.replace('"options": {}', f'"options": {"[" * 5000}{"]" * 5000}'),
            "nested|options",
        ),
        (lambda text: "\ufeff" + text, "is not JSON"),
    ],
)
def test_json_that_readers_may_understand_differently_is_refused(
    tmp_path: Path, changed: Callable[[str], str], words: str
) -> None:
    path = report(tmp_path / "report.json", LADDER)
    path.write_text(changed(path.read_text()))
    with pytest.raises(ReportError, match=words):
        load.load(path)


def test_every_reader_of_reports_refuses_an_edited_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = report(tmp_path / "report.json", LADDER, "fail")
    edited(path, json.loads(path.read_text()), passes)
    assert main(["report", str(path), "--markdown", str(tmp_path / "m.md")]) == 2
    assert "contradicts itself: verdict: pass" in capsys.readouterr().err
    assert main(["attest", "--new-key", str(tmp_path / "key.pem")]) == 0
    assert main(["attest", str(path), "--key", str(tmp_path / "key.pem")]) == 2
    assert not (tmp_path / "statement.dsse.json").exists()
    with pytest.raises(ReportError, match="contradicts itself"):
        Baseline.load(path)
    with pytest.raises(ReportError, match="contradicts itself"):
        tracking.run_record(tmp_path)


def test_what_too_few_samples_left_undecided_is_no_contradiction(tmp_path: Path) -> None:
    path = report(tmp_path / "report.json", LADDER, "inconclusive")
    assert load.load(path).verdict is Verdict.INCONCLUSIVE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda data: data["manifest"]["artifacts"][1].update(sha256="7" * 64),
            r"rungs\[\d\]\.model\.sha256: rung int8 ran another pruned-int8\.tflite",
        ),
        (
            lambda data: changed_answers(data).update(low=1.0),
            r"1\.0 to 0\.\d+ is not the interval of",
        ),
        (lambda data: changed_answers(data).update(successes=600), "is not the interval of 600"),
        (narrowed, "is not the interval of"),
        (lambda data: data["inputs"].update(synthetic=True), r"inputs\.synthetic"),
        (
            lambda data: data["samples"].update({"9999": {"row": 1, "name": None, "label": 1}}),
            "there is no sample 9999",
        ),
    ],
)
def test_a_real_report_is_whole_and_an_edit_of_it_is_found(
    digits_run: FinishedRun, tmp_path: Path, edit: Edit, words: str
) -> None:
    assert load.load(digits_run.folder / "report.json").to_json() == digits_run.report
    with pytest.raises(ReportError, match=words):
        load.load(edited(tmp_path / "report.json", digits_run.report, edit))
