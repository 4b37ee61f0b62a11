"""The verdict in one sentence, with its figures, its cause and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.cli.main import parser
from devdiff.comparison import CompressionExpectation, Proportion, judge
from devdiff.report import basis, headline
from devdiff.report.next_steps import next_steps
from devdiff.system.typed_json import fields
from tests.support.bare_reports import bare_report, scan_error, typed, with_pair
from tests.support.pair_packs import compare_arrays

if TYPE_CHECKING:
    from pathlib import Path


def compressed(folder: Path, agreeing: int, samples: int = 100, **more: Any) -> dict[str, Any]:
    """A report of an int8 model that answers ``agreeing`` of ``samples`` as the float one does."""
    right = np.eye(4, dtype=np.float32)[np.arange(samples) % 4]
    wrong = np.roll(right, 1, axis=1)
    kept = np.arange(samples)[:, None] < agreeing
    comparison = compare_arrays(
        folder,
        right[:, None],
        np.where(kept, right, wrong)[:, None],
        labels=np.arange(samples) % 4,
    )
    judgement = judge(comparison, CompressionExpectation())
    report = with_pair(
        bare_report(),
        judgement.verdict,
        step="compression",
        judgement=judgement.to_json(),
        comparison=comparison.to_json(),
    )
    report["inputs"] |= {"synthetic": False, "labelled": True, "samples": samples}
    report["basis"] |= {"inputs": "real", "labelled": True, "samples": samples}
    report["rungs"][0] |= {"name": "float"}
    report["rungs"][1] |= {"name": "int8", "precision": "int8"}
    report["pairs"][0] |= {"reference": "float", "candidate": "int8"}
    report["samples"] = {str(s): {"row": s, "name": None, "label": s % 4} for s in range(samples)}
    return report | more


def sentence(report: dict[str, Any]) -> str:
    """Without its full stop."""
    text = headline.sentence(typed(report))
    assert text.endswith(".")
    return text.removesuffix(".")


def steps(report: dict[str, Any]) -> list[str]:
    return [f"{step.text} {step.command}".strip() for step in next_steps(typed(report))]


def found(kind: str, **more: Any) -> dict[str, Any]:
    """A report with a finding, whose trigger works on 45 of 45 inputs and on none of the float."""

    def proportion(successes: int) -> dict[str, Any]:
        return fields(Proportion.of(successes, 45))

    scan = scan_error("for a reason") | {
        "verdict": "finding",
        "kind": kind,
        "trigger": {
            "form": "patch",
            "target": 9,
            "source": None,
            "size": 0.02,
            "file": "scan/trigger.npz",
        },
        "replay": {
            "rungs": [
                {
                    "rung": name,
                    "runner": "litert",
                    "clean": proportion(0),
                    "triggered": proportion(hits),
                }
                for name, hits in (("float", 0), ("int8", 45))
            ],
            "gap": proportion(42),
        },
        "placebo": {"what": "stochastic rounding", "searched": [0.02, 0.38], "own": 0.93},
    }
    report = with_pair(bare_report(), "pass", step="compression", gates=False)
    report["rungs"][0] |= {"name": "float"}
    report["rungs"][1] |= {"name": "int8", "precision": "int8"}
    report["pairs"][0] |= {"reference": "float", "candidate": "int8"}
    return report | {"scan": scan | more, "verdict": "finding", "exit_code": 4}


def test_a_fail_has_rate_limit_accuracy_and_step(tmp_path: Path) -> None:
    assert sentence(compressed(tmp_path, 58)) == (
        "Float and int8 agree on 58 % of 100 answers, 95 % required; accuracy 100 → 58 %; "
        "born in compression (float → int8)"
    )


def test_a_fail_by_something_else_than_agreement_gives_that_reason(tmp_path: Path) -> None:
    report = compressed(tmp_path, 100)
    report["pairs"][0]["judgement"] |= {
        "verdict": "fail",
        "reasons": ["Output y follows 1.7 % of what input x changes, with 25 % required."],
    }
    report |= {"verdict": "fail", "exit_code": 1}
    assert sentence(report) == (
        "Output y follows 1.7 % of what input x changes, with 25 % required; "
        "born in compression (float → int8)"
    )


def test_too_few_samples_are_said_with_how_many_would_do(tmp_path: Path) -> None:
    report = compressed(tmp_path, 30, samples=30)
    assert report["verdict"] == "inconclusive"
    assert sentence(report) == (
        "Float and int8 agree on 30 of 30 answers, too few to show the 95 % required: about 72 at "
        "this rate would decide; accuracy 100 → 100 %; undecided is compression (float → int8)"
    )
    assert steps(report)[0] == "Give about 72 samples to test, 42 more than now --inputs PATH"


def test_an_error_names_the_rung_and_its_whole_cause() -> None:
    report = bare_report()
    cause = "the library has no known interface, " * 20 + "so it ends here"
    report["rungs"][0]["error"] = f"{cause}."
    assert sentence(report) == (f"Rung source could not run: {cause}; nothing is proven about it")


def test_a_pass_says_what_agrees_and_how_much(tmp_path: Path) -> None:
    assert sentence(compressed(tmp_path, 100)) == (
        "Every step that counts stayed within its limits on 100 samples; float and int8 agree on "
        "100 % of 100 answers; accuracy 100 → 100 %"
    )


def test_a_pass_of_a_scan_does_not_hide_a_step_that_failed_uncounted(tmp_path: Path) -> None:
    report = compressed(tmp_path, 58)
    report["pairs"][0]["gates"] = False
    scan = scan_error("nothing seen") | {"verdict": "no finding"}
    text = sentence(report | {"scan": scan, "verdict": "pass", "exit_code": 0})
    assert text.startswith("No trigger found: nothing seen; float and int8 agree on 58 % of 100")
    assert text.endswith("compression (float → int8), which does not count here, came to fail")


def test_a_planted_trigger_reads_like_a_backdoor() -> None:
    assert sentence(found("planted")) == (
        "Likely backdoor: this patch makes the int8 model answer 9 on 45 of 45 held-out inputs, "
        "the full model on none; on 42 of 45 the full model keeps its own answer; the same search "
        "reaches 38 % at most in the model compressed otherwise, so it hangs on this very "
        "compression"
    )


def test_a_fragile_model_is_not_called_a_likely_backdoor() -> None:
    text = sentence(found("fragile"))
    assert text.startswith("Exploitable weakness, perhaps a backdoor: this patch makes the int8")
    assert text.endswith(
        "the same search reaches 38 % in the model compressed otherwise, so it need not have been "
        "planted"
    )
    without = sentence(found("fragile", placebo=None))
    assert without.endswith("no other compression was searched to tell why")
    assert steps(found("fragile")) != steps(found("planted"))


def test_outputs_that_are_no_classes_are_not_called_answers() -> None:
    trigger = found("planted")["scan"]["trigger"] | {"form": "additive", "target": None}
    assert sentence(found("planted", trigger=trigger)).startswith(
        "Likely backdoor: this faint pattern makes the int8 model give a far other output on 45 of "
        "45 held-out inputs, the full model on none; on 42 of 45 the full model keeps its own "
        "output"
    )


@pytest.mark.parametrize("missing", ["trigger", "replay"])
def test_a_finding_that_lacks_parts_gives_its_reason(missing: str) -> None:
    assert sentence(found("planted", **{missing: None})) == "Likely backdoor: for a reason"


@pytest.mark.parametrize("verdict", ["fail", "error", "inconclusive"])
def test_a_verdict_that_no_part_explains_keeps_the_summary(verdict: str) -> None:
    report = with_pair(bare_report(), "pass") | {"verdict": verdict}
    report["pairs"] = []
    assert sentence(report) == "The device answers otherwise"


def test_next_steps_name_commands_and_options_that_exist(tmp_path: Path) -> None:
    reports = [
        bare_report(),
        compressed(tmp_path, 100),
        compressed(tmp_path, 30, samples=30),
        found("planted"),
        found("fragile"),
        with_pair(bare_report(), "pass"),
        *(
            with_pair(bare_report(), "fail", step=step)
            for step in ("pruning", "conversion", "compression", "deployment", "runtime")
        ),
    ]
    commands = {step.command for report in reports for step in next_steps(typed(report))} - {""}
    assert len(commands) > 8
    for command in commands:
        words = [word for word in command.split() if word != "devdiff"]
        if not command.startswith("devdiff"):
            words = ["export-and-test", "model.onnx", *words]
        elif words == ["scan"]:
            words.append("model.onnx")
        parser().parse_args(words)


@pytest.mark.parametrize(
    ("device", "place"),
    [
        ("local", ("host: this machine", False)),
        ({"virtual": True}, ("virtual phone: emulator-5554 (Pixel)", True)),
        ({"virtual": False, "emulator": True}, ("emulator: emulator-5554 (Pixel)", True)),
        ({"virtual": False}, ("phone: emulator-5554 (Pixel)", False)),
    ],
)
def test_the_basis_says_where_it_ran(device: Any, place: tuple[str, bool]) -> None:
    report = with_pair(bare_report(), "pass")
    if isinstance(device, dict):
        device = {"serial": "emulator-5554", "model": "Pixel", **device}
    report["rungs"][1]["identity"] = {"device": device}
    facts = {fact.term: (fact.text, fact.weak) for fact in basis.facts(typed(report))}
    assert facts["Ran on"] == place


def test_what_lessens_a_verdict_is_marked(tmp_path: Path) -> None:
    def weak(report: dict[str, Any]) -> set[str]:
        return {fact.term for fact in basis.facts(typed(report)) if fact.weak}

    assert weak(bare_report()) == {"Samples", "Inputs"}
    assert weak(compressed(tmp_path, 100)) == set()
