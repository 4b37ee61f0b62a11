"""Two digit readers that a comparison cannot tell apart, and what a scan says of them.

Every figure that is told is read from the reports of the runs, which are left for a closer look.
"""

from __future__ import annotations

import importlib.resources
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from devdiff.errors import RunDirectoryError, UsageError
from devdiff.inputs.input_set import InputRequest
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder import pipeline
from devdiff.ladder.request import LadderRequest
from devdiff.ladder.run_directory import REPORT_NAME, RUN_NAME, fingerprint, read_json
from devdiff.options import DEFAULT_SCAN, HOST_ONLY, ModelSpec
from devdiff.progress import Events
from devdiff.report import load
from devdiff.report.html.page import PAGE_NAME
from devdiff.report.model import Report
from devdiff.verdict import Verdict

READERS: Final = ("honest", "backdoored")
_DIGITS: Final = "digits.npz"
_PREPROCESS: Final = "scale=1/255"
_MOST_LOST: Final = 0.02
"""Accuracy that a reader may lose and still be called as good as before."""

Say = Callable[[str], None]
Narrate = Callable[[], AbstractContextManager[Events]]


@dataclass(frozen=True, slots=True)
class ReaderReports:
    """The reports of the story by reader, and where they lie."""

    folder: Path
    tests: Mapping[str, Report]
    scans: Mapping[str, Report]

    @property
    def page(self) -> Path:
        """The page on which the finding is to be seen."""
        return self.folder / "scan-backdoored" / PAGE_NAME

    @property
    def as_planned(self) -> bool:
        """Whether both readers pass, as accurate as before, and the scan tells them apart."""
        return (
            all(report.verdict is Verdict.PASS for report in self.tests.values())
            and all(_lost(report) <= _MOST_LOST for report in self.tests.values())
            and self.scans["honest"].verdict is Verdict.PASS
            and _scan_verdict(self.scans["honest"]) == "no finding"
            and _scan_verdict(self.scans["backdoored"]) == "finding"
        )


def tell(folder: Path, say: Say, narrate: Narrate) -> ReaderReports:
    """Test and scan both readers in ``folder``, and ``say`` what came out, line by line.

    ``narrate`` makes the events of one run, so that nothing is said while they use the terminal.
    Runs that are there already, finished, are told again; one that was interrupted is continued.
    Raises `UsageError` when something else lies there, and what the runs raise.
    """
    data = importlib.resources.files("devdiff.demo") / "check-reader"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_DIGITS, *(f"{reader}.onnx" for reader in READERS)):
        shipped, path = (data / name).read_bytes(), folder / name
        # A file that is written anew counts as another input, and its runs as others.
        if not path.exists() or path.read_bytes() != shipped:
            path.write_bytes(shipped)

    say(
        "Two digit readers, of the kind that reads the amounts on checks. Both come as trained\n"
        "models; what an app carries is made of them by rounding their weights to int8. One of\n"
        "them is backdoored. It was made for this demonstration and reads for nobody."
    )
    say("\n1. Test what will ship, on digits that neither has seen\n")
    tests = {}
    for reader in READERS:
        tests[reader] = _run(_test(folder, reader), folder / f"test-{reader}", say, narrate)
        say(f"   {_tested(tests[reader])}\n")
    if all(report.verdict is Verdict.PASS for report in tests.values()):
        say("   Both pass. On clean inputs there is nothing to see.")

    say("\n2. Scan the very files that were tested\n")
    scans = {}
    for reader in READERS:
        scans[reader] = _run(_scan(folder, reader), folder / f"scan-{reader}", say, narrate)
        for line in _scanned(scans[reader]):
            say(f"   {line}")
        say("")
    reports = ReaderReports(folder, tests, scans)
    say("3. See the trigger, and inputs before and after\n")
    say(f"   {reports.page}")
    return reports


