"""The history's file: what is put in comes out, from several processes, across versions."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.errors import HistoryError
from devdiff.history import tables
from devdiff.history.store import History, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devdiff.history.record import RunRecord
    from tests.support.history_runs import Like

ALL = Wanted()


def keys(history: History, **wanted: Any) -> list[str]:
    return [run.key for run in history.runs(Wanted(**wanted))]


def test_a_run_comes_out_as_it_went_in(history: History, like: Like) -> None:
    run = like("a", culprit="compression", scan="finding", serial="emulator-5554")
    history.append(run)
    assert history.runs(ALL) == [run]


def test_a_continued_run_replaces_what_it_was(history: History, like: Like) -> None:
    history.append(like("a", verdict="error", steps=()))
    history.append(like("a", verdict="pass"))
    (run,) = history.runs(ALL)
    assert (run.verdict, run) == ("pass", like("a"))


def test_the_latest_come_first_and_the_limit_keeps_them(history: History, like: Like) -> None:
    for day in (3, 1, 2):
        history.append(like(f"day {day}", finished=f"2026-01-0{day}T00:00:00+00:00"))
    assert keys(history) == ["day 3", "day 2", "day 1"]
    assert keys(history, limit=2) == ["day 3", "day 2"]
    assert keys(history, since="2026-01-02T00:00:00+00:00") == ["day 3", "day 2"]


def test_a_model_is_found_by_its_name_with_or_without_suffix(history: History, like: Like) -> None:
    for name in ("reader.onnx", "reader.v2.onnx", "reader_1.onnx", "READER.onnx", "readerX1.onnx"):
        history.append(like(name, model=name))
    assert keys(history, model="reader.onnx") == ["reader.onnx"]
    assert keys(history, model="reader.v2") == ["reader.v2.onnx"]
    assert keys(history, model="reader_1") == ["reader_1.onnx"]
    assert "reader.v2.onnx" not in keys(history, model="reader")
    assert keys(history, model="%") == []
    assert history.models() == sorted(
        ["reader.onnx", "reader.v2.onnx", "reader_1.onnx", "READER.onnx", "readerX1.onnx"]
    )


def test_a_file_is_found_where_it_was_the_model_or_on_a_rung(
    history: History, like: Like, passed_record: RunRecord
) -> None:
    history.append(like("a"))
    history.append(like("b", model_sha256="ab" * 32, rungs=()))
    int8 = passed_record.rungs[-1].sha256
    assert keys(history, model="renamed.tflite", sha256=int8) == ["a"]
    assert keys(history, model="renamed.onnx", sha256="ab" * 32) == ["b"]
    assert keys(history, model="renamed.onnx", sha256="cd" * 32) == []


def test_a_device_is_found_by_name_or_serial(history: History, like: Like) -> None:
    history.append(like("pixel", device="Pixel 7", serial="0A1B"))
    history.append(like("virtual", device="virtual cortex-a76", serial="emulator-5554"))
    history.append(like("none", device="none"))
    assert keys(history, device="pixel 7") == ["pixel"]
    assert keys(history, device="0a1b") == ["pixel"]
    assert keys(history, device="virtual") == ["virtual"]
    assert keys(history, device="virtual cortex-a76") == ["virtual"]
    assert keys(history, device="emulator-5554") == ["virtual"]
    assert keys(history, device="none") == ["none"]
    assert keys(history, device="%") == []


def test_what_is_forgotten_leaves_nothing_behind(history: History, like: Like) -> None:
    for key in ("a", "b"):
        history.append(like(key, model=f"{key}.onnx"))
    assert history.forget(Wanted(model="a", limit=1)) == 1
    assert keys(history) == ["b"]
    with sqlite3.connect(history.path) as raw:
        for table in ("rungs", "steps"):
            assert raw.execute(f"SELECT DISTINCT run FROM {table}").fetchall() == [("b",)]
    raw.close()


def append_some(path: Path, run: RunRecord, writer: int) -> None:
    for place in range(6):
        History(path).append(dataclasses.replace(run, key=f"{writer}-{place}"))


@pytest.mark.slow
def test_several_processes_may_write_a_new_history_at_once(
    history: History, passed_record: RunRecord
) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        writers = [pool.submit(append_some, history.path, passed_record, at) for at in range(3)]
        for writer in writers:
            writer.result()
    assert len(history.runs(ALL)) == 18


def test_reading_makes_no_file(history: History) -> None:
    assert history.runs(ALL) == []
    assert history.models() == []
    assert history.forget(ALL) == 0
    assert not history.path.exists()


@pytest.mark.parametrize("name", ["a b.sqlite", "a%20b?mode=ro#c.sqlite", "new/folder/ä.sqlite"])
def test_any_name_will_do(name: str, tmp_path: Path, like: Like) -> None:
    history = History(tmp_path / name)
    history.append(like("a"))
    assert history.path.is_file()
    assert keys(history) == ["a"]


def test_a_file_of_a_newer_devdiff_is_left_alone(history: History, like: Like) -> None:
    history.append(like("a"))
    with sqlite3.connect(history.path) as raw:
        raw.execute(f"PRAGMA user_version = {tables.newest() + 1}")
    raw.close()
    before = history.path.read_bytes()
    for use in (lambda: history.append(like("b")), lambda: history.runs(ALL)):
        with pytest.raises(HistoryError, match="written by a newer devdiff"):
            use()
    assert history.path.read_bytes() == before


@pytest.mark.parametrize(
    "use",
    [
        lambda history, run: history.append(run),
        lambda history, _: history.runs(ALL),
        lambda history, _: history.models(),
        lambda history, _: history.forget(Wanted(model="another")),
    ],
    ids=["append", "runs", "models", "forget"],
)
def test_an_older_file_is_brought_up_to_date_and_keeps_its_runs(
    use: Callable[[History, RunRecord], object],
    history: History,
    like: Like,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history.append(like("a"))

    def later(connection: Any) -> None:
        connection.exec_driver_sql("CREATE TABLE later (id INTEGER)")

    monkeypatch.setattr(tables, "_UPGRADES", (*tables._UPGRADES, later))
    use(history, like("b"))
    with sqlite3.connect(history.path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (tables.newest(),)
        assert raw.execute("SELECT * FROM later").fetchall() == []
    raw.close()
    assert "a" in keys(history)


def test_runs_of_before_there_were_projects_belong_to_where_they_lie(
    history: History, like: Like, tmp_path: Path
) -> None:
    (tmp_path / "mine" / ".git").mkdir(parents=True)
    directory = tmp_path / "mine" / "ml" / "devdiff-runs" / "20260101-120000-reader"
    history.append(like("a", directory=str(directory)))
    with sqlite3.connect(history.path) as raw:
        raw.execute("DROP INDEX ix_runs_project")
        raw.execute("ALTER TABLE runs DROP COLUMN project")
        raw.execute("PRAGMA user_version = 1")
    raw.close()
    (run,) = history.runs(Wanted(project=str(tmp_path / "mine")))
    assert run.key == "a"
    history.append(like("b"))
    assert len(history.runs(ALL)) == 2


def test_an_upgrade_that_fails_changes_nothing(
    history: History, like: Like, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.append(like("a"))

    def broken(connection: Any) -> None:
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")

    monkeypatch.setattr(tables, "_UPGRADES", (*tables._UPGRADES, broken))
    with pytest.raises(HistoryError, match="already exists"):
        history.append(like("b"))
    monkeypatch.undo()
    assert keys(history) == ["a"]


def test_what_is_no_history_is_refused(history: History, like: Like, tmp_path: Path) -> None:
    history.path.write_text("not a database, whatever it is called " * 20)
    with pytest.raises(HistoryError, match="cannot be used as the history"):
        history.append(like("a"))
    with pytest.raises(HistoryError, match="cannot be used as the history"):
        History(tmp_path).append(like("a"))
    with pytest.raises(HistoryError, match=r"Not a directory|File exists"):
        History(history.path / "below.sqlite").append(like("a"))
