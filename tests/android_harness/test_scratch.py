"""What a killed process left is found by its name and removed; what lives is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from devdiff.system import scratch
from devdiff.system.atomic_file import write_whole
from devdiff.system.cache import whole_directory

if TYPE_CHECKING:
    from pathlib import Path

LEAVE = """
import os, signal, sys
from pathlib import Path
from devdiff.system.cache import whole_directory
from devdiff.system.scratch import scratch_directory
from devdiff.system.atomic_file import whole_bytes

with (
    scratch_directory("chunks") as folder,
    whole_directory(Path("made")) as partial,
    whole_bytes(Path("report.json")) as stream,
):
    (folder / "0").write_text("half")
    (partial / "1").write_text("half")
    stream.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, also that of temporary files, in which a process was killed in its work."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LEAVE], cwd=tmp_path, env=env, check=False)
    assert done.returncode < 0
    assert len(list(tmp_path.iterdir())) == 3
    return tmp_path


def test_the_next_who_makes_the_same_removes_what_is_left(killed: Path) -> None:
    scratch.sweep.cache_clear()
    scratch.sweep()
    assert len(list(killed.iterdir())) == 2
    with whole_directory(killed / "made") as folder:
        (folder / "2").touch()
    write_whole(killed / "report.json", b"whole")
    assert sorted(path.name for path in killed.iterdir()) == ["made", "report.json"]
    assert (killed / "report.json").read_bytes() == b"whole"


def test_what_belongs_to_the_living_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "devdiff-of-the-user").mkdir()
    (tmp_path / "devdiff-chunks~1-1~x").mkdir()  # process 1 lives, but began at another time
    with scratch.scratch_directory("chunks") as folder:
        assert scratch.owner_token() in folder.name
        scratch.sweep.cache_clear()
        scratch.sweep()
        assert folder.exists()
        assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "devdiff-of-the-user"])
    assert not folder.exists()
