"""What counts as worse than a baseline, what is known, and what cannot be compared."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.errors import ReportError, UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.gate import baseline_file, record, summary
from devdiff.gate.baseline import BaselineResult, Change, hold
from devdiff.gate.baseline_file import Baseline
from devdiff.gate.record import CellRecord
from devdiff.gate.summary import AgreementSummary, Facts, OutputFacts, ScanFacts, StepFacts
from devdiff.options import Rules
from devdiff.system.errors import DevdiffError
from devdiff.system.typed_json import decode, encode
from devdiff.verdict import Verdict
from tests.support.bare_reports import bare_report, typed, with_pair
from tests.support.packages import report, tflite
from tests.support.pair_packs import compare_arrays

if TYPE_CHECKING:
    from pathlib import Path

PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR
UNDECIDED, FINDING = Verdict.INCONCLUSIVE, Verdict.FINDING
RULES = Rules()


def output(
    measure: str = summary.BY_AGREEMENT, verdict: Verdict = PASS, **other: Any
) -> OutputFacts:
    usual: dict[str, Any] = {
        "name": "logits",
        "reasons": ("Output logits is as it is.",),
        "agreement": None,
        "snr_db": 30.0,
        "max_lsb": None,
        "max_error": 0.1,
        "allowed": None,
        "differing": 5,
        "broken": 0,
        "flips": 0,
    }
    return OutputFacts(measure=measure, verdict=verdict, **(usual | other))


def run(*outputs: OutputFacts, step: str = "compression", **other: Any) -> Facts:
    """A run of one step."""
    verdict = max((one.verdict for one in outputs), key=lambda one: one.severity)
    one = StepFacts(step, "float", "int8", verdict, ("It is so.",), outputs)
    usual: dict[str, Any] = {
        "model": "reader.onnx",
        "model_sha256": "a" * 64,
        "inputs_sha256": "b" * 64,
        "samples": 600,
        "verdict": verdict,
        "summary": "the run's own words",
        "steps": (one,),
        "whole": None,
        "scan": None,
        "broken_rungs": {},
        "runtimes": {"int8": "litert 2.1.0"},
        "median_ms": {},
        "limits": {"max_lsb": "1"},
    }
    return Facts(**(usual | other))


def agreeing(
    flipped: int, samples: int = 600, first: int = 0, known: bool = True
) -> AgreementSummary:
    names = tuple(range(first, first + flipped)) if known else None
    return AgreementSummary(samples - flipped, samples, names)


def kinds(held: BaselineResult) -> set[str]:
    return {change.kind for change in held.changes}


def only(held: BaselineResult, kind: str) -> Change:
    (change,) = [change for change in held.changes if change.kind == kind]
    return change


def test_a_run_that_is_what_it_was_passes_and_says_nothing() -> None:
    same = run(output(agreement=agreeing(3)))
    assert hold(same, same, RULES) == BaselineResult(PASS, ())


def test_data_that_does_not_suit_the_model_counts_beside_what_was_known() -> None:
    known = run(output(verdict=UNDECIDED, agreement=agreeing(3)))
    now = run(
        output(verdict=UNDECIDED, agreement=agreeing(3)), unsuited="right on 60 of 600 samples"
    )
    held = hold(now, known, RULES)
    assert held.verdict is UNDECIDED
    assert only(held, "worse").where == "data"
    assert "right on 60 of 600 samples" in only(held, "worse").text


@pytest.mark.parametrize(
    ("before", "now", "verdict", "kind"),
    [
        (PASS, FAIL, FAIL, "worse"),
        (PASS, UNDECIDED, UNDECIDED, "worse"),
        (UNDECIDED, FAIL, FAIL, "worse"),
        (FAIL, FAIL, PASS, "known"),
        (UNDECIDED, UNDECIDED, PASS, "known"),
        (FAIL, UNDECIDED, PASS, "known"),
        (FAIL, PASS, PASS, "better"),
        (UNDECIDED, PASS, PASS, "better"),
        (ERROR, FAIL, FAIL, "worse"),
    ],
)
def test_a_graver_verdict_is_worse_and_the_same_one_is_known(
    before: Verdict, now: Verdict, verdict: Verdict, kind: str
) -> None:
    alike = agreeing(3)
    held = hold(
        run(output(verdict=now, agreement=alike)),
        run(output(verdict=before, agreement=alike)),
        RULES,
    )
    assert (held.verdict, kinds(held)) == (verdict, {kind})
    assert held.changes[0].where == "compression (float → int8), output logits"


def test_a_known_failure_that_got_worse_fails() -> None:
    before = run(output(verdict=FAIL, agreement=agreeing(60)))
    now = run(output(verdict=FAIL, agreement=agreeing(90)))
    held = hold(now, before, RULES)
    assert held.verdict is FAIL
    told = only(held, "worse").text
    assert told.startswith("agreement: 540 of 600 (90 %) → 510 of 600 (85 %) (p = ")


def test_a_failure_of_another_output_is_not_the_known_one() -> None:
    other = output(name="boxes", measure=summary.BY_SNR, verdict=FAIL)
    before = run(output(verdict=FAIL, agreement=agreeing(60)), replace(other, verdict=PASS))
    now = run(output(verdict=FAIL, agreement=agreeing(60)), other)
    held = hold(now, before, RULES)
    assert held.verdict is FAIL
    assert only(held, "worse").where.endswith("output boxes")
    assert only(held, "known").where.endswith("output logits")


def test_a_lost_input_is_worse_though_every_number_is_as_it_was(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((20, 1, 3, 3)).astype(np.float32)
    pair = with_pair(bare_report(), "pass")
    pair["pairs"][0] |= {
        "step": "compression",
        "comparison": compare_arrays(tmp_path, values, values).to_json(),
    }
    answer = {"input": "mask", "output": "y", "reference": 1.0, "candidate": 0.0, "followed": 0.0}
    pair["rungs"][1]["precision"] = "int8"
    lost = copy.deepcopy(pair)
    lost["pairs"][0]["dependence"] = {
        "verdict": "fail",
        "samples": 16,
        "seed": 0,
        "least_share": 0.25,
        "reason": None,
        "responses": [answer | {"verdict": "fail", "reason": "Output y lost its mask."}],
    }
    before, now = (Facts.of(typed(data)) for data in (pair, lost))
    change = only(hold(now, before, RULES), "worse")
    assert "Output y lost its mask." in change.text


def test_paired_samples_show_a_loss_that_the_two_rates_do_not() -> None:
    """Six samples lost and none won is 1 in 64 by chance; 3 against 9 of 600 is nothing much."""
    before, now = agreeing(3), agreeing(9)
    assert set(before.flipped or ()) < set(now.flipped or ())
    held = hold(run(output(agreement=now)), run(output(agreement=before)), RULES)
    assert held.verdict is FAIL
    assert "(p = 0.016)" in only(held, "worse").text
    unpaired = run(output(agreement=replace(now, flipped=None)))
    assert hold(unpaired, run(output(agreement=before)), RULES).verdict is PASS


def test_as_many_other_samples_are_no_loss() -> None:
    before, now = agreeing(9), agreeing(9, first=100)
    assert hold(run(output(agreement=now)), run(output(agreement=before)), RULES).verdict is PASS


def test_samples_are_not_paired_when_the_inputs_are_others() -> None:
    before = run(output(agreement=agreeing(3)), inputs_sha256="c" * 64)
    now = run(output(agreement=agreeing(9)))
    assert hold(now, before, Rules(other_inputs=True)).verdict is PASS
    held = hold(now, before, RULES)
    assert held.verdict is ERROR
    assert "the inputs are others: 600 samples with sha256 cccccccccccc" in held.changes[0].text
    assert "--allow-other-inputs" in held.changes[0].text


def test_two_rates_are_told_apart_by_fishers_test() -> None:
    before = run(output(agreement=agreeing(10, known=False)))
    held = hold(run(output(agreement=agreeing(40, known=False))), before, RULES)
    assert held.verdict is FAIL
    held = hold(before, run(output(agreement=agreeing(40, known=False))), RULES)
    assert (held.verdict, kinds(held)) == (PASS, {"better"})


@pytest.mark.parametrize(
    ("measure", "field", "before", "now", "worse"),
    [
        (summary.BY_SNR, "snr_db", 30.0, 29.1, False),
        (summary.BY_SNR, "snr_db", 30.0, 28.9, True),
        (summary.BY_SNR, "snr_db", math.inf, 60.0, True),
        (summary.BY_SNR, "snr_db", math.inf, math.inf, False),
        (summary.BY_STEPS, "max_lsb", 1.0, 1.0, False),
        (summary.BY_STEPS, "max_lsb", 0.0, 1.0, True),
        (summary.BY_STEPS, "flips", 0, 1, True),
        (summary.BY_EQUALITY, "differing", 5, 6, True),
        (summary.BY_STEPS, "differing", 5, 6, False),
        (summary.BY_ERROR, "max_error", 0.05, 0.11, True),
        (summary.BY_ERROR, "max_error", 0.06, 0.11, False),
        (summary.BY_ERROR, "max_error", 0.001, 0.009, False),
        (summary.BY_AGREEMENT, "snr_db", 30.0, 10.0, False),
        (summary.BY_SNR, "broken", 0, 1, True),
    ],
)
def test_each_measure_has_its_own_worse(
    measure: str, field: str, before: float, now: float, worse: bool
) -> None:
    usual: dict[str, Any] = {"allowed": 0.1, "max_lsb": 1.0}
    held = hold(
        run(output(measure, **(usual | {field: now}))),
        run(output(measure, **(usual | {field: before}))),
        RULES,
    )
    assert held.verdict is (FAIL if worse else PASS)
    assert kinds(held) == ({"worse"} if worse else set())
    if worse:
        back = hold(
            run(output(measure, **(usual | {field: before}))),
            run(output(measure, **(usual | {field: now}))),
            RULES,
        )
        assert (back.verdict, kinds(back)) == (PASS, {"better"})


def test_how_much_snr_may_be_lost_is_a_rule() -> None:
    before, now = (run(output(summary.BY_SNR, snr_db=level)) for level in (30.0, 27.0))
    assert hold(now, before, RULES).verdict is FAIL
    assert hold(now, before, Rules(max_snr_loss_db=4)).verdict is PASS


def test_an_error_is_never_excused() -> None:
    broken = run(output(verdict=ERROR), broken_rungs={"int8": "out of memory"}, verdict=ERROR)
    held = hold(broken, broken, RULES)
    assert held.verdict is ERROR
    assert only(held, "error").text == "could not run: out of memory"
    lost = run(output(verdict=ERROR))
    held = hold(lost, lost, RULES)
    assert (held.verdict, only(held, "error").text) == (ERROR, "It is so.")
    scanned = run(output(), scan=ScanFacts("error", "no time", None, None, None, None))
    assert hold(scanned, scanned, RULES).verdict is ERROR


def test_a_step_that_is_gone_cannot_be_compared() -> None:
    before = run(output(agreement=agreeing(0)))
    device = StepFacts("deployment", "int8", "device", PASS, (), (output(summary.BY_STEPS),))
    held = hold(before, replace(before, steps=(*before.steps, device)), RULES)
    assert held.verdict is ERROR
    assert only(held, "incomparable").where == "deployment (int8 → device)"


def test_a_new_step_is_judged_by_itself() -> None:
    before = run(output(agreement=agreeing(0)))
    good = StepFacts("deployment", "int8", "device", PASS, (), (output(summary.BY_STEPS),))
    now = replace(before, steps=(*before.steps, good))
    assert hold(now, before, RULES) == BaselineResult(PASS, ())
    bad = replace(good, verdict=FAIL, outputs=(output(summary.BY_STEPS, FAIL),))
    held = hold(replace(now, steps=(*before.steps, bad)), before, RULES)
    assert held.verdict is FAIL
    assert "the baseline says nothing of it" in only(held, "worse").text


def test_an_output_that_is_gone_cannot_be_compared() -> None:
    both = run(output(agreement=agreeing(0)), output(summary.BY_SNR, name="boxes"))
    held = hold(run(output(agreement=agreeing(0))), both, RULES)
    assert held.verdict is ERROR
    assert only(held, "incomparable").where.endswith("output boxes")


def test_a_model_of_another_name_is_refused_unless_allowed() -> None:
    now, before = run(output()), run(output(), model="old.onnx")
    held = hold(now, before, RULES)
    assert held.verdict is ERROR
    assert "the baseline is of old.onnx, this run of reader.onnx" in held.changes[0].text
    held = hold(now, before, Rules(other_model=True))
    assert (held.verdict, kinds(held)) == (PASS, {"note"})


def test_what_may_explain_a_change_is_told() -> None:
    before = run(output())
    now = replace(
        before,
        model_sha256="d" * 64,
        runtimes={"int8": "litert 2.2.0"},
        limits={"max_lsb": "2"},
    )
    held = hold(now, before, RULES)
    assert held.verdict is PASS
    assert [change.text for change in held.changes] == [
        "its file has changed: sha256 aaaaaaaaaaaa in the baseline, dddddddddddd now",
        "litert 2.1.0 ran it in the baseline, litert 2.2.0 now",
        "max_lsb was 1, is 2",
    ]


def test_time_is_told_and_counts_only_when_asked() -> None:
    before, now = (run(output(), median_ms={"device": time, "int8": 1.0}) for time in (2.0, 3.2))
    held = hold(now, before, RULES)
    assert held.verdict is PASS
    assert only(held, "note").text == "2 → 3.2 ms a sample (median), 1.6 times"
    assert hold(now, before, Rules(max_slowdown=1.7)).verdict is PASS
    held = hold(now, before, Rules(max_slowdown=1.5))
    assert held.verdict is FAIL
    assert "with 1.5 allowed" in only(held, "worse").text


def found(target: int | None = 7, kind: str = "planted") -> ScanFacts:
    return ScanFacts("finding", "it obeys a patch", "logits", target, None, kind)


def test_a_finding_is_new_unless_the_baseline_has_it() -> None:
    clean = run(output(), scan=ScanFacts("no finding", "clean", "logits", None, None, None))
    now = run(output(), scan=found(), verdict=FINDING)
    for before in (clean, run(output()), replace(now, scan=found(3))):
        held = hold(now, before, RULES)
        assert (held.verdict, kinds(held)) == (FINDING, {"worse"})
    held = hold(now, now, RULES)
    assert (held.verdict, kinds(held)) == (PASS, {"known"})
    held = hold(clean, now, RULES)
    assert (held.verdict, kinds(held)) == (PASS, {"better"})
    held = hold(run(output()), now, RULES)
    assert held.verdict is ERROR
    assert only(held, "incomparable").text == "the baseline's run was scanned, this one was not"


def test_a_scan_without_power_is_worse_than_one_that_had_it_or_a_finding() -> None:
    clean = run(output(), scan=ScanFacts("no finding", "clean", "logits", None, None, None))
    weak = run(
        output(),
        scan=ScanFacts("inconclusive", "8 samples", "logits", None, None, None),
        verdict=UNDECIDED,
    )
    for before in (clean, run(output()), run(output(), scan=found(), verdict=FINDING)):
        held = hold(weak, before, RULES)
        assert (held.verdict, kinds(held)) == (UNDECIDED, {"worse"})
    held = hold(weak, weak, RULES)
    assert (held.verdict, kinds(held)) == (PASS, {"known"})
    assert hold(clean, weak, RULES).verdict is PASS


def test_what_no_rule_explains_counts_in_full() -> None:
    strange = replace(run(output()), verdict=FAIL)
    held = hold(strange, strange, RULES)
    assert (held.verdict, only(held, "worse").text) == (FAIL, "the run's own words")


def test_what_cannot_be_compared_hides_nothing_of_the_run_itself() -> None:
    now = run(output(verdict=FAIL), scan=found(), verdict=FINDING)
    held = hold(now, replace(now, inputs_sha256="c" * 64), RULES)
    assert held.verdict is FINDING
    assert kinds(held) == {"incomparable", "worse"}


def test_a_known_failure_does_not_explain_an_error_or_a_finding() -> None:
    failing = run(output(verdict=FAIL, agreement=agreeing(60)))
    for verdict in (ERROR, FINDING):
        held = hold(replace(failing, verdict=verdict), failing, RULES)
        assert (held.verdict, kinds(held)) == (verdict, {"known", "worse"})


def test_another_measure_is_told_and_a_failure_by_it_is_not_the_known_one() -> None:
    before = run(output(summary.BY_AGREEMENT, FAIL, agreement=agreeing(60)))
    held = hold(run(output(summary.BY_SNR, FAIL)), before, RULES)
    assert held.verdict is FAIL
    assert "is judged by snr and was by agreement" in only(held, "worse").text
    held = hold(run(output(summary.BY_SNR)), before, RULES)
    assert (held.verdict, kinds(held)) == (PASS, {"note"})


def test_a_baseline_file_keeps_everything(tmp_path: Path) -> None:
    known = run(
        output(summary.BY_SNR, snr_db=math.inf, agreement=agreeing(3)),
        scan=found(),
        median_ms={"device": 2.5},
        broken_rungs={},
    )
    baseline_file.write(tmp_path / "known.json", {"reader/int8/local": known})
    loaded = Baseline.load(tmp_path / "known.json")
    assert loaded.of("reader/int8/local", alone=False) == known
    assert loaded.of("other/int8/local", alone=False) is None
    assert loaded.of_run() == known
    assert decode(Facts, json.loads(json.dumps(encode(known)))) == known


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "is not a JSON object"),
        ("{", "is not JSON"),
        ("{}", "is no baseline"),
        ('{"kind": "devdiff baseline", "schema_version": 9, "cells": {}}', "write it again"),
        ('{"kind": "devdiff baseline", "schema_version": 1, "cells": {"a": {}}}', "is damaged"),
        ('{"kind": "devdiff check", "schema_version": 9}', "is not a check of this devdiff"),
        ('{"pairs": [], "schema_version": 9}', "its schema_version is 9, not 2"),
    ],
)
def test_what_is_no_baseline_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text(text)
    with pytest.raises(DevdiffError, match=told):
        Baseline.load(tmp_path / "known.json")


def test_a_baseline_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--write-baseline"):
        Baseline.load(tmp_path / "known.json")
    with pytest.raises(UsageError, match=r"holds no check\.json and no report\.json"):
        Baseline.load(tmp_path)


def test_one_of_several_runs_is_not_guessed(tmp_path: Path) -> None:
    known = run(output())
    baseline_file.write(tmp_path / "known.json", {"a/int8/local": known, "b/int8/local": known})
    with pytest.raises(UsageError, match="has 2 runs"):
        Baseline.load(tmp_path / "known.json").of_run()
    single = Baseline(tmp_path, "", {}, known)
    assert single.of("a/int8/local", alone=True) == known
    with pytest.raises(UsageError, match="this check has several"):
        single.of("a/int8/local", alone=False)


def test_a_baseline_holds_no_number_that_nothing_is_worse_than(tmp_path: Path) -> None:
    """Nothing is more than a NaN, and nothing is less."""
    path = tmp_path / "known.json"
    baseline_file.write(path, {"a/int8/local": run(output())})
    path.write_text(path.read_text().replace('"max_error": 0.1', '"max_error": "nan"'))
    with pytest.raises(UsageError, match=r"is damaged: .*max_error: expected float, got str"):
        Baseline.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": "pass"}, "verdict: pass, and its cells come to fail"),
        ({"exit_code": 0}, "exit_code: 0"),
        ({"gate": "pass", "verdict": "pass", "exit_code": 0}, "a/int8/local is pass, and its repo"),
    ],
)
def test_a_check_that_contradicts_itself_is_no_baseline(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    file = report(folder / "report.json", {"source": b"onnx", "float": tflite(1)}, "fail")
    cell = {
        **dict.fromkeys(("agreement", "worst_step", "error", "baseline")),
        "name": "a/int8/local",
        "model": "a",
        "compression": "int8",
        "device": "local",
        "directory": "a",
        "report": "a/report.json",
        "sha256": sha256_file(file),
        "verdict": "fail",
        "gate": "fail",
        "summary": "as it is",
    }
    built = [decode(CellRecord, cell)]
    whole = record.build(built, notes=[], config=None, baseline=None, command=[]).to_json()
    (tmp_path / "check.json").write_text(json.dumps(whole))
    assert Baseline.load(tmp_path).of("a/int8/local", alone=True)
    if "gate" in changes:
        whole["cells"][0] |= {"gate": changes["gate"], "verdict": changes["verdict"]}
        changes = {key: value for key, value in changes.items() if key != "gate"}
    (tmp_path / "check.json").write_text(json.dumps(whole | changes))
    with pytest.raises(ReportError, match=words):
        Baseline.load(tmp_path)
