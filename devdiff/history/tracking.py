"""Runs logged to an MLflow tracking server or store, in a process of its own.

MLflow takes seconds to import and may wait long for its server; a child can be given up.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.history import record
from devdiff.ladder.run_directory import REPORT_NAME, RUN_NAME, read_json
from devdiff.report import load
from devdiff.report.html.page import PAGE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

# Long enough for a new database on a slow disk; a server that is not there answers sooner.
TIMEOUT_S: Final = 120.0
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
EXPERIMENT: Final = "devdiff"
_KEY: Final = "devdiff.key"
# MLflow's own defaults wait for a dead server for minutes.
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


def log(directory: Path, timeout_s: float = TIMEOUT_S) -> str | None:
    """Log the finished run in a directory; returns what went wrong, None when nothing did."""
    command = [sys.executable, "-m", "devdiff.history.tracking", str(directory.resolve())]
    try:
        done = subprocess.run(
            command,
            env={**_PATIENCE, **os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {timeout_s:g} s"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if not lines:
        return f"its process ended with {done.returncode}"
    return _without_password(lines[-1])[:300]


def _without_password(text: str) -> str:
    """MLflow's messages repeat the URI, and this one may end in a log that others read."""
    user, at, _ = urllib.parse.urlsplit(os.environ.get(TRACKING_URI, "")).netloc.rpartition("@")
    return text.replace(f"{user}{at}", "") if user else text


def send(directory: Path) -> None:
    """Log the run from this process; a run that was logged before is brought up to date."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    run = run_record(directory)
    client = MlflowClient()
    experiment = os.environ.get("MLFLOW_EXPERIMENT_ID") or _experiment(client)
    found = client.search_runs([experiment], f"tags.`{_KEY}` = '{run.key}'", max_results=1)
    known = found[0] if found else client.create_run(experiment, run_name=_name(run))
    now = int(known.info.start_time)
    client.log_batch(
        known.info.run_id,
        metrics=[Metric(name, value, now, 0) for name, value in metrics(run)],
        params=[] if found else [Param(name, value) for name, value in params(run)],
        tags=[RunTag(name, value) for name, value in tags(run)],
    )
    for file in (REPORT_NAME, PAGE_NAME):
        if (directory / file).exists():
            client.log_artifact(known.info.run_id, str(directory / file))
    status = "FAILED" if run.verdict == "error" else "FINISHED"
    client.set_terminated(known.info.run_id, status)


def run_record(directory: Path) -> record.RunRecord:
    """The record of the finished run in a directory.

    Raises `ReportError` when its report is damaged, `RunDirectoryError` when it holds no run.
    """
    report = load.load(directory / REPORT_NAME)
    return record.from_report(report, read_json(directory / RUN_NAME), directory)


def metrics(run: record.RunRecord) -> Iterator[tuple[str, float]]:
    """Agreement, SNR and errors of every step and output, and latencies; only finite ones."""
    for step in run.steps:
        where = f"{_safe(step.reference)}-{_safe(step.candidate)}/{_safe(step.output)}"
        for name, value in (
            ("agreement", step.agreement),
            ("snr_db", step.snr_db),
            ("max_abs_error", step.max_abs_error),
            ("max_lsb", step.max_lsb),
        ):
            if value is not None and math.isfinite(value):
                yield f"{name}/{where}", value
    for rung in run.rungs:
        if rung.median_ms is not None:
            yield f"latency_ms/{_safe(rung.name)}", rung.median_ms
        if rung.p90_ms is not None:
            yield f"latency_p90_ms/{_safe(rung.name)}", rung.p90_ms


def params(run: record.RunRecord) -> Iterator[tuple[str, str]]:
    """What was chosen."""
    yield "model", run.model
    yield "compression", run.compression
    yield "device", run.device
    yield "samples", str(run.samples)
    yield "synthetic", str(run.synthetic)


def tags(run: record.RunRecord) -> Iterator[tuple[str, str]]:
    """What came of it, and the hashes of everything."""
    yield _KEY, run.key
    yield "devdiff.version", run.version
    yield "devdiff.verdict", run.verdict
    yield "devdiff.summary", run.summary
    yield "devdiff.model.sha256", run.model_sha256
    yield "devdiff.inputs.sha256", run.inputs_sha256
    if run.culprit is not None:
        yield "devdiff.culprit", run.culprit
    if run.scan is not None:
        yield "devdiff.scanner", run.scan
    for rung in run.rungs:
        yield f"devdiff.{_safe(rung.name)}.sha256", rung.sha256
        yield f"devdiff.{_safe(rung.name)}.runtime", rung.runtime
        if rung.runtime_sha256 is not None:
            yield f"devdiff.{_safe(rung.name)}.runtime.sha256", rung.runtime_sha256


def _name(run: record.RunRecord) -> str:
    return f"{run.model} {run.compression} on {run.device}"


def _experiment(client: MlflowClient) -> str:
    """The experiment named by MLFLOW_EXPERIMENT_NAME, or devdiff's; made when it is not there."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another run may have made it meanwhile.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _safe(name: str) -> str:
    """A name from outside as a part of what MLflow takes as a name."""
    return re.sub(r"[^A-Za-z0-9_. -]", "_", name)[:100] or "_"


if __name__ == "__main__":
    send(Path(sys.argv[1]))
