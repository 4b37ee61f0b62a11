"""A run directory belongs to one run at a time, and an interrupted run finds its own again."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from devdiff.errors import RunDirectoryError
from devdiff.ladder.run_directory import make_way, open_run, write_json

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = {"model": "a", "seed": 0}


def test_an_unfinished_run_is_continued_and_a_finished_one_is_not(tmp_path: Path) -> None:
    with open_run(None, "m", REQUEST, tmp_path) as first:
        assert not first.resumed
    with open_run(None, "m", REQUEST, tmp_path) as second:
        assert second.resumed
        assert second.path == first.path
        write_json(second.report, {"verdict": "pass"})
    with open_run(None, "m", REQUEST, tmp_path) as third:
        assert not third.resumed
        assert third.path != first.path


def test_a_run_that_ended_in_error_may_be_continued(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "m", REQUEST) as first:
        write_json(first.report, {"verdict": "error"})
    with open_run(tmp_path / "run", "m", REQUEST) as second:
        assert second.resumed
        assert not second.report.exists()


def test_other_requests_do_not_share_a_run(tmp_path: Path) -> None:
    with open_run(None, "m", REQUEST, tmp_path) as first:
        pass
    with open_run(None, "m", {**REQUEST, "seed": 1}, tmp_path) as second:
        assert second.path != first.path
    with (
        pytest.raises(RunDirectoryError, match="other options or files"),
        open_run(first.path, "m", {**REQUEST, "seed": 2}),
    ):
        pass


def test_a_named_directory_must_be_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(RunDirectoryError, match=r"holds 'thesis\.tex'"),
        open_run(tmp_path, "m", REQUEST),
    ):
        pass


def test_a_finished_named_run_is_kept(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", "m", REQUEST) as run:
        write_json(run.report, {"verdict": "fail"})
    with (
        pytest.raises(RunDirectoryError, match="finished"),
        open_run(tmp_path / "run", "m", REQUEST),
    ):
        pass


def test_two_runs_in_one_directory(tmp_path: Path) -> None:
    with (
        open_run(tmp_path / "run", "m", REQUEST),
        pytest.raises(RunDirectoryError, match="in use by another"),
        open_run(tmp_path / "run", "m", REQUEST),
    ):
        pass
    with (
        open_run(None, "m", REQUEST, tmp_path) as busy,
        open_run(None, "m", REQUEST, tmp_path) as other,
    ):
        assert busy.path != other.path


def test_a_finished_run_or_another_gives_way_and_an_unfinished_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "bisect"
    make_way(path, REQUEST, "bisect.json")
    with (
        open_run(path, "m", REQUEST, result="bisect.json"),
        pytest.raises(RunDirectoryError, match="in use by another"),
    ):
        make_way(path, REQUEST, "bisect.json")
    make_way(path, REQUEST, "bisect.json")
    assert path.exists()
    write_json(path / "bisect.json", {"verdict": "fail"})
    make_way(path, REQUEST, "bisect.json")
    assert not path.exists()
    with open_run(path, "m", REQUEST, result="bisect.json"):
        pass
    make_way(path, {"model": "b"}, "bisect.json")
    assert not path.exists()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal, pathlib\n"
        "from devdiff.ladder.run_directory import open_run\n"
        f"with open_run(pathlib.Path({str(tmp_path / 'run')!r}), 'm', {REQUEST!r}):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with open_run(tmp_path / "run", "m", REQUEST) as run:
        assert run.resumed


def test_names_from_outside_stay_inside(tmp_path: Path) -> None:
    with open_run(None, "../../etc/pass wd\n", REQUEST, tmp_path) as run:
        assert run.path.parent == tmp_path
        assert run.path.name.endswith("-etc-pass-wd")


def test_json_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert os.listdir(tmp_path) == ["x.json"]  # noqa: PTH208
