"""A report as JUnit XML, as Jenkins' schema describes it.

Other readers go by Apache Ant's older one, so what that asks for is there, too: every suite has its
properties and both streams, its time, host and number, and a test case nothing but its outcome.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import Attr, FinalResult, SystemErr, SystemOut

from devdiff.report import basis, bindings, data_check
from devdiff.report.cases import HOST, Case, cases, device_of, finished
from devdiff.report.words import differing, largest_error, number, one_line, proportion, what_ran
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from devdiff.report.model import DataCheckSection, Report, RungRecord, ScanSection

_LONGEST_S: Final = 1e9
_SCAN: Final = {"finding": Failure, "inconclusive": Failure, "error": Error}


class _Suite(TestSuite):
    """With what Ant's schema asks for and the library does not know."""

    id = Attr()
    package = Attr()

    def say(self, lines: Iterable[str]) -> None:
        out = SystemOut("\n".join(one_line(line) for line in lines))
        # The library is typed but for the arguments of a few functions.
        self.extend([out, SystemErr()])  # type: ignore[no-untyped-call]


def write(report: Report, path: Path) -> None:
    """Write a valid report as JUnit XML to ``path``, whole or not at all."""
    text = render(report)
    with whole_file(path) as stream:
        stream.write(text)


def render(report: Report) -> str:
    """The XML document: a suite of the rungs, one for each step, and one for the scan.

    Whenever the report's verdict is not ``pass``, a test case failed or is in error.
    """
    suites = [_rungs(report), *_steps(report)]
    if report.data_check is not None:
        suites.append(_data(report, report.data_check))
    if report.scan is not None:
        suites.append(_scan(report, report.scan))
    red = any(
        isinstance(failure_text, Failure | Error)
        for suite in suites
        for failure_text in _outcomes(suite)
    )
    if report.verdict != "pass" and not red:
        kind = Error if report.verdict == "error" else Failure
        outcome = _outcome(kind, report.verdict, [report.summary])
        suites.append(_suite(report, "verdict", HOST, [_case(report, "verdict", HOST, outcome)]))
    document = JUnitXml()
    for place, suite in enumerate(suites):
        suite.id = str(place)
        document.append(suite)  # type: ignore[no-untyped-call]
    # The root's own counts are not in Ant's schema, and every reader adds up the suites.
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    return buffer.getvalue().decode()


def _rungs(report: Report) -> _Suite:
    found = []
    for rung in report.rungs:
        error = rung.error
        outcome = None if error is None else _outcome(Error, "could not run", [error])
        device = device_of(report, rung.name)
        found.append(_case(report, f"rung {rung.name}", device, outcome, rung.time.wall_s))
    more: dict[str, Any] = {}
    for rung in report.rungs:
        more |= _about(rung.name, rung)
    for place, line in enumerate(bindings.lines(report)):
        more[f"binding.{place}"] = line
    notes = [
        f"{rung.name}: {rung.samples} samples, {rung.failed} failed, "
        f"{number(rung.time.median_ms)} ms a sample"
        for rung in report.rungs
    ]
    return _suite(report, "rungs", device_of(report, "device"), found, more, notes)


def _steps(report: Report) -> list[_Suite]:
    rungs = {rung.name: rung for rung in report.rungs}
    by_pair: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases(report):
        by_pair.setdefault((case.step, case.reference, case.candidate), []).append(case)
    suites = []
    for of_pair in by_pair.values():
        first = of_pair[0]
        more = {"step": first.step, "counts": "yes" if first.counts else "no"}
        for role, name in (("reference", first.reference), ("candidate", first.candidate)):
            if name in rungs:
                more |= {f"{role}.rung": name} | _about(role, rungs[name])
        suites.append(
            _suite(
                report,
                f"{first.step}: {first.pair}",
                first.device,
                [_of_case(report, case) for case in of_pair],
                more,
                [_figures(case) for case in of_pair] + _responses(report, first),
            )
        )
    return suites


def _of_case(report: Report, case: Case) -> TestCase:
    name = f"{case.output}: {case.pair} ({case.step})"
    outcome: FinalResult | None = None
    if case.verdict == "error":
        failure_text = "not compared" if case.metrics is None else "error"
        outcome = _outcome(Error, failure_text, case.reasons)
    elif case.verdict != "pass" and not case.counts:
        reasons = (f"{case.verdict}, in a step that the verdict does not count", *case.reasons)
        outcome = _outcome(Skipped, "does not count", reasons)
    elif case.verdict != "pass":
        outcome = _outcome(Failure, case.verdict, case.reasons)
    return _case(report, name, case.device, outcome)


