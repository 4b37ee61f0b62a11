"""Two finished runs side by side: what ``devdiff compare`` does, callable from Python."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.changes import figures, outputs, wording
from devdiff.changes.record import KIND, SCHEMA_VERSION, FigureChange, RunComparison, RunSide
from devdiff.changes.settings import changed_settings
from devdiff.errors import UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.gate import baseline
from devdiff.gate.baseline import Change
from devdiff.gate.record import CHECK_NAME
from devdiff.gate.summary import Facts
from devdiff.history import record as history
from devdiff.ladder.ladder import on_the_way
from devdiff.ladder.run_directory import REPORT_NAME, RUN_NAME
from devdiff.options import DEFAULT_RULES
from devdiff.progress import Events, SilentEvents
from devdiff.report import load
from devdiff.report.model import Report
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devdiff.changes.record import OutputComparison
    from devdiff.options import Rules


@dataclass(frozen=True, slots=True)
class _Run:
    """A run as it was named; ``folder`` is its directory where that is there."""

    path: Path
    report: Report
    folder: Path | None

    @property
    def name(self) -> str:
        return (self.folder or self.path).resolve().name


def compare_runs(
    before: Path, after: Path, rules: Rules = DEFAULT_RULES, events: Events | None = None
) -> RunComparison:
    """What changed from one run to another, each a run directory or a report.json.

    Runs of other models or over other inputs are compared, too, which a note says: samples are not
    paired then. Raises `UsageError` for what is no finished run, `ReportError` for a report that
    contradicts itself.
    """
    events = events or SilentEvents()
    events.phase("reading both runs")
    first, second = _read(before), _read(after)
    # Whoever names two runs means these two.
    rules = replace(rules, other_inputs=True, other_model=True)
    was, is_now = Facts.of(first.report), Facts.of(second.report)
    given = tuple(
        outputs.compare_outputs(first.report, second.report, (first.folder, second.folder), events)
    )
    events.phase("comparing figures and settings")
    measured = tuple(_figures(first, second, was, is_now, given, rules))
    changes = [*_held(second.report, was, is_now, rules)]
    changes += _beside_the_gate(measured, first.report, second.report)
    changes += _weaker(first.report, second.report)
    # The run's own sentence says least of what it was.
    changes.sort(key=lambda change: (-change.verdict.severity, change.where == "run"))
    verdict = combine((Verdict.PASS, *(change.verdict for change in changes)))
    return RunComparison(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        devdiff=importlib.metadata.version("devdiff"),
        verdict=verdict,
        exit_code=verdict.exit_code,
        summary=wording.sentence(changes, measured),
        before=_side(first),
        after=_side(second),
        changes=tuple(change.record() for change in changes),
        figures=measured,
        outputs=given,
        settings=changed_settings(first.report, second.report),
        notes=tuple(_notes(first.report, second.report)),
    )


def _read(path: Path) -> _Run:
    """The run that a path stands for. Raises `UsageError` and `ReportError`."""
    if path.is_dir() and not (path / REPORT_NAME).exists():
        if (path / CHECK_NAME).exists():
            runs = sorted(report.parent.name for report in path.glob(f"*/{REPORT_NAME}"))
            example = f", as {path / runs[0]}" if runs else ""
            raise UsageError(f"{path} is a check of several runs: name one of them{example}")
        if (path / RUN_NAME).exists() and (path / "outputs.pack").exists():
            raise UsageError(
                f"{path} holds the outputs of devdiff run, and no report: compare outputs with "
                "devdiff diff"
            )
    report = load.locate(path)
    return _Run(report, load.load(report), load.run_directory(report))


def _figures(
    first: _Run,
    second: _Run,
    was: Facts,
    is_now: Facts,
    given: Sequence[OutputComparison],
    rules: Rules,
) -> Iterator[FigureChange]:
    paired = was.inputs_sha256 == is_now.inputs_sha256
    yield from figures.of_whole_way(first.report, second.report, paired, rules)
    yield from figures.of_accuracy(first.report, second.report, given)
    yield from figures.of_task(first.report, second.report)
    yield from figures.of_steps(is_now, was, paired, rules)
    yield from figures.of_latency(
        first.report,
        second.report,
        outputs.sample_times(first.report, first.folder),
        outputs.sample_times(second.report, second.folder),
    )
    yield from figures.of_size(first.report, second.report)


def _held(after: Report, was: Facts, is_now: Facts, rules: Rules) -> Iterator[Change]:
    """What the gate says of the later run beside the earlier one.

    What was done otherwise is listed among the settings. A step that is gone because the ladder has
    another form, by another recipe or with the pruned model on it, is no error; a model that does
    not get as far as the device any more is.
    """
    rungs = {rung.name for rung in after.rungs}
    excused = {step.title for step in was.steps if step.candidate != "device" or "device" in rungs}
    for change in baseline.hold(is_now, was, rules).changes:
        if change.kind == "note":
            continue
        if change.kind == "incomparable" and change.where in excused:
            yield Change("note", change.where, "only the earlier run has this step")
        else:
            yield change


def _beside_the_gate(
    measured: Sequence[FigureChange], before: Report, report: Report
) -> Iterator[Change]:
    """What the gate has no rule for: the whole way, and on the model that ships accuracy and the
    task's first metric."""
    last = [rung.name for rung in report.rungs if on_the_way(rung.name)][-1]
    shipped = figures.labels(before, report)[1].get(last, last)
    first_metric = report.task.metrics[0].name if report.task is not None else None
    whole = {f"{p.reference} → {p.candidate}" for p in report.pairs if p.step == figures.WHOLE_WAY}
    for figure in measured:
        if figure.direction not in ("worse", "better"):
            continue
        judged = (
            (figure.where in whole and figure.measure in ("agreement", "SNR"))
            or (figure.where == shipped and figure.measure == "accuracy")
            or (figure.where == shipped and figure.name and figure.name == first_metric)
        )
        if judged:
            worse = figure.direction == "worse"
            yield Change(
                "worse" if worse else "better",
                f"{wording.subject(figure)}, {wording.place(figure)}",
                f"{_figure_text(figure)}, {wording.delta(figure)}{_chance(figure)}",
                Verdict.FAIL if worse else Verdict.PASS,
            )


