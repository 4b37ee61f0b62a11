"""Runs on a phone survive what phones do; no answer is ever wrong because of it.

The phone is a real adb daemon on an emulated ARM64 machine. Whatever happens, the results are
those of the host, bit for bit, or the run stops and says so.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.adb.device_store import ROOT
from devdiff.device_runner.errors import DeviceRunnerError, RunnerError, TransferError
from devdiff.device_runner.runtimes import runtime
from devdiff.device_runner.virtual.phone import VirtualPhone, find
from tests.support.broken_runtime import ABI
from tests.support.phone_bench import SAMPLES, Digits, run, runner, shell
from tests.support.wire_proxy import Message, Proxy, Spoil

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

StartPhone = Callable[..., VirtualPhone]


def once(at: int, act: Callable[[], None]) -> Callable[[int], None]:
    """A progress listener that acts the first time ``at`` samples are done."""
    acted = False

    def progress(done: int) -> None:
        nonlocal acted
        if done >= at and not acted:
            acted = True
            act()

    return progress


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_the_phone_answers_as_the_host_does(
    start_phone: StartPhone, digits: Digits, tmp_path: Path, cpu: str
) -> None:
    phone = start_phone(cpu)
    outcome = run(runner(phone), digits.job(tmp_path))
    digits.check(tmp_path)
    assert outcome.about["arch"] == "aarch64"
    assert outcome.about["delegate"] == "xnnpack"
    assert shell(phone, f"ls {ROOT}/runs") == ""


def test_a_second_run_sends_nothing(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    first = run(runner(phone), digits.job(tmp_path))
    assert first.about["sent_bytes"] > 1 << 20
    (tmp_path / "results.pack").unlink()
    second = run(runner(phone), digits.job(tmp_path))
    assert second.about["sent_bytes"] == 0
    digits.check(tmp_path)


def test_inputs_go_in_chunks_where_they_must(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    outcome = run(runner(start_phone(), chunk_bytes=100_000), digits.job(tmp_path))
    digits.check(tmp_path)
    assert outcome.about["sent_bytes"] > SAMPLES * 784


def test_more_input_than_the_phone_has_room_for_goes_through_it_in_parts(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    room = -(-runtime.for_device(ABI).path.stat().st_size // (1 << 20)) + 2
    phone = start_phone(storage_mib=room)
    samples = 3000
    size = samples * len(digits.encoded(0))
    assert size > 2 << 20
    outcome = run(runner(phone), digits.job(tmp_path, samples))
    assert outcome.about["sent_bytes"] > size
    digits.check(tmp_path, samples)


def test_a_stored_file_that_was_changed_is_sent_again(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    run(runner(phone), digits.job(tmp_path, samples=5))
    model = f"{ROOT}/store/{digits.artifact.sha256}"
    shell(phone, f"printf x | dd of={model} bs=1 seek=9000 conv=notrunc 2>/dev/null")
    (tmp_path / "results.pack").unlink()
    outcome = run(runner(phone), digits.job(tmp_path, samples=5))
    assert outcome.about["sent_bytes"] == digits.artifact.path.stat().st_size
    digits.check(tmp_path, samples=5)


def test_without_a_tool_to_hash_the_runner_itself_knows_what_is_there(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()

    def know_no_tool(message: Message) -> Message:
        return message._replace(data=message.data.replace(b"sha256sum", b"sha256non"))

    with contextlib.closing(Proxy(phone.port, up=Spoil(edit=know_no_tool))) as proxy:

        def sent() -> int:
            (tmp_path / "results.pack").unlink(missing_ok=True)
            remote = RemoteRunner(devices.resolve(proxy.serial, {}), RemoteOptions())
            outcome = run(remote, digits.job(tmp_path, samples=5))
            digits.check(tmp_path, samples=5)
            return int(outcome.about["sent_bytes"])

        assert sent() > 1 << 20
        assert sent() == 0
        model = f"{ROOT}/store/{digits.artifact.sha256}"
        shell(phone, f"printf x | dd of={model} bs=1 seek=9000 conv=notrunc")
        assert sent() == digits.artifact.path.stat().st_size


@pytest.fixture
def proxy(start_phone: StartPhone) -> Iterator[Proxy]:
    """A phone's address that the next phone can have, too; ports are others' to take as well."""
    with contextlib.closing(Proxy(start_phone().port)) as proxy:
        yield proxy


def test_a_phone_that_dies_and_comes_back_empty_is_gone_on_with(
    start_phone: StartPhone, proxy: Proxy, digits: Digits, tmp_path: Path
) -> None:
    def reboot() -> None:
        kill(proxy)
        proxy.target = start_phone().port

    run(runner(proxy), digits.job(tmp_path), once(200, reboot))
    digits.check(tmp_path)


def test_a_phone_that_dies_for_good_keeps_what_was_measured(
    start_phone: StartPhone, proxy: Proxy, digits: Digits, tmp_path: Path
) -> None:
    with pytest.raises(RunnerError, match=r"samples are kept: run the same command again"):
        run(runner(proxy), digits.job(tmp_path), once(200, lambda: kill(proxy)))
    proxy.target = start_phone().port
    outcome = run(runner(proxy), digits.job(tmp_path))
    assert outcome.resumed >= 200
    digits.check(tmp_path)


def kill(proxy: Proxy) -> None:
    """Take the power of the phone behind a proxy away."""
    find(f"emulator-{proxy.target - 1}").kill()


def test_a_killed_adb_daemon_comes_back(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()

    def kill_adbd() -> None:
        with pytest.raises(DeviceRunnerError, match=phone.serial):
            shell(phone, "kill -9 $(pidof adbd); sleep 5")

    run(runner(phone), digits.job(tmp_path), once(200, kill_adbd))
    digits.check(tmp_path)


def test_a_killed_runner_is_started_again(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()

    def kill_runner() -> None:
        shell(phone, f"kill -9 $(cat {ROOT}/runs/*/pid)")

    run(runner(phone), digits.job(tmp_path), once(200, kill_runner))
    digits.check(tmp_path)


def test_a_phone_that_hangs_for_a_while_is_waited_for(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    timers = []

    def hang() -> None:
        phone.pause()
        timers.append(threading.Timer(14, phone.resume))
        timers[0].start()

    run(runner(phone), digits.job(tmp_path, timeout_s=10), once(200, hang))
    timers[0].join()
    digits.check(tmp_path)


def test_a_full_phone_says_how_much_is_missing(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone(storage_mib=4)
    with pytest.raises(TransferError, match=r"MB are needed .* MB are free"):
        run(runner(phone), digits.job(tmp_path))
    assert "partial" not in shell(phone, f"ls {ROOT}/store")


def test_storage_that_fills_in_the_middle_is_named_and_the_run_continues(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    other = "/data/local/tmp/other"

    def fill() -> None:
        # Whatever is freed is taken again.
        endless = f"while true; do cat /dev/zero >> {other}; sleep 0.02; done"
        shell(phone, f"setsid sh -c '{endless}' > /dev/null 2>&1 & echo $! > {other}.pid; "
                     "until df -k /data/local/tmp | grep -q 100%; do sleep 0.1; done")  # fmt: skip

    with pytest.raises(TransferError, match="storage is full") as raised:
        run(runner(phone, chunk_bytes=100_000), digits.job(tmp_path), once(200, fill))
    assert "remove something there" in str(raised.value)

    shell(phone, f"kill -9 -$(cat {other}.pid); kill -9 $(pidof cat); rm {other}")
    outcome = run(runner(phone, chunk_bytes=100_000), digits.job(tmp_path))
    digits.check(tmp_path)
    assert outcome.resumed >= 100


def test_the_store_keeps_to_its_budget(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    run(runner(phone), digits.job(tmp_path, samples=5))
    stale = "0" * 64
    shell(phone, f"dd if=/dev/zero of={ROOT}/store/{stale} bs=1M count=20; "
                 f"touch -t 200001010000 {ROOT}/store/{stale}")  # fmt: skip
    (tmp_path / "results.pack").unlink()
    run(runner(phone, budget=16 << 20), digits.job(tmp_path, samples=6))
    left = shell(phone, f"ls {ROOT}/store").split()
    assert stale not in left
    assert digits.artifact.sha256 in left


@pytest.mark.parametrize("by_port", [False, True])
def test_two_runs_on_one_phone_queue(
    start_phone: StartPhone, digits: Digits, tmp_path: Path, by_port: bool
) -> None:
    phone = start_phone()
    serials = {"a": phone.serial, "b": f"127.0.0.1:{phone.port}" if by_port else phone.serial}
    failures: list[BaseException] = []
    waited: list[str] = []

    def one(name: str) -> None:
        try:
            (tmp_path / name).mkdir()
            address = devices.resolve(serials[name], {})
            remote = RemoteRunner(address, RemoteOptions(), waited.append)
            run(remote, digits.job(tmp_path / name, samples=200))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(waited) == 1
    for name in ("a", "b"):
        digits.check(tmp_path / name, samples=200)


def test_what_a_dead_run_left_is_swept(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone = start_phone()
    remote = runner(phone)
    remote.identity()
    assert len(shell(phone, f"ls {ROOT}/runs").split()) == 1
    # As if this process had been killed: the connection and the lock go, the run folder stays.
    remote._device.disconnect()
    remote._device._open.close()
    run(runner(phone), digits.job(tmp_path, samples=5))
    assert shell(phone, f"ls {ROOT}/runs") == ""
