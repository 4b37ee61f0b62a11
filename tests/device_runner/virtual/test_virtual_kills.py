"""Killed starts, and starts at the same time, leave a state that everybody can go on from."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device_runner.virtual import phone
from device_runner.virtual.phone import VirtualPhone
from device_runner.virtual.probe import Answer
from tests.support.phone_fixtures import in_another_process, shell

pytestmark = pytest.mark.slow

KILLS = 6


def starting(cpu: str, *, owned: bool, snapshot: bool) -> str:
    return (
        "import sys\n"
        "from device_runner.virtual import phone\n"
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
        assert all(one.answer() is Answer.READY for one in running)
    finally:
        for child in children:
            child.communicate("")
        for one in phone.running():
            one.stop()


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_start_killed_at_any_moment_confuses_nobody(
    phone_place: Path, start_phone: Callable[..., VirtualPhone], snapshot: bool
) -> None:
    """Killed at seeded moments from the import to the running phone; all was started as owned."""
    moments = random.Random(17 + snapshot)
    script = starting("cortex-a53", owned=True, snapshot=snapshot)
    for _ in range(KILLS):
        child = in_another_process(script, stdin=-1)
        time.sleep(moments.uniform(0.1, 0.9 if snapshot else 2.2))
        child.kill()
        child.communicate()
        assert phone.running() == []
        assert list((phone_place / "phones").iterdir()) == []
    assert start_phone("cortex-a53").answer() is Answer.READY


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
