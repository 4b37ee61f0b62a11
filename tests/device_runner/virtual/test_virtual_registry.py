"""What is left of phones is cleared away, and nobody else's process is ever harmed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual import registry
from devdiff.device_runner.virtual.registry import PhoneRecord, Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEVDIFF_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run" / "phones"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def record(token: str = "a1b2", **changes: object) -> PhoneRecord:
    base = PhoneRecord(
        token, 5555, "cortex-a53", 1024, 512, "", False, False, "i", "q", time.time()
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def kept(one: PhoneRecord) -> PhoneRecord:
    one.directory.mkdir(parents=True)
    one.write()
    return one


def identity(process: subprocess.Popen[bytes]) -> Process:
    found = Process.of(process.pid)
    assert found is not None
    return found


def test_a_phone_is_listed_while_its_process_lives(
    place: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    one = kept(record(process=identity(sleeper)))
    assert registry.records() == [one]
    sleeper.kill()
    sleeper.wait()
    assert registry.records() == []
    registry.sweep()
    assert list(place.iterdir()) == []


def test_a_process_that_got_the_number_of_a_dead_phone_is_left_alone(
    place: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    now = identity(sleeper)
    one = kept(record(process=dataclasses.replace(now, started=now.started - 1)))
    assert registry.records() == []
    registry.sweep()
    assert list(place.iterdir()) == []
    one.remove()
    Process(now.pid, now.started - 1).kill()
    assert sleeper.poll() is None


@pytest.mark.parametrize("state", ["no record", "half a record", "record without process"])
def test_what_a_killed_start_left_behind_is_removed_but_strangers_live(
    place: Path, sleeper: subprocess.Popen[bytes], state: str
) -> None:
    one = kept(record())
    # Written by a machine that is gone; its number belongs to somebody else by now.
    (one.directory / "qemu.pid").write_text(f"{sleeper.pid}\n")
    if state != "record without process":
        path = one.directory / "phone.json"
        path.write_bytes(path.read_bytes()[:40] if state == "half a record" else b"")
    registry.sweep()
    assert list(place.iterdir()) == []
    assert sleeper.poll() is None


@pytest.mark.parametrize("recorded", [True, False])
def test_a_machine_is_found_by_its_name_when_its_starter_was_killed(
    place: Path, recorded: bool
) -> None:
    one = kept(record())
    if not recorded:
        (one.directory / "phone.json").unlink()
    script = "import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script, "-name", one.machine_name]) as machine:
        (one.directory / "qemu.pid").write_text(str(machine.pid))
        assert registry.records() == ([one] if recorded else [])
        if recorded:
            one.remove()
        else:
            registry.sweep()
        assert machine.wait(10) == -9
    assert list(place.iterdir()) == []


def test_a_phone_dies_after_its_owner_and_not_before(
    place: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    mine = Process.of(os.getpid())
    one = kept(record(process=identity(sleeper), owner=mine))
    registry.sweep()
    assert registry.records() == [one]
    dead = Process(os.getpid(), 1)
    dataclasses.replace(one, owner=dead).write()
    registry.sweep()
    assert sleeper.wait(10) == -9
    assert list(place.iterdir()) == []


def test_a_dead_but_unburied_process_counts_as_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        alive = identity(child)
        assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Process.of(child.pid) is None
        assert not alive.alive
        alive.kill()


def test_a_place_that_belongs_to_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    monkeypatch.setenv("DEVDIFF_RUNTIME_DIR", str(tmp_path / "link"))
    with pytest.raises(VirtualPhoneError, match="belongs to somebody else"):
        registry.runtime_root()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEVDIFF_RUNTIME_DIR", str(tmp_path / "file" / "run"))
    with pytest.raises(VirtualPhoneError, match="cannot keep virtual phones in"):
        registry.runtime_root()
