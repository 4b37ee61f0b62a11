"""Records of runs, made of a real one's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.history import record
from devdiff.history.record import RunRecord
from devdiff.history.store import History
from devdiff.ladder.run_directory import read_json
from tests.support.bare_reports import typed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.html_runs import FinishedRun

Like = Callable[..., RunRecord]


@pytest.fixture(scope="session")
def passed_record(passed_run: FinishedRun) -> RunRecord:
    """The record of the shipped model's run."""
    run = read_json(passed_run.folder / "run.json")
    return record.from_report(typed(passed_run.report), run, passed_run.folder)


@pytest.fixture
def like(passed_record: RunRecord) -> Like:
    """``like(key, field=value)``: that record under another key, with other fields."""

    def made(key: str, **changes: Any) -> RunRecord:
        return dataclasses.replace(passed_record, key=key, **changes)

    return made


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite")