def _figures(case: Case) -> str:
    if case.metrics is None:
        return f"{case.output}: {case.verdict}, not compared"
    agreement = f", top-1 {proportion(case.answers.top_1)}" if case.answers else ""
    varying = case.metrics.variation_snr_db
    of_variation = "" if varying is None else f" ({number(varying)} dB of variation)"
    return (
        f"{case.output}: {case.verdict}, error ≤ {largest_error(case.metrics)}, "
        f"SNR {number(case.metrics.snr_db)} dB{of_variation}, {differing(case.metrics)} differ"
        f"{agreement}"
    )


def _responses(report: Report, case: Case) -> list[str]:
    """How the outputs of the case's step answer each input."""
    return [
        f"{response.verdict}: {response.reason}"
        for pair in report.pairs
        if (pair.reference, pair.candidate, pair.step)
        == (case.reference, case.candidate, case.step)
        for response in pair.responses
    ]


def _data(report: Report, check: DataCheckSection) -> _Suite:
    """Whether inputs and labels suit the model; what too few samples cannot tell counts for
    nothing, as it does in the report."""
    lines = [
        data_check.sentence(check),
        *check.notes,
        *(
            f"{trial.kind}: {trial.change}: {proportion(trial.accuracy)} right"
            + (", which mends it" if trial.mends else "")
            for trial in check.trials
        ),
    ]
    outcome: FinalResult | None = None
    if check.verdict is None:
        outcome = _outcome(Skipped, "too few samples", lines)
    elif check.verdict != "pass":
        outcome = _outcome(Failure, check.verdict, lines)
    name = f"{check.output}: inputs and labels"
    return _suite(report, "data", HOST, [_case(report, name, HOST, outcome)], None, lines)


def _scan(report: Report, scan: ScanSection) -> _Suite:
    name = "scan" if scan.output is None else f"{scan.output}: scan"
    kind = _SCAN.get(scan.verdict)
    outcome = None if kind is None else _outcome(kind, scan.verdict, [scan.reason])
    device = device_of(report, "device")
    found = [_case(report, name, device, outcome, scan.cost.wall_s)]
    more = {"seed": scan.seed, "compression": scan.compression or ""}
    for place, evidence in scan.parts_of_evidence().items():
        more[f"evidence.{place}"] = evidence.error or evidence.status
    return _suite(report, "scan", device, found, more, [f"{scan.verdict}: {scan.reason}"])


def _about(role: str, rung: RungRecord) -> dict[str, Any]:
    """What ran, by hash and by its own word."""
    return {
        f"{role}.model": rung.model.file,
        f"{role}.model.sha256": rung.model.sha256,
        f"{role}.ran": what_ran(rung),
        f"{role}.results.sha256": rung.results_sha256 or "",
        f"{role}.median_ms": number(rung.time.median_ms),
        f"{role}.p90_ms": number(rung.time.p90_ms),
    }


def _suite(
    report: Report,
    name: str,
    device: str,
    found: Iterable[TestCase],
    more: Mapping[str, Any] | None = None,
    notes: Iterable[str] = (),
) -> _Suite:
    suite = _Suite(one_line(name))
    suite.package = one_line(report.model.name) or "model"
    suite.hostname = one_line(device) or HOST
    suite.timestamp = finished(report).strftime("%Y-%m-%dT%H:%M:%S")
    common = {
        "devdiff": report.devdiff,
        "verdict": report.verdict,
        "basis": basis.sentence(report.basis),
        "model": report.model.name,
        "model.sha256": report.model.sha256,
        "inputs": report.inputs.origin,
        "inputs.sha256": report.inputs.sha256,
        "inputs.samples": report.inputs.samples,
        "device": device,
    }
    for place, warning in enumerate(report.inputs.warnings, 1):
        common[f"inputs.warning.{place}"] = str(warning)
    for key, value in (common | dict(more or {})).items():
        suite.add_property(one_line(key), one_line(value))
    suite.add_testcases(list(found))
    suite.say(notes)
    return suite


def _case(
    report: Report,
    name: str,
    device: str,
    outcome: FinalResult | None,
    seconds: float = 0.0,
) -> TestCase:
    # Readers take what stands before the last dot for a package.
    where = [part.replace(".", "_") for part in (report.model.name, device)]
    seconds = min(max(0.0, seconds), _LONGEST_S) if math.isfinite(seconds) else 0.0
    case = TestCase(one_line(name), one_line(".".join(where)), round(seconds, 3))
    if outcome is not None:
        case.result = outcome
    return case


def _outcome(kind: type[FinalResult], failure_text: str, reasons: Iterable[str]) -> FinalResult:
    lines = [one_line(reason) for reason in reasons] or [failure_text]
    outcome = kind(lines[0], failure_text)
    outcome.text = "\n".join(lines)
    return outcome


def _outcomes(suite: TestSuite) -> list[FinalResult]:
    return [outcome for case in suite for outcome in case.result]
