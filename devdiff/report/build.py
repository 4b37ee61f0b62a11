"""``report.json``: the one source of every other format."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.resources
import json
from typing import TYPE_CHECKING, Any, Final

from devdiff.ladder.ladder import RungResult, on_the_way
from devdiff.report import basis
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.exporter.manifest import Manifest
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.judge import JudgedPair
    from devdiff.ladder.pairing import Pairing
    from devdiff.ladder.subject import Subject

SCHEMA_VERSION: Final = 1


def schema() -> dict[str, Any]:
    """The JSON Schema every ``report.json`` of this version conforms to."""
    text = importlib.resources.files("devdiff.report").joinpath("schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


_SCANNED: Final = {
    "finding": Verdict.FINDING,
    "no finding": Verdict.PASS,
    "inconclusive": Verdict.INCONCLUSIVE,
    "error": Verdict.ERROR,
}


def scan_verdict(scan: Mapping[str, Any]) -> Verdict:
    """What a scan's own words for its outcome count as."""
    return _SCANNED[scan["verdict"]]


def verdict(
    results: Sequence[RungResult],
    judged: Sequence[JudgedPair],
    scan: Mapping[str, Any] | None = None,
    data_check: Mapping[str, Any] | None = None,
) -> Verdict:
    """The worst of the steps that count, of the scan and of the data check; a rung that could not
    run is an ``error``."""
    verdicts = [pair.judgement.verdict for pair in judged if pair.pair.gates]
    if scan is not None:
        verdicts.append(scan_verdict(scan))
    if any(result.error for result in results):
        verdicts.append(Verdict.ERROR)
    if not verdicts and judged:
        verdicts = [pair.judgement.verdict for pair in judged]
    if data_check is not None and verdicts:
        verdicts.append(Verdict(data_check["verdict"] or "pass"))
    return combine(verdicts)


def build(
    *,
    subject: Subject,
    manifest: Manifest | None,
    pairings: Sequence[Pairing],
    samples: InputSet,
    results: Sequence[RungResult],
    judged: Sequence[JudgedPair],
    scan: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
    data_check: Mapping[str, Any] | None = None,
    command: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The report as plain JSON values. A single rung with nothing to compare to is an error."""
    overall = verdict(results, judged, scan, data_check)
    culprit = attribution(judged)
    inputs = samples.to_json()
    rungs = [result.to_json() for result in results]
    pairs = [pair.to_json() for pair in judged]
    return {
        "schema_version": SCHEMA_VERSION,
        "devdiff": importlib.metadata.version("devdiff"),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "verdict": overall.value,
        "exit_code": overall.exit_code,
        "basis": basis.make(inputs, pairs, rungs),
        "summary": _summary(overall, results, judged, culprit, len(samples), scan, data_check),
        "attribution": culprit,
        "model": {
            "name": subject.model.name,
            "sha256": subject.sha256,
            "files": dict(subject.files),
        },
        "inputs": inputs,
        "samples": _mentioned(samples, judged),
        "manifest": manifest.to_json() if manifest else None,
        "bindings": [pairing.to_json() for pairing in pairings],
        "rungs": rungs,
        "pairs": pairs,
        **({"scan": dict(scan)} if scan is not None else {}),
        **({"task": dict(task)} if task is not None else {}),
        **({"data_check": dict(data_check)} if data_check is not None else {}),
        "command": list(command),
        "options": dict(options),
    }


def _mentioned(samples: InputSet, judged: Sequence[JudgedPair]) -> dict[str, Any]:
    """Which row of the user's data each sample is that the comparisons name."""
    named: set[int] = set()
    for pair in judged:
        if pair.comparison is None:
            continue
        named |= {failure.sample for failure in pair.comparison.failures}
        named |= {worst.sample for output in pair.comparison.outputs for worst in output.worst}
        for answers in pair.comparison.classifications:
            named |= {flip.sample for flip in answers.kept_flips}
    return {str(index): samples.describe(index) for index in sorted(named)}


def attribution(judged: Sequence[JudgedPair]) -> dict[str, Any] | None:
    """The first step up the ladder that failed; None when none did."""
    for pair in judged:
        if pair.pair.gates and pair.judgement.verdict is Verdict.FAIL:
            return {
                "step": pair.pair.step,
                "reference": pair.pair.reference,
                "candidate": pair.pair.candidate,
            }
    return None


def _summary(
    overall: Verdict,
    results: Sequence[RungResult],
    judged: Sequence[JudgedPair],
    culprit: Mapping[str, Any] | None,
    samples: int,
    scan: Mapping[str, Any] | None,
    data_check: Mapping[str, Any] | None,
) -> str:
    """One sentence for the first line of every format."""
    if overall is Verdict.FINDING and scan is not None:
        return str(scan["reason"])
    broken = [result.name for result in results if result.error]
    if overall is Verdict.ERROR and broken:
        return f"rung {', '.join(broken)} could not run: nothing is proven about it"
    if culprit is not None:
        return (
            f"the step {culprit['step']} ({culprit['reference']} → {culprit['candidate']}) changes "
            "the model beyond what is allowed"
        )
    if (
        overall is Verdict.INCONCLUSIVE
        and data_check is not None
        and data_check["verdict"] == "inconclusive"
    ):
        return f"inputs and labels do not suit the model: {data_check['reason']}"
    if overall is Verdict.INCONCLUSIVE:
        steps = [
            p.pair.step
            for p in judged
            if p.pair.gates and p.judgement.verdict is Verdict.INCONCLUSIVE
        ]
        if not steps and scan is not None:
            return f"the scan decides nothing: {scan['reason']}"
        return f"{samples} samples cannot decide the step {', '.join(dict.fromkeys(steps))}"
    if overall is Verdict.ERROR and scan is not None and scan["verdict"] == "error":
        return f"the scan could not be made: {scan['reason']}"
    if overall is Verdict.ERROR:
        return "a comparison could not be made: nothing is proven about it"
    names = " → ".join(result.name for result in results if on_the_way(result.name))
    return f"every step stayed within what is allowed on {samples} samples: {names}"
