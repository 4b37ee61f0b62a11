"""A file is there whole or not at all, and readable as any other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from devdiff.system.atomic_file import whole_file
from devdiff.system.cache import whole_directory

if TYPE_CHECKING:
    from pathlib import Path


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), whole_file(path) as stream:
        stream.write("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]


def test_a_whole_file_takes_its_place_and_may_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with whole_file(path, newline="") as stream:
        stream.write("a\r\nö\ud800")
        assert not path.exists()
    assert path.read_bytes() == "a\r\nö?".encode()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / "x.txt"
    before = os.umask(umask)
    try:
        with whole_file(path) as stream:
            stream.write("x")
        with whole_directory(tmp_path / "kept") as folder:
            (folder / "y").write_text("y")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o777 & ~umask
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept", "x.txt"]


def _killed_while_writing(path: Path) -> None:
    with whole_file(path) as stream:
        stream.write("half")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaves_no_half_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_while_writing, args=(path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not path.exists()