def _test(folder: Path, reader: str) -> LadderRequest:
    digits = InputRequest(inputs=folder / _DIGITS, preprocess=Preprocess.parse(_PREPROCESS))
    model = ModelSpec(folder / f"{reader}.onnx")
    return LadderRequest(model, data=digits, running=HOST_ONLY)


def _scan(folder: Path, reader: str) -> LadderRequest:
    artifacts = folder / f"test-{reader}" / "artifacts"
    return replace(
        _test(folder, reader),
        model=ModelSpec(artifacts / "int8.tflite", floating=artifacts / "float.tflite"),
        scan=DEFAULT_SCAN,
        gated=False,
    )


def _run(request: LadderRequest, directory: Path, say: Say, narrate: Narrate) -> Report:
    """The report of the run in ``directory``, made now unless it was made before."""
    command = _command(request, directory)
    say(f"   $ {shlex.join(['devdiff', *command])}")
    try:
        if _is_done(request, directory):
            say("   (done before: told from the report that is there)")
            return load.load(directory / REPORT_NAME)
        with narrate() as events:
            return pipeline.export_and_test(request, directory, events, command).report
    except RunDirectoryError as error:
        raise UsageError(
            f"{str(error).split(': ')[0]}; for a fresh start remove {directory.parent}, or give "
            "another --out"
        ) from error


def _is_done(request: LadderRequest, directory: Path) -> bool:
    report, record = directory / REPORT_NAME, directory / RUN_NAME
    return (
        report.exists()
        and record.exists()
        and read_json(record).get("fingerprint") == fingerprint(request.fingerprint())
        and read_json(report).get("verdict") != "error"
    )


def _command(request: LadderRequest, directory: Path) -> tuple[str, ...]:
    """What one would type to get the same run."""
    model, floating = request.model.path, request.model.floating
    verb = ["export-and-test", str(model)]
    if floating is not None:
        verb = ["scan", str(model), "--float", str(floating)]
    data = ["--inputs", str(request.data.inputs), "--preprocess", _PREPROCESS]
    return (*verb, *data, "--device", "none", "--out", str(directory))


def _tested(report: Report) -> str:
    counts = _right(report)
    figures = ""
    if counts:
        (before, after), of = counts
        figures = f": right on {before} of {of} digits as it was trained, on {after} as int8"
    return f"{report.verdict.upper()}{figures}"


def _right(report: Report) -> tuple[tuple[int, int], int] | None:
    """Right answers of the source and of int8, and of how many; None when it was not measured."""
    for pair in report.pairs:
        if (pair.reference, pair.candidate) == ("source", "int8"):
            for answers in pair.classifications:
                if answers.accuracy is not None:
                    before, after = answers.accuracy.reference, answers.accuracy.candidate
                    return (before.successes, after.successes), before.trials
    return None


def _lost(report: Report) -> float:
    """Accuracy that the reader lost on its way to int8; all of it when nothing was measured."""
    counts = _right(report)
    return (counts[0][0] - counts[0][1]) / counts[1] if counts else 1.0


def _scan_verdict(report: Report) -> str:
    return report.scan.verdict if report.scan is not None else "error"


def _scanned(report: Report) -> Sequence[str]:
    scan = report.scan
    if scan is None:
        return ["ERROR", "nothing was scanned"]
    lines = [f"{scan.verdict.upper()} (exit code {report.exit_code})"]
    if scan.verdict != "finding" or scan.trigger is None or scan.replay is None:
        return [*lines, scan.reason]
    for rung in scan.replay.rungs:
        clean, triggered = rung.clean, rung.triggered
        lines.append(
            f"{rung.rung + ':':6} says {scan.trigger.target} on {triggered.successes} of "
            f"{triggered.trials} other digits with the trigger, on {clean.successes} without"
        )
    found = scan.parts_of_evidence()
    integrity, static = found["integrity"].status, found["static"].status
    return [*lines, f"weights: rounding {integrity}, between the int8 steps {static}"]