def _weaker(before: Report, after: Report) -> Iterator[Change]:
    """What the later run cannot say, since it stands on less."""
    if after.inputs.synthetic and not before.inputs.synthetic:
        text = (
            "the earlier run is on real samples, the later one on synthetic ones, which speak of "
        )
        yield Change("worse", "inputs", f"{text}numerics and not of answers", Verdict.INCONCLUSIVE)


def _chance(figure: FigureChange) -> str:
    return f" ({wording.chance(figure.p_value)})" if figure.p_value is not None else ""


def _figure_text(figure: FigureChange) -> str:
    return (
        f"{wording.shown(figure.before, figure.unit)} → {wording.shown(figure.after, figure.unit)}"
    )


def _side(run: _Run) -> RunSide:
    report = run.report
    return RunSide(
        name=run.name,
        report_sha256=sha256_file(run.path),
        finished=report.finished,
        devdiff=report.devdiff,
        model=report.model.name,
        model_sha256=report.model.sha256,
        compression=history.compression_of(report),
        device=history.device_of(report)[0],
        verdict=report.verdict,
        summary=report.summary,
        basis=report.basis,
        command=report.command,
    )


def _notes(before: Report, after: Report) -> Iterator[str]:
    """What a reader of the figures has to know."""
    if before.model.name != after.model.name:
        yield f"these are runs of two models: {before.model.name} and {after.model.name}"
    if before.inputs.sha256 != after.inputs.sha256:
        yield (
            f"the inputs are others ({before.inputs.samples} samples before, "
            f"{after.inputs.samples} after): samples are not paired, and outputs not compared"
        )
    if before.inputs.labelled and not after.inputs.labelled:
        yield "the later run has no labels, so nothing is said of its accuracy"
    if before.task is not None and after.task is None and not before.inputs.labelled:
        yield f"the later run measures no {before.task.kind}"
