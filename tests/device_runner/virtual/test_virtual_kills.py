"""Killed starts, and starts at the same time, leave a state that everybody can go on from."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.probe import ProbeReply
from tests.support.phone_fixtures import in_another_process, shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devdiff.device_runner.virtual.phone import VirtualPhone

pytestmark = pytest.mark.slow

KILLS = 6


def starting(cpu: str, *, owned: bool, snapshot: bool) -> str:
    return (
        "import sys\n"
        "from devdiff.device_runner.virtual import phone\n"
        f"one = phone.start({cpu!r}, owned={owned}, snapshot={snapshot})\n"
        "print(one.serial, flush=True)\n"
        "sys.stdin.read()\n"
    )


def test_starts_at_the_same_time_get_phones_of_their_own(phone_place: Path) -> None:
    script = starting("cortex-a53", owned=False, snapshot=True)
    children = [in_another_process(script, stdin=-1) for _ in range(4)]
    try:
        serials = [child.stdout.readline().strip() for child in children if child.stdout]
        assert len(set(serials)) == len(children)
        running = phone.running()
        assert sorted(serials) == [one.serial for one in running]
        assert all(one.answer() is ProbeReply.READY for one in running)
    finally:
        for child in children:
            child.communicate("")
        for one in phone.running():
            one.stop()


# Counts what a start does to the machine, and ends the process before the step that was asked for.
DYING = """
import os, signal, sys
left, done = int(sys.argv[1]), 0
def hook(event, arguments):
    global done
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "subprocess.Popen"):
        done += 1
        if done == left:
            os.kill(os.getpid(), signal.SIGKILL)
from devdiff.device_runner.virtual import phone
sys.addaudithook(hook)
one = phone.start("cortex-a53", owned=True, snapshot=bool(int(sys.argv[2])))
print(done, flush=True)
sys.stdin.read()
"""


def dying(step: int, snapshot: bool) -> subprocess.Popen[str]:
    """A process that starts a phone and is killed before that step; never for step 0."""
    command = [sys.executable, "-c", DYING, str(step), str(int(snapshot))]
    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True)


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_start_killed_at_any_step_confuses_nobody(
    phone_place: Path, start_phone: Callable[..., VirtualPhone], snapshot: bool
) -> None:
    """Killed before seeded steps from the import to the running phone; all starts were owned."""
    counted, _ = dying(0, snapshot).communicate("")
    steps = int(counted)
    assert phone.running() == []
    drawn = random.Random(17 + snapshot)
    killed = 0
    while killed < KILLS:
        step = drawn.randint(1, steps)
        child = dying(step, snapshot)
        done, _ = child.communicate("")
        if child.returncode == 0:
            # A start that had to wait less often for its phone took fewer steps than were counted.
            assert int(done) < step
            steps = int(done)
        else:
            assert child.returncode == -signal.SIGKILL
            killed += 1
        assert phone.running() == []
        assert list((phone_place / "phones").iterdir()) == []
    assert start_phone("cortex-a53").answer() is ProbeReply.READY


def test_a_phone_that_nobody_owns_survives_its_starter(phone_place: Path) -> None:
    child = in_another_process(starting("cortex-a53", owned=False, snapshot=True), stdin=-1)
    assert child.stdout is not None
    serial = child.stdout.readline().strip()
    child.kill()
    child.communicate()
    one = phone.find(serial)
    try:
        assert shell(one, "echo still here") == "still here\n"
    finally:
        one.stop()
    assert phone.running() == []
