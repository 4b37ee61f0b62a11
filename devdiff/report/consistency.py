"""A report held against itself: what it concludes must follow from what it holds.

A report is a file that anybody can edit. This finds edits that do not fit the rest, and faults of
the program that wrote it; who changes everything so that it fits is found by a signature alone
(`devdiff.attestation`).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.errors import UsageError
from devdiff.ladder import ladder
from devdiff.report.model import Attribution
from devdiff.report.possible_figures import impossible_figures
from devdiff.report.rejudge import rejudge
from devdiff.report.verdicts import follows, recomputed, scan_verdict
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.comparison import PairComparison
    from devdiff.report.model import PairRecord, Report

_SYNTHETIC: Final = "synthetic, seed "


def contradictions(report: Report) -> Iterator[str]:
    """Each thing that does not fit, beginning with the field: ``pairs[1].judgement: …``.

    ``report`` conforms to its schema. What is found first may explain what is found later.
    """
    yield from _rungs(report)
    yield from _steps(report)
    yield from _inputs(report)
    yield from _model(report)
    for place, pair in enumerate(report.pairs):
        yield from _pair(f"pairs[{place}]", pair, report)
    yield from _task(report)
    yield from _scan(report)
    yield from _verdict(report)


@dataclass(frozen=True, slots=True)
class _Place:
    """A rung as the ladder orders it."""

    name: str
    sha256: str
    precision: str
    pruning: str | None


def _rungs(report: Report) -> Iterator[str]:
    samples, names = report.inputs.samples, set()
    for place, rung in enumerate(report.rungs):
        field = f"rungs[{place}]"
        if rung.name in names:
            yield f"{field}.name: the rung {rung.name} is there twice"
        names.add(rung.name)
        if rung.failed > rung.samples:
            yield f"{field}.failed: {rung.failed} of {rung.samples} samples failed"
        if rung.error is not None:
            continue
        if rung.samples != samples:
            yield (
                f"{field}.samples: rung {rung.name} ran {rung.samples} samples, and there "
                f"are {samples}"
            )
        if rung.results_sha256 is None:
            yield f"{field}.results_sha256: rung {rung.name} ran and left no results"
    if samples == 0 and any(rung.error is None for rung in report.rungs):
        yield "inputs.samples: rungs ran, and there are no samples"


def _steps(report: Report) -> Iterator[str]:
    """Every step that the rungs make is there once, and counts unless only a scan decides."""
    rungs = [
        _Place(rung.name, rung.model.sha256, rung.precision, rung.pruning) for rung in report.rungs
    ]
    if not any(ladder.on_the_way(rung.name) for rung in rungs):
        yield "rungs: there is none between a source and a device"
        return
    expected = {(p.reference, p.candidate): p for p in ladder.pairs(rungs)}
    full = ladder.FULL if any(rung.name == ladder.FULL for rung in rungs) else "float"
    by_scan = {
        key: pair.step == "conversion" and pair.candidate == full for key, pair in expected.items()
    }
    found: dict[tuple[str, str], bool] = {}
    for place, pair in enumerate(report.pairs):
        key = pair.reference, pair.candidate
        step = f"{pair.step} ({key[0]} → {key[1]})"
        if key in found:
            yield f"pairs[{place}]: the step {step} is there twice"
        elif key not in expected:
            yield f"pairs[{place}]: no step {step} lies between the rungs"
        elif pair.step != expected[key].step:
            yield (
                f"pairs[{place}].step: from {key[0]} to {key[1]} lies the step "
                f"{expected[key].step}, by their models, not {pair.step}"
            )
        found[key] = pair.gates
    for key, wanted in expected.items():
        if key not in found:
            yield f"pairs: the step {wanted.step} ({key[0]} → {key[1]}) is missing"
    counted = {key: pair.gates for key, pair in expected.items()}
    allowed = [counted, by_scan] if report.scan is not None else [counted]
    if found.keys() == expected.keys() and found not in allowed:
        wrong = next(key for key in found if found[key] != counted[key])
        place = [(pair.reference, pair.candidate) for pair in report.pairs].index(wrong)
        yield f"pairs[{place}].gates: whether the step counts is not as its ladder has it"


def _inputs(report: Report) -> Iterator[str]:
    inputs = report.inputs
    if inputs.synthetic != inputs.origin.startswith(_SYNTHETIC):
        claim = "synthetic" if inputs.synthetic else "real"
        yield f"inputs.synthetic: the inputs are called {claim}, and come from {inputs.origin}"
    if inputs.synthetic and inputs.labelled:
        yield "inputs.labelled: synthetic samples have no true class"
    unknown = sorted(_named_samples(report) - set(report.samples))
    if unknown:
        yield f"samples: sample {unknown[0]} is named, and nothing is said of it"
    for index in report.samples:
        if not index.isdecimal() or int(index) >= inputs.samples:
            yield f"samples: there is no sample {index} among {inputs.samples}"
    basis = report.basis
    if (basis.inputs == "synthetic") != inputs.synthetic:
        yield f"basis.inputs: {basis.inputs} is not what inputs says"
    if basis.labelled != inputs.labelled:
        yield "basis.labelled: it is not what inputs says"
    if basis.available != inputs.available:
        yield "basis.available: it is not what inputs says"
    if inputs.available is not None and inputs.available <= inputs.samples:
        yield f"inputs.available: {inputs.samples} of {inputs.available} samples is no limit"
    if basis.samples > inputs.samples:
        yield f"basis.samples: {basis.samples} of {inputs.samples} samples"
    try:
        datetime.datetime.fromisoformat(report.finished)
    except ValueError:
        yield f"finished: {report.finished!r} is no time"


def _named_samples(report: Report) -> set[str]:
    """The samples that some part of a report points to."""
    found = set()
    for pair in report.pairs:
        for output in pair.outputs:
            found |= {str(worst.sample) for worst in output.worst}
        for answers in pair.classifications:
            flips = (*answers.kept_flips, *answers.harmed_flips)
            found |= {str(flip.sample) for flip in flips}
    if report.task is not None:
        for step in report.task.steps:
            found |= {str(changed.sample) for changed in step.most_changed}
    return found


def _model(report: Report) -> Iterator[str]:
    """The rungs ran the files that the manifest lists and the model that the report is of."""
    model, manifest = report.model, report.manifest
    main = [
        (place, rung) for place, rung in enumerate(report.rungs) if ladder.on_the_way(rung.name)
    ]
    if manifest is None:
        if main and all(rung.model.sha256 != model.sha256 for _, rung in main):
            yield f"model.sha256: no rung ran {model.name}"
        return
    known = {record.file: record.sha256 for record in manifest.artifacts}
    if manifest.pruned is not None:
        known[manifest.pruned.file] = manifest.pruned.sha256
    for place, rung in enumerate(report.rungs):
        ran = rung.model
        if rung.name != "source" and known.get(ran.file, ran.sha256) != ran.sha256:
            yield (
                f"rungs[{place}].model.sha256: rung {rung.name} ran another {ran.file} than "
                "the manifest lists"
            )
    if main and main[-1][1].model.sha256 not in (*known.values(), model.sha256):
        place, rung = main[-1]
        yield f"rungs[{place}].model.sha256: the manifest lists no such model"
    for place, rung in main:
        if rung.name == "source" and rung.model.sha256 != model.sha256:
            yield f"rungs[{place}].model.sha256: the source rung ran another model than model says"


def _pair(field: str, pair: PairRecord, report: Report) -> Iterator[str]:
    verdict = pair.judgement.verdict
    if Verdict.FINDING in (verdict, *(own.verdict for own in pair.judgement.outputs.values())):
        yield f"{field}.judgement: a finding is a scan's, not a step's"
    reference, candidate = report.rung(pair.reference), report.rung(pair.candidate)
    if reference is None or candidate is None:
        return
    comparison = pair.comparison
    broken = [rung.name for rung in (reference, candidate) if rung.error is not None]
    if broken or comparison is None:
        if verdict is not Verdict.ERROR:
            why = f"rung {broken[0]} could not run" if broken else "there is no comparison"
            yield f"{field}.judgement.verdict: {verdict.value}, and {why}"
        if broken and comparison is not None:
            yield f"{field}.comparison: rung {broken[0]} could not run, and was compared"
        return
    for side, rung, compared, failed in (
        ("reference", reference, comparison.reference, comparison.reference_failed),
        ("candidate", candidate, comparison.candidate, comparison.candidate_failed),
    ):
        if compared != rung.name:
            yield f"{field}.comparison.{side}: it is of {compared}, not {rung.name}"
        if failed != rung.failed:
            yield (
                f"{field}.comparison.{side}_failed: {failed} samples, and {rung.failed} failed on "
                f"rung {rung.name}"
            )
    yield from impossible_figures(f"{field}.comparison", comparison, report)
    yield from _judgement(field, pair, comparison, report)


def _judgement(
    field: str, pair: PairRecord, comparison: PairComparison, report: Report
) -> Iterator[str]:
    """The verdicts of a step that are milder than its figures."""
    verdict = pair.judgement.verdict
    try:
        own = rejudge(pair, comparison, report)
    except UsageError as error:
        yield f"{field}.comparison: {error}"
        return
    if own.verdict.severity > verdict.severity:
        yield (
            f"{field}.judgement.verdict: {verdict.value}, and its figures come to "
            f"{own.verdict.value}: {' '.join(own.reasons)}"
        )
    lost = [r for r in pair.responses if r.verdict == "fail"]
    if lost and verdict.severity < Verdict.FAIL.severity:
        yield f"{field}.judgement.verdict: {verdict.value}, and {lost[0].reason}"
    for name, judged in pair.judgement.outputs.items():
        of_output = own.outputs.get(name)
        if of_output is None:
            yield f"{field}.judgement.outputs: output {name} was not compared"
        elif of_output.verdict.severity > judged.verdict.severity:
            yield (
                f"{field}.judgement.outputs: {name} is judged {judged.verdict}, and its figures "
                f"come to {of_output.verdict.value}"
            )


def _task(report: Report) -> Iterator[str]:
    """A step is no better than what its task's metric says of it."""
    judged = {(pair.reference, pair.candidate): pair.judgement.verdict for pair in report.pairs}
    task = report.task
    if task is None:
        return
    for place, step in enumerate(task.steps):
        verdict = judged.get((step.reference, step.candidate))
        if verdict is None:
            yield f"task.steps[{place}]: there is no such step"
        elif step.verdict and step.verdict.severity > verdict.severity:
            yield (
                f"task.steps[{place}].verdict: {step.verdict}, and the step is judged "
                f"{verdict.value}"
            )
        if step.verdict is Verdict.PASS:
            drop = step.drops.get(task.metrics[0].name)
            if drop and drop.low is not None and drop.low > task.max_drop:
                yield f"task.steps[{place}].drops: above what is allowed, and judged pass"


def _scan(report: Report) -> Iterator[str]:
    scan = report.scan
    if scan is not None and scan_verdict(scan.verdict) is not Verdict.FINDING and scan.kind:
        yield f"scan.verdict: {scan.verdict}, of the kind {scan.kind}"


def _verdict(report: Report) -> Iterator[str]:
    verdict = report.verdict
    if report.exit_code != verdict.exit_code:
        yield (f"exit_code: {report.exit_code}, and that of {verdict.value} is {verdict.exit_code}")
    own = recomputed(report)
    if not follows(report.verdict, own):
        yield f"verdict: {verdict.value}, and its steps, rungs and scan come to {own.value}"
    failed = [
        Attribution(pair.step, pair.reference, pair.candidate)
        for pair in report.pairs
        if pair.gates and pair.judgement.verdict is Verdict.FAIL
    ]
    if report.attribution != (failed[0] if failed else None):
        yield "attribution: it is not the first step that failed"
