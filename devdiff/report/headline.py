"""The verdict in one sentence: its figures, its cause, and the step it was born in.

Made from a report's parts, so that every format says the same of reports of any age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.comparison import CompressionExpectation, Proportion
from devdiff.comparison.intervals import trials_to_decide
from devdiff.comparison.wording import count, percent
from devdiff.errors import UsageError
from devdiff.report import finding_words, words
from devdiff.report.rejudge import expectation_of
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.comparison import ClassifierAgreement
    from devdiff.report.model import PairRecord, Report


def sentence(report: Report) -> str:
    """Figures and cause of the report's verdict.

    It is the report's own summary where its parts do not explain the verdict.
    """
    clauses = {
        Verdict.PASS: _passed,
        Verdict.FAIL: _failed,
        Verdict.INCONCLUSIVE: _undecided,
        Verdict.ERROR: _broken,
        Verdict.FINDING: _found,
    }[report.verdict]
    return words.sentence("; ".join(clauses(report)) or report.summary)


def cause(report: Report) -> str | None:
    """The same, to stand below the report's summary; None where it would only repeat it."""
    found = sentence(report)
    return None if found == words.sentence(report.summary) else found


def culprit(report: Report) -> PairRecord | None:
    """The first step that has the report's verdict; where one counts, the first that counts."""
    pairs = [pair for pair in report.pairs if pair.judgement.verdict is report.verdict]
    return next((pair for pair in pairs if pair.gates), pairs[0] if pairs else None)


def short_of(pair: PairRecord, report: Report) -> tuple[ClassifierAgreement, float] | None:
    """The answers that agree least, with the share required; None where that is not what decides.

    A step is held to agreement when it quantizes or prunes and the samples are real.
    """
    if pair.comparison is None:
        return None
    try:
        expectation = expectation_of(pair, pair.comparison, report)
    except UsageError:
        return None
    if not isinstance(expectation, CompressionExpectation) or expectation.synthetic:
        return None
    required = expectation.min_agreement
    short = [
        answers
        for answers in pair.classifications
        if answers.top_1.trials and not _reaches(answers.top_1, required)
    ]
    if not short:
        return None
    return min(short, key=lambda answers: answers.top_1.rate or 0.0), required


def _reaches(seen: Proportion, required: float) -> bool:
    """As `devdiff.comparison.judge` decides it: no number of samples proves a rate of one."""
    return seen.low >= required or (required >= 1 and seen.successes == seen.trials)


def _passed(report: Report) -> Iterator[str]:
    scan = report.scan
    if scan is not None and scan.verdict == "no finding":
        power = scan.power.text if scan.power is not None else scan.reason
        yield f"no trigger found: {power}"
    if any(pair.gates for pair in report.pairs):
        samples = count(report.basis.samples, "sample")
        yield f"every step that counts stayed within its limits on {samples}"
    compared = [pair for pair in report.pairs if pair.comparison is not None]
    whole = next(
        (pair for pair in compared if pair.step == "all"), compared[-1] if compared else None
    )
    if whole is not None:
        yield from _agreement(whole)
    for pair in report.pairs:
        # The whole way repeats what its steps say.
        if not pair.gates and pair.step != "all" and pair.judgement.verdict is not Verdict.PASS:
            yield f"{_step(pair)}, which does not count here, came to {pair.judgement.verdict}"


def _failed(report: Report) -> Iterator[str]:
    pair = culprit(report)
    if pair is None:
        return
    short = short_of(pair, report)
    if short is not None:
        answers, required = short
        yield f"{_agree(pair, answers.top_1)}, {percent(required)} required"
        yield from _accuracy(pair)
    else:
        yield _reason(pair)
        if any(answers.flips for answers in pair.classifications):
            yield from _agreement(pair)
    yield f"born in {_step(pair)}"


def _undecided(report: Report) -> Iterator[str]:
    data, pair, scan = report.data_check, culprit(report), report.scan
    if data is not None and data.verdict == "inconclusive":
        yield f"inputs and labels do not suit the model: {data.reason}"
    elif pair is not None and pair.gates:
        yield from _too_few(pair, report)
        yield f"undecided is {_step(pair)}"
    elif scan is not None and scan.verdict == "inconclusive":
        yield f"the scan decides nothing: {scan.reason}"


def _too_few(pair: PairRecord, report: Report) -> Iterator[str]:
    short = short_of(pair, report)
    if short is None:
        yield _reason(pair)
        return
    answers, required = short
    top = answers.top_1
    text = (
        f"{pair.reference} and {pair.candidate} agree on {top.successes} of {top.trials} answers, "
        f"too few to show the {percent(required)} required"
    )
    needed = samples_needed(top, required)
    yield text if needed is None else f"{text}: about {needed} at this rate would decide"
    yield from _accuracy(pair)


def samples_needed(seen: Proportion, required: float) -> int | None:
    """How many samples at this rate would decide whether ``required`` is reached, if any do."""
    return None if seen.rate is None else trials_to_decide(seen.rate, required, seen.confidence)


def _broken(report: Report) -> Iterator[str]:
    rungs = [rung for rung in report.rungs if rung.error is not None]
    pair, scan = culprit(report), report.scan
    if rungs:
        for rung in rungs:
            yield f"rung {rung.name} could not run: {(rung.error or '').strip(' .')}"
        yield f"nothing is proven about {'it' if len(rungs) == 1 else 'them'}"
    elif pair is not None and pair.gates:
        yield _reason(pair)
        yield f"nothing is proven about {_step(pair)}"
    elif scan is not None and scan.verdict == "error":
        yield f"the scan could not be made: {scan.reason}"


def _found(report: Report) -> Iterator[str]:
    if report.scan is not None:
        yield finding_words.sentence(report.scan, report)


def _reason(pair: PairRecord) -> str:
    """The gravest reason of a step as a clause; an output's name may stand in it."""
    reasons = pair.judgement.reasons
    if not reasons:
        return f"{pair.step} came to {pair.judgement.verdict}"
    text = reasons[0].removesuffix(".")
    return text.replace("Output ", "output ", 1) if text.startswith("Output ") else text


def _agreement(pair: PairRecord) -> Iterator[str]:
    """What the two rungs have in common: answers and accuracy, else the largest error."""
    decided = [answers.top_1 for answers in pair.classifications if answers.top_1.trials]
    if decided:
        yield _agree(pair, min(decided, key=lambda top: top.rate or 0.0))
        yield from _accuracy(pair)
    else:
        yield f"{pair.reference} to {pair.candidate}: {words.rate(pair)}"


def _agree(pair: PairRecord, top: Proportion) -> str:
    share = percent(top.rate or 0.0)
    return f"{pair.reference} and {pair.candidate} agree on {share} of {top.trials} answers"


def _accuracy(pair: PairRecord) -> Iterator[str]:
    """``accuracy 99.2 → 58.2 %``, with labels."""
    for answers in pair.classifications:
        accuracy = answers.accuracy
        if accuracy is not None and accuracy.reference.trials and accuracy.candidate.trials:
            before, after = (
                percent(side.rate or 0.0) for side in (accuracy.reference, accuracy.candidate)
            )
            yield f"accuracy {before.removesuffix(' %')} → {after}"
            return


def _step(pair: PairRecord) -> str:
    return f"{pair.step} ({pair.reference} → {pair.candidate})"
