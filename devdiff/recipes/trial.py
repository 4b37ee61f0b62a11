"""A trial: each compression of one model tested in a run directory of its own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devdiff.errors import UsageError
from devdiff.exporter.worker_client import ExportWorker
from devdiff.ladder import run_directory
from devdiff.ladder.pipeline import export_and_test
from devdiff.ladder.run_directory import DEFAULT_ROOT, REPORT_NAME, write_json
from devdiff.progress import Events, NamedEvents, SilentEvents
from devdiff.recipes import record
from devdiff.recipes.record import RecipesRecord
from devdiff.report import load
from devdiff.system.errors import DevdiffError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devdiff.exporter.compression import Compression
    from devdiff.exporter.recipe import Pruning
    from devdiff.ladder.request import LadderRequest
    from devdiff.verdict import Verdict


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """The finished record (also in ``directory/recipes.json``) and its plot, if there is one."""

    record: RecipesRecord
    directory: Path
    plot: Path | None

    @property
    def verdict(self) -> Verdict:
        return self.record.verdict


def run_trial(
    request: LadderRequest,
    compressions: Sequence[Compression],
    directory: Path | None = None,
    events: Events | None = None,
    command: tuple[str, ...] = (),
    *,
    root: Path = DEFAULT_ROOT,
) -> TrialOutcome:
    """Test the model with each of ``compressions``, and write the comparison.

    All are tested on the same samples: those of the calibration set are held out also where a
    recipe needs none. The model is converted once for compressions that prune alike, in one child
    process. ``directory`` None continues an unfinished trial of the same request under ``root``;
    compressions that came to a verdict are not tested again. One that cannot be made or run is an
    ``error`` and does not keep the others from being tested. Raises `UsageError` for fewer than
    two.
    """
    if len(compressions) < 2:
        raise UsageError("a comparison of recipes needs two at least")
    events = events or SilentEvents()
    hold_out = any(tried.calibrated for tried in compressions)
    requests = [replace(request, compression=tried, hold_out=hold_out) for tried in compressions]
    key = {"recipes": [trial_request.fingerprint() for trial_request in requests]}
    opened = run_directory.open_kept(
        directory, f"{request.model.path.stem}-recipes", key, root, record.RECORD_NAME
    )
    with opened as (path, resumed):
        if resumed:
            events.note(f"continuing the unfinished trial in {path}")
        rows = []
        with _Workers(path / "export.log") as workers:
            for compression, trial_request in zip(compressions, requests, strict=True):
                folder = path / compression.folder_name
                trial_events = NamedEvents(events, str(compression))
                error = _test(
                    trial_request, folder, partial(workers.of, compression), trial_events, command
                )
                report = None if error else load.load(folder / REPORT_NAME)
                rows.append(record.row(str(compression), folder, report, error))
        finished = record.build(request.model.path.name, rows, command)
        plot = _plot(finished, path, events)
        write_json(path / record.RECORD_NAME, finished.to_json())
        return TrialOutcome(finished, path, plot)


class _Workers:
    """A worker that has converted the model, for all compressions that prune alike."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._stack = contextlib.ExitStack()
        self._pruning: Pruning | None = None
        self._running: ExportWorker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def of(self, compression: Compression) -> ExportWorker:
        """The worker at hand, or a new one when that converts otherwise, or died."""
        if self._running is None or self._pruning != compression.pruning or not self._running.alive:
            self._stack.close()
            self._pruning = compression.pruning
            self._running = self._stack.enter_context(ExportWorker(self._log))
        return self._running


def _test(
    request: LadderRequest,
    folder: Path,
    worker: Callable[[], ExportWorker],
    events: Events,
    command: tuple[str, ...],
) -> str | None:
    """Bring one compression to a report; returns why there is none."""
    if run_directory.finished(folder):
        events.note("has its report already")
        return None
    try:
        export_and_test(request, folder, events, command, worker=worker())
    except DevdiffError as error:
        events.note(str(error))
        return str(error)
    return None


def _plot(finished: RecipesRecord, path: Path, events: Events) -> Path | None:
    from devdiff.recipes import plot

    target = path / "recipes.svg"
    try:
        drawn = plot.write(finished, target)
    except OSError as error:
        events.note(f"no plot: {error}")
        return None
    return target if drawn else None
