"""``report.json``: the one source of every other format."""

from __future__ import annotations

import datetime
import importlib.metadata
from typing import TYPE_CHECKING

from devdiff.ladder.ladder import RungResult, on_the_way
from devdiff.report import basis
from devdiff.report.model import (
    SCHEMA_VERSION,
    Attribution,
    BasisRecord,
    ClassNames,
    InputsRecord,
    ModelRecord,
    PairingRecord,
    PairRecord,
    Report,
    RungRecord,
    SampleRecord,
)
from devdiff.report.verdicts import of_parts
from devdiff.system.typed_json import converted
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devdiff.exporter.manifest import Manifest
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.judge import JudgedPair
    from devdiff.ladder.pairing import TensorPairing
    from devdiff.ladder.subject import Subject
    from devdiff.report.model import DataCheckSection, Options, ScanSection, TaskSection


def verdict(
    results: Sequence[RungResult],
    judged: Sequence[JudgedPair],
    scan: ScanSection | None = None,
    data_check: DataCheckSection | None = None,
) -> Verdict:
    """The worst of the steps that count, of the scan and of the data check; a rung that could not
    run is an ``error``."""
    data = data_check.verdict if data_check is not None else None
    return of_parts(
        [(pair.pair.gates, pair.judgement.verdict) for pair in judged],
        broken=any(result.error for result in results),
        scan=scan.verdict if scan is not None else None,
        data=Verdict(data) if data is not None else None,
    )


def basis_of(
    samples: InputSet, judged: Sequence[JudgedPair], results: Sequence[RungResult] = ()
) -> BasisRecord:
    """What the verdict of comparisons stands on that are in no report."""
    return basis.make(
        converted(InputsRecord, samples.to_json()),
        tuple(map(pair_record, judged)),
        tuple(converted(RungRecord, result.to_json()) for result in results),
    )


def pair_record(judged: JudgedPair) -> PairRecord:
    """What the report says of a step."""
    pair = judged.pair
    return PairRecord(
        reference=pair.reference,
        candidate=pair.candidate,
        step=pair.step,
        gates=pair.gates,
        judgement=judged.judgement,
        comparison=judged.comparison,
        dependence=judged.dependence,
    )


def build(
    *,
    subject: Subject,
    manifest: Manifest | None,
    pairings: Sequence[TensorPairing],
    samples: InputSet,
    results: Sequence[RungResult],
    judged: Sequence[JudgedPair],
    scan: ScanSection | None = None,
    task: TaskSection | None = None,
    data_check: DataCheckSection | None = None,
    command: Sequence[str],
    options: Options,
    classes: ClassNames | None = None,
    texts: Callable[[int], str | None] | None = None,
) -> Report:
    """The report. A single rung with nothing to compare to is an error.

    ``texts`` gives the true text of a sample by its index, where the task has such.
    """
    overall = verdict(results, judged, scan, data_check)
    culprit = attribution(judged)
    inputs = converted(InputsRecord, samples.to_json())
    rungs = tuple(converted(RungRecord, result.to_json()) for result in results)
    pairs = tuple(map(pair_record, judged))
    return Report(
        schema_version=SCHEMA_VERSION,
        devdiff=importlib.metadata.version("devdiff"),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        verdict=overall,
        exit_code=overall.exit_code,
        basis=basis.make(inputs, pairs, rungs),
        summary=_summary(overall, results, judged, culprit, len(samples), scan, data_check)
        + _limited(samples),
        attribution=culprit,
        model=ModelRecord(subject.model.name, subject.sha256, dict(subject.files)),
        inputs=inputs,
        samples=_mentioned(samples, judged, task, texts),
        manifest=manifest,
        bindings=tuple(converted(PairingRecord, pairing.to_json()) for pairing in pairings),
        rungs=rungs,
        pairs=pairs,
        command=tuple(command),
        options=options,
        scan=scan,
        task=task,
        data_check=data_check,
        classes=classes,
    )


def _mentioned(
    samples: InputSet,
    judged: Sequence[JudgedPair],
    task: TaskSection | None,
    texts: Callable[[int], str | None] | None,
) -> dict[str, SampleRecord]:
    """Which row of the user's data each sample is that the comparisons and the task name."""
    named: set[int] = set()
    for pair in judged:
        if pair.comparison is None:
            continue
        named |= {failure.sample for failure in pair.comparison.failures}
        named |= {worst.sample for output in pair.comparison.outputs for worst in output.worst}
        for answers in pair.comparison.classifications:
            named |= {flip.sample for flip in (*answers.kept_flips, *answers.harmed_flips)}
    for step in task.steps if task is not None else ():
        named |= {changed.sample for changed in step.most_changed}
    found = {}
    for index in sorted(named):
        described = samples.describe(index)
        if texts is not None:
            described["text"] = texts(index)
        found[str(index)] = converted(SampleRecord, described)
    return found


def attribution(judged: Sequence[JudgedPair]) -> Attribution | None:
    """The first step up the ladder that failed; None when none did."""
    for pair in judged:
        if pair.pair.gates and pair.judgement.verdict is Verdict.FAIL:
            return Attribution(pair.pair.step, pair.pair.reference, pair.pair.candidate)
    return None


def _limited(samples: InputSet) -> str:
    """What every verdict of a smoke run says of itself."""
    if samples.available is None:
        return ""
    return f" (limited to {len(samples)} of {samples.available} samples)"


def _summary(
    overall: Verdict,
    results: Sequence[RungResult],
    judged: Sequence[JudgedPair],
    culprit: Attribution | None,
    samples: int,
    scan: ScanSection | None,
    data_check: DataCheckSection | None,
) -> str:
    """One sentence for the first line of every format."""
    if overall is Verdict.FINDING and scan is not None:
        return scan.reason
    broken = [result.name for result in results if result.error]
    if overall is Verdict.ERROR and broken:
        return f"rung {', '.join(broken)} could not run: nothing is proven about it"
    if culprit is not None:
        return (
            f"the step {culprit.step} ({culprit.reference} → {culprit.candidate}) changes "
            "the model beyond what is allowed"
        )
    if (
        overall is Verdict.INCONCLUSIVE
        and data_check is not None
        and data_check.verdict == "inconclusive"
    ):
        return f"inputs and labels do not suit the model: {data_check.reason}"
    if overall is Verdict.INCONCLUSIVE:
        steps = [
            p.pair.step
            for p in judged
            if p.pair.gates and p.judgement.verdict is Verdict.INCONCLUSIVE
        ]
        if not steps and scan is not None:
            return f"the scan decides nothing: {scan.reason}"
        return f"{samples} samples cannot decide the step {', '.join(dict.fromkeys(steps))}"
    if overall is Verdict.ERROR and scan is not None and scan.verdict == "error":
        return f"the scan could not be made: {scan.reason}"
    if overall is Verdict.ERROR:
        return "a comparison could not be made: nothing is proven about it"
    names = " → ".join(result.name for result in results if on_the_way(result.name))
    return f"every step stayed within what is allowed on {samples} samples: {names}"
