"""A runner on a phone that a sample, the memory or a power cut ends: named, and gone on behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from devdiff.cli.failures import INFRASTRUCTURE, exit_code
from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.adb.device_store import ROOT
from devdiff.device_runner.errors import DeviceRunnerError, RunnerError
from devdiff.device_runner.pack import Status
from devdiff.device_runner.results import last_good
from devdiff.device_runner.virtual.phone import VirtualPhone
from tests.support.broken_runtime import broken_runtime
from tests.support.phone_bench import Digits, records, run, runner, shell
from tests.support.wire_proxy import Proxy, Spoil

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SAMPLES = 60
BAD = 23
StartPhone = Callable[..., VirtualPhone]


@pytest.fixture
def phone(start_phone: StartPhone, digits: Digits, tmp_path: Path) -> VirtualPhone:
    """A small phone whose store has the real runtime."""
    phone = start_phone(memory_mib=256, storage_mib=48)
    (tmp_path / "before").mkdir()
    run(runner(phone), digits.job(tmp_path / "before", samples=1))
    return phone


def test_a_sample_that_crashes_the_runner_is_named_and_the_rest_kept(
    phone: VirtualPhone, digits: Digits, tmp_path: Path
) -> None:
    library = str(broken_runtime(tmp_path, digits.encoded(BAD), "crash"))
    with pytest.raises(
        RunnerError, match=rf"killed by SIGSEGV at sample {BAD} .*--keep-going"
    ) as e:
        run(runner(phone, runtime=library), digits.job(tmp_path, SAMPLES))
    assert exit_code(e.value) == INFRASTRUCTURE
    assert last_good(tmp_path / "results.pack").samples == BAD

    outcome = run(runner(phone, runtime=library, keep_going=True), digits.job(tmp_path, SAMPLES))
    assert outcome.resumed == BAD
    found = records(tmp_path)
    assert [record.status for record in found].count(Status.OK) == SAMPLES - 1
    assert found[BAD].status is Status.CRASHED
    assert "SIGSEGV" in found[BAD].message
    good = [record for record in found if record.index != BAD]
    assert [r.arrays[0].tobytes() for r in good] == [digits.answers[r.index] for r in good]


def test_a_runner_the_phone_has_no_memory_for_is_told_so(
    phone: VirtualPhone, digits: Digits, tmp_path: Path
) -> None:
    daemon = shell(phone, "pidof adbd")
    library = str(broken_runtime(tmp_path, digits.encoded(BAD), "memory"))
    said = rf"killed by the system, which was out of memory \(of 2\d\d MB\) at sample {BAD} of"
    with pytest.raises(RunnerError, match=said) as caught:
        run(runner(phone, runtime=library), digits.job(tmp_path, SAMPLES))
    assert exit_code(caught.value) == INFRASTRUCTURE
    assert shell(phone, "pidof adbd") == daemon
    outcome = run(runner(phone), digits.job(tmp_path, SAMPLES))
    assert outcome.resumed == BAD
    digits.check(tmp_path, SAMPLES)


def test_a_runner_that_is_killed_and_no_memory_was_short_is_told_so(
    phone: VirtualPhone, digits: Digits, tmp_path: Path
) -> None:
    timers: list[threading.Timer] = []

    def progress(done: int) -> None:
        """A second behind the last good sample the runner hangs at the next."""
        if done == BAD and not any(timer.is_alive() for timer in timers):
            timers.append(threading.Timer(1, shell, (phone, f"kill -9 $(cat {ROOT}/runs/*/pid)")))
            timers[-1].start()

    library = str(broken_runtime(tmp_path, digits.encoded(BAD), "hang"))
    with pytest.raises(RunnerError, match=rf"by SIGKILL \(.*somebody\) at sample {BAD} of"):
        run(runner(phone, runtime=library), digits.job(tmp_path, SAMPLES), progress)
    for timer in timers:
        timer.join()


def test_a_sample_that_hangs_the_runner_is_given_up_in_time(
    phone: VirtualPhone, digits: Digits, tmp_path: Path
) -> None:
    library = str(broken_runtime(tmp_path, digits.encoded(BAD), "hang"))
    with pytest.raises(RunnerError, match=rf"no answer for 15 s and was stopped at sample {BAD}"):
        run(runner(phone, runtime=library), digits.job(tmp_path, SAMPLES, timeout_s=15))
    assert "devdiff" not in shell(phone, "pgrep -fl '[d]evdiff/store'")
    assert shell(phone, f"ls {ROOT}/runs") == ""


@pytest.mark.parametrize("loss", ["power", "cable", "adbd"])
def test_a_loss_in_the_middle_of_sending_leaves_nothing_half(
    start_phone: StartPhone, digits: Digits, tmp_path: Path, loss: str
) -> None:
    phone = start_phone()
    up = Spoil(after=3 << 20, cut=loss == "cable", once=True)
    with contextlib.closing(Proxy(phone.port, up=up)) as proxy:

        def lose(phone: VirtualPhone) -> None:
            proxy.spoiled.wait()
            if loss == "power":
                phone.kill()
            elif loss == "adbd":
                with contextlib.suppress(DeviceRunnerError):
                    shell(phone, "kill -9 $(pidof adbd)")

        thief = threading.Thread(target=lose, args=(phone,))
        thief.start()
        address = devices.resolve(proxy.serial, {})
        if loss == "power":
            with pytest.raises(
                DeviceRunnerError, match=rf"{proxy.serial}.* same command"
            ) as caught:
                run(RemoteRunner(address, RemoteOptions()), digits.job(tmp_path, SAMPLES))
            assert exit_code(caught.value) == INFRASTRUCTURE
            phone = start_phone()
            proxy.target = phone.port
        run(RemoteRunner(address, RemoteOptions()), digits.job(tmp_path, SAMPLES))
        thief.join()
    digits.check(tmp_path, SAMPLES)
    stored = shell(phone, f"cd {ROOT}/store && sha256sum *").splitlines()
    assert len(stored) == 4
    assert all(line.split()[0] == line.split()[1] for line in stored)
    assert shell(phone, f"ls {ROOT}/runs") == ""


def test_a_phone_that_stops_taking_what_is_sent_is_not_a_broken_model(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    with contextlib.closing(Proxy(phone.port, up=Spoil(after=3 << 20))) as proxy:
        address = devices.resolve(proxy.serial, {})
        remote = RemoteRunner(address, RemoteOptions(silence_s=2))
        with pytest.raises(RunnerError, match=r"no answer for 2 s while sending .*same command"):
            run(remote, digits.job(tmp_path, SAMPLES))
