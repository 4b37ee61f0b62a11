"""A bisection from what the user named to the report's section: `devdiff bisect`, from Python."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import structs

from devdiff.bisection import endpoints, explorer, isolate, report_section, repro, subject
from devdiff.bisection.divergence import find
from devdiff.bisection.side_by_side import Bench, BenchSide
from devdiff.comparison import DeploymentExpectation, Tolerances
from devdiff.device_runner.errors import RunnerChoiceError
from devdiff.errors import BisectError, UsageError
from devdiff.exporter.errors import ArtifactError
from devdiff.inputs import retention
from devdiff.ladder import details
from devdiff.ladder.run_directory import REPORT_NAME, RunDirectory, make_way, open_run, write_json
from devdiff.progress import Events, SilentEvents
from devdiff.report import load
from devdiff.report.html import page
from devdiff.report.model.bisect import BisectCost, BisectSection
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.bisection.isolate import Isolated
    from devdiff.bisection.subject import BisectRequest, BisectSubject
    from devdiff.inputs.input_set import InputSet
    from devdiff.options import Gates

FOLDER: Final = "bisect"
BISECT_NAME: Final = "bisect.json"
_LOOKED_AT: Final = 256
"""How many samples are tried before it is said that none differs."""


@dataclass(frozen=True, slots=True)
class BisectOutcome:
    """The section of the report (also in ``path``), and the exit code it stands for."""

    section: BisectSection
    path: Path
    exit_code: int


def bisect(
    request: BisectRequest, run_dir: Path | None = None, events: Events | None = None
) -> BisectOutcome:
    """Find where two places part, and leave ``bisect.json`` and the repro in a run directory.

    What is found about a finished run goes into its own directory and its report, too. Raises the
    packages' errors for what cannot be bisected or run; the same request continues where an earlier
    one was broken off.
    """
    events = events or SilentEvents()
    subject.check(request)
    of_run = subject.is_run(request.model.path)
    if of_run and run_dir is not None:
        raise UsageError("--out is for a .tflite: what is found about a run goes into its own")
    folder, asked = run_dir, request.fingerprint()
    if of_run:
        folder = request.model.path / FOLDER
        make_way(folder, asked, BISECT_NAME)
    started = time.monotonic()
    with (
        open_run(folder, f"bisect-{request.model.path.stem}", asked, result=BISECT_NAME) as run,
        _tidy_after_bad_input(run),
    ):
        if run.resumed:
            events.note(f"continuing the unfinished bisection in {run.path}")
        log = run.logs / "reading.log"
        target = (
            subject.from_run(request, log, events)
            if of_run
            else subject.from_files(request, run.inputs, log, events)
        )
        details.of_model(target.read, events)
        details.of_inputs(target.samples, events)
        try:
            named = endpoints.choose(request, target)
            with endpoints.opened(named, request, target, log, events) as (reference, candidate):
                section = _section(request, target, reference, candidate, run, events)
        finally:
            if of_run:
                retention.release(request.model.path / "inputs", target.read.inputs)
        cost = BisectCost(round(time.monotonic() - started, 2))
        section = structs.replace(section, cost=cost)
        path = run.path / BISECT_NAME
        for name in (run.rungs, run.artifacts):
            shutil.rmtree(name, ignore_errors=True)
        write_json(path, section.to_json())
        if of_run:
            _into_report(request.model.path, section, events)
    return BisectOutcome(section, path, Verdict(section.verdict).exit_code)


@contextlib.contextmanager
def _tidy_after_bad_input(run: RunDirectory) -> Iterator[None]:
    """What was refused before it began leaves nothing behind."""
    try:
        yield
    except (UsageError, ArtifactError, BisectError, RunnerChoiceError):
        if not run.resumed:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def _section(
    request: BisectRequest,
    target: BisectSubject,
    reference: BenchSide,
    candidate: BenchSide,
    run: RunDirectory,
    events: Events,
) -> BisectSection:
    if reference.precision != candidate.precision:
        from devdiff.bisection import profile

        return profile.section(request, target, reference, candidate, run, events)
    endpoints.check_same_graph(reference, candidate)
    limits = _limits(target.gates)
    bench = _showing(request, target, reference, candidate, limits, run, events)
    finding = find(bench, request.settings.suspects)
    written = None
    if finding.isolated is not None and finding.isolated.guilty:
        written = _repro(bench, finding.isolated, run.path / "repro", events)
    walk = isolate.walk(bench) if request.settings.walk else None
    kept = written.relative_to(run.path).as_posix() if written else None
    section = report_section.section(bench, limits, finding, walk, kept)
    explorer.write(run.path / report_section.EXPLORER_NAME, report_section.by_name(section))
    return section


def _limits(gates: Gates) -> DeploymentExpectation:
    """What every tensor on the way may differ by; tolerances of single outputs do not apply."""
    atol, rtol = (
        [value for value in values if ":" not in value] for values in (gates.atol, gates.rtol)
    )
    return DeploymentExpectation(gates.max_lsb, gates.exact, Tolerances.parse(atol, rtol, ()))


def _showing(
    request: BisectRequest,
    target: BisectSubject,
    reference: BenchSide,
    candidate: BenchSide,
    limits: DeploymentExpectation,
    run: RunDirectory,
    events: Events,
) -> Bench:
    """A bench with samples that show the difference, if there are any among the first ones."""

    def bench(samples: InputSet, name: str, before: Bench | None = None) -> Bench:
        folder = run.rungs / name
        folder.mkdir(exist_ok=True)
        timeout_s = target.running.timeout_s
        made = Bench(reference, candidate, samples, limits, folder, timeout_s, events)
        if before is not None:
            made.runs = dict(before.runs)
        return made

    samples = target.samples
    rows = sorted(target.shown[: request.settings.samples]) or range(
        min(request.settings.samples, len(samples))
    )
    few = bench(subject.chosen(samples, rows), "few")
    if few.whole().beyond or len(samples) <= len(rows):
        return few
    events.note(f"{len(rows)} samples do not differ: trying up to {_LOOKED_AT}")
    many = bench(subject.chosen(samples, range(min(len(samples), _LOOKED_AT))), "many", few)
    if not many.whole().beyond:
        return many
    worst = sorted(many.worst_samples()[: request.settings.samples])
    return bench(subject.chosen(samples, worst), "worst", many)


def _repro(bench: Bench, isolated: Isolated, folder: Path, events: Events) -> Path:
    events.phase("writing the repro")
    flow = bench.flow
    if isolated.kind == "context":
        return repro.write(bench, isolated.guilty, isolated.window, isolated.outputs, folder)
    (operator,) = isolated.guilty
    return repro.write(
        bench, (operator,), flow.inputs_of(operator), flow.outputs_of(operator), folder
    )


def _into_report(folder: Path, section: BisectSection, events: Events) -> None:
    """The section in the report of the run it is about, and the page made again."""
    path = folder / REPORT_NAME
    report = structs.replace(load.load(path), bisect=section)
    write_json(path, report.to_json())
    try:
        page.write(report, folder / page.PAGE_NAME, folder)
    except OSError as error:
        events.note(f"no page: {error}; try devdiff report {folder} --html FILE")
