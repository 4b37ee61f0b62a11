"""A finished run put into the history; nothing that goes wrong here is the run's fault."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from devdiff.errors import HistoryError, RunDirectoryError
from devdiff.history import database_path, record, tracking
from devdiff.ladder.run_directory import RUN_NAME, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.progress import Events
    from devdiff.report.model import Report


def append_run(report: Report, directory: Path, events: Events) -> None:
    """Append the run to the local history, and log it to MLflow where MLFLOW_TRACKING_URI is set.

    What cannot be kept is a note.
    """
    try:
        run = record.from_report(report, read_json(directory / RUN_NAME), directory)
    except RunDirectoryError as error:
        events.note(f"this run is not in the history: {error}")
        return
    path = database_path.location()
    if path is not None:
        from devdiff.history.store import History

        try:
            History(path).append(run)
        except HistoryError as error:
            events.note(
                f"this run is not in the history: {error} "
                f"({database_path.VARIABLE} names another file, or "
                f"'{database_path.OFF}')"
            )
    if os.environ.get(tracking.TRACKING_URI):
        _track(directory, events)


def _track(directory: Path, events: Events) -> None:
    variable = tracking.TRACKING_URI
    if importlib.util.find_spec("mlflow") is None:
        events.note(f"{variable} is set and MLflow is not installed: pip install 'devdiff[mlflow]'")
        return
    events.phase("logging to MLflow")
    trouble = tracking.log(directory)
    if trouble is not None:
        # The URI itself may hold a password.
        events.note(f"this run is not in MLflow, which {variable} names: {trouble}")
