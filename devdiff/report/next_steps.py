"""What to do next, by what a run came to and where it went wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.report import rules
from devdiff.report.headline import culprit, samples_needed, short_of
from devdiff.report.words import sentence
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.report.model import PairRecord, Report

_SENTENCE_ENDS: Final = re.compile(r"(?<=\.) (?=[A-Z])")


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do, and the options or the command that do it."""

    text: str
    command: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.command}" if self.command else self.text


def next_steps(report: Report) -> tuple[NextStep, ...]:
    """The first is the most promising. Never empty: a pass has its limits, too."""
    return tuple(_STEPS[report.verdict](report)) or (_AGAIN,)


_AGAIN: Final = NextStep("Run it again: the same command goes on where it stopped")
_BISECT: Final = NextStep(
    "Find the operator that differs, in the run directory", "devdiff bisect ."
)


def _after_pass(report: Report) -> Iterator[NextStep]:
    if report.inputs.synthetic:
        yield NextStep("Give real samples: synthetic ones test numerics only", "--inputs PATH")
    elif not report.inputs.labelled:
        yield NextStep("Give labels, to see the accuracy of every rung", "--labels FILE")
    if not any(rung.identity.phone is not None for rung in report.rungs):
        yield NextStep(
            "Test it on the phone: so far it ran on this machine only", "--device SERIAL"
        )
    if report.scan is None:
        yield NextStep("Search for triggers that only the compressed model obeys", "devdiff scan")


def _after_fail(report: Report) -> Iterator[NextStep]:
    pair = culprit(report)
    if pair is None:
        return
    if pair.step == "pruning":
        yield NextStep("Prune less, or train on after pruning", "--compress prune:RATE+int8")
    elif pair.step == "conversion":
        yield NextStep("See in the step's figures below which output is off, and on which samples")
        yield NextStep("If so much is harmless, allow it", "--atol OUTPUT:VALUE")
    elif pair.step in ("deployment", "runtime"):
        yield _BISECT
        yield NextStep("See whether the delegate computes otherwise", "--delegate none")
    else:
        yield NextStep("See which layers cost most, in the run directory", "devdiff bisect .")
        yield NextStep("Calibrate with more real samples", "--calibration PATH")
        yield NextStep("Compare gentler recipes", "--recipe int8 --recipe int16x8 --recipe float16")


def _after_undecided(report: Report) -> Iterator[NextStep]:
    data, pair = report.data_check, culprit(report)
    if data is not None and data.verdict == "inconclusive":
        advice = data.advice or "check labels, class order and preprocessing"
        yield NextStep(sentence(advice).removesuffix("."))
    elif pair is not None and pair.gates:
        yield from _more_samples(pair, report)
    elif report.scan is not None:
        yield from _advice(rules.UNDECIDED)


def _more_samples(pair: PairRecord, report: Report) -> Iterator[NextStep]:
    short = short_of(pair, report)
    needed = samples_needed(short[0].top_1, short[1]) if short is not None else None
    if short is None or needed is None:
        yield NextStep("Give more samples", "--inputs PATH")
        return
    more = needed - short[0].top_1.trials
    yield NextStep(f"Give about {needed} samples to test, {more} more than now", "--inputs PATH")
    yield NextStep("Calibrate with other samples, so that none is set aside", "--calibration PATH")


def _after_error(report: Report) -> Iterator[NextStep]:
    broken = next((rung for rung in report.rungs if rung.error is not None), None)
    running = report.options.running
    if broken is not None:
        if broken.name == "device" and running is not None and running.runtime is not None:
            yield NextStep("See whether the pinned runtime runs it: leave out --runtime")
        if broken.identity.phone is not None:
            yield NextStep("See what is attached, and what can run there", "devdiff devices")
        else:
            yield NextStep("See what is installed, and what is missing", "devdiff doctor")
        yield _AGAIN
    elif report.scan is not None and report.scan.verdict == "error":
        yield from _advice(rules.SCAN_ERROR)


def _after_finding(report: Report) -> Iterator[NextStep]:
    fragile = report.scan is not None and report.scan.kind == "fragile"
    yield from _advice(rules.FRAGILE if fragile else rules.PLANTED)


def _advice(rule: rules.Rule) -> Iterator[NextStep]:
    """A rule's advice, a sentence a step."""
    return (NextStep(text.removesuffix(".")) for text in _SENTENCE_ENDS.split(rule.advice))


_STEPS: Final = {
    Verdict.PASS: _after_pass,
    Verdict.FAIL: _after_fail,
    Verdict.INCONCLUSIVE: _after_undecided,
    Verdict.ERROR: _after_error,
    Verdict.FINDING: _after_finding,
}
