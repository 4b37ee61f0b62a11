"""Every finished run is kept, once, and a history that cannot be kept harms no run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.history import append, database_path, tracking
from devdiff.history.store import History, Wanted
from devdiff.progress import SilentEvents
from tests.support.bare_reports import typed
from tests.support.command import DATA, devdiff

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.history.record import RunRecord
    from tests.support.html_runs import FinishedRun


class Notes(SilentEvents):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.slow
def test_a_run_that_is_continued_is_listed_once(passed_run: FinishedRun, tmp_path: Path) -> None:
    history = History(tmp_path / "data/history.sqlite")
    test = (
        *("export-and-test", passed_run.folder / "artifacts/int8.tflite", *DATA),
        *("--device", "none", "--out", "run"),
    )
    for _ in range(2):  # a single rung has nothing to be compared with: an error, so it continues
        done = devdiff(*test, cwd=tmp_path, env={database_path.VARIABLE: str(history.path)})
        assert done.returncode == 3, done.stderr
    (run,) = history.runs(Wanted())
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert (run.verdict, run.device, run.model) == ("error", "none", "int8.tflite")
    assert run.finished == report["finished"]
    assert run.directory == str((tmp_path / "run").resolve())


def test_a_history_that_cannot_be_written_is_a_note(
    passed_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").write_bytes(b"x" * 4096)
    monkeypatch.setenv(database_path.VARIABLE, str(tmp_path / "broken"))
    notes = Notes()
    append.append_run(typed(passed_run.report), passed_run.folder, notes)
    (said,) = notes.said
    assert "this run is not in the history" in said
    assert "DEVDIFF_HISTORY names another file, or 'off'" in said


def test_a_history_that_is_off_keeps_nothing(
    passed_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(database_path.VARIABLE, "off")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    notes = Notes()
    append.append_run(typed(passed_run.report), passed_run.folder, notes)
    assert notes.said == []
    assert list(tmp_path.iterdir()) == []


def test_mlflow_asked_for_and_not_installed_is_a_note_that_says_how(
    passed_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.TRACKING_URI, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    notes = Notes()
    append.append_run(typed(passed_run.report), passed_run.folder, notes)
    assert notes.said == [
        "MLFLOW_TRACKING_URI is set and MLflow is not installed: pip install 'devdiff[mlflow]'"
    ]


def test_mlflow_names_are_made_of_what_it_takes(passed_record: RunRecord) -> None:
    names = [name for name, _ in tracking.metrics(passed_record)]
    assert "agreement/source-device/logits" in names
    assert "latency_ms/device" in names
    assert "snr_db/int8-device/logits" not in names  # nothing differs: infinite
    assert tracking._safe('a/b:"c"\n') == "a_b__c__"


def stored(uri: str, folder: Path) -> list[dict[str, Any]]:
    """The runs in an MLflow store, read in a process of its own, as they were logged."""
    script = (
        "import json, mlflow\n"
        "client = mlflow.MlflowClient()\n"
        "experiment = client.get_experiment_by_name('devdiff')\n"
        "runs = client.search_runs([experiment.experiment_id])\n"
        "print(json.dumps([{'status': run.info.status, 'metrics': run.data.metrics,\n"
        "    'params': run.data.params, 'tags': run.data.tags,\n"
        "    'files': sorted(file.path for file in client.list_artifacts(run.info.run_id))}\n"
        "    for run in runs]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={tracking.TRACKING_URI: uri},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runs: list[dict[str, Any]] = json.loads(done.stdout)
    return runs


@pytest.mark.slow
def test_a_run_is_logged_to_mlflow_once(
    passed_run: FinishedRun,
    passed_record: RunRecord,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.sqlite"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(tracking.TRACKING_URI, uri)
    notes = Notes()
    for _ in range(2):
        append.append_run(typed(passed_run.report), passed_run.folder, notes)
    assert notes.said == []
    (run,) = stored(uri, tmp_path)
    assert run["status"] == "FINISHED"
    assert run["files"] == ["report.html", "report.json"]
    assert run["metrics"] == pytest.approx(dict(tracking.metrics(passed_record)))
    assert run["params"] == dict(tracking.params(passed_record))
    assert run["tags"].items() >= dict(tracking.tags(passed_record)).items()
    assert run["tags"]["devdiff.int8.sha256"] == passed_run.report["rungs"][2]["model"]["sha256"]


@pytest.mark.slow
def test_an_mlflow_server_that_is_not_there_is_a_note(
    passed_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.TRACKING_URI, "http://me:secret@127.0.0.1:9")
    notes = Notes()
    append.append_run(typed(passed_run.report), passed_run.folder, notes)
    (said,) = notes.said
    assert said.startswith("this run is not in MLflow, which MLFLOW_TRACKING_URI names: ")
    assert "secret" not in said


def test_mlflow_that_does_not_answer_is_given_up(
    passed_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.TRACKING_URI, "http://127.0.0.1:9")
    assert tracking.log(passed_run.folder, timeout_s=0.05) == "no answer within 0.05 s"
