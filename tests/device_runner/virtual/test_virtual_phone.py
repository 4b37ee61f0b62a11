"""A virtual phone is a real adb daemon on an emulated ARM64 machine, and behaves like one."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from adb_shell.exceptions import AdbTimeoutError, TcpTimeoutException

from devdiff.device_runner.errors import RunnerChoiceError, VirtualPhoneError
from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.image import ensure_image
from devdiff.device_runner.virtual.phone import VirtualPhone
from devdiff.device_runner.virtual.probe import ProbeReply
from devdiff.device_runner.virtual.qemu import Machine
from devdiff.device_runner.virtual.snapshot import ensure_snapshot
from tests.support.phone_fixtures import AdbServer, adb_shell_device, shell

pytestmark = pytest.mark.slow

Start = Callable[..., VirtualPhone]
MB = 1_000_000


@pytest.mark.parametrize(
    ("cpu", "part", "dot_products"), [("cortex-a53", "0xd03", False), ("cortex-a76", "0xd0b", True)]
)
@pytest.mark.parametrize("snapshot", [False, True])
def test_it_is_the_cpu_that_was_asked_for(
    start_phone: Start, cpu: str, part: str, dot_products: bool, snapshot: bool
) -> None:
    one = start_phone(cpu, snapshot=snapshot)
    assert one.record.restored is snapshot
    told = shell(one, "cat /proc/cpuinfo; uname -m; getprop ro.devdiff.cpu")
    assert f"CPU part\t: {part}" in told
    assert ("asimddp" in told) is dot_products
    assert told.split()[-2:] == ["aarch64", cpu]


@pytest.mark.parametrize("cpu", ["cortex-a72", "neoverse-n1", "max", "max,sme=off"])
def test_every_other_cpu_boots(start_phone: Start, cpu: str) -> None:
    one = start_phone(cpu, snapshot=False)
    features = shell(one, "grep Features /proc/cpuinfo").split()
    assert ("sve" in features) is cpu.startswith("max")
    assert "sme" not in features


def test_it_says_what_it_is_and_claims_nothing_else(start_phone: Start) -> None:
    one = start_phone()
    told = shell(one, "getprop")
    assert "[ro.product.model]: [devdiff virtual phone]" in told
    assert "[ro.devdiff.virtual]: [1]" in told
    assert "[ro.devdiff.system]: [Linux with glibc, not Android]" in told
    assert "[ro.devdiff.libc]: [glibc 2." in told
    for android in ("ro.build.version", "arm64-v8a", "ro.soc"):
        assert android not in told
    assert shell(one, "getprop ro.build.version.sdk") == "\n"
    assert shell(one, "getprop ro.build.version.sdk none") == "none\n"
    assert shell(one, "id -un; id -gn").split() == ["shell", "shell"]


def test_adb_lists_it_and_works_with_it(
    start_phone: Start, adb_server: AdbServer, tmp_path: Path
) -> None:
    one = start_phone()
    adb_server.run("start-server")
    adb_server.run("-s", one.serial, "wait-for-device")
    assert f"{one.serial}\tdevice" in adb_server.run("devices")
    assert adb_server.run("-s", one.serial, "shell", "echo out; exit 7", code=7) == "out\n"
    content = np.random.default_rng(3).bytes(5 * MB)
    (tmp_path / "sent").write_bytes(content)
    far = "/data/local/tmp/sent"
    adb_server.run("-s", one.serial, "push", tmp_path / "sent", far)
    assert shell(one, f"sha256sum {far}").split()[0] == hashlib.sha256(content).hexdigest()
    adb_server.run("-s", one.serial, "pull", far, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_adb_shell_pushes_and_pulls(start_phone: Start, tmp_path: Path) -> None:
    one = start_phone("cortex-a53")
    content = np.random.default_rng(4).bytes(3 * MB)
    (tmp_path / "sent").write_bytes(content)
    far = "/data/local/tmp/sent"
    device = adb_shell_device(one.port)
    try:
        device.push(str(tmp_path / "sent"), far)
        assert device.shell(f"sha256sum {far}").split()[0] == hashlib.sha256(content).hexdigest()
        device.pull(far, str(tmp_path / "back"))
    finally:
        device.close()
    assert (tmp_path / "back").read_bytes() == content


def test_a_running_adb_server_is_told_of_a_new_phone(
    start_phone: Start, adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    one = start_phone()
    assert phone.announce(one) is False
    adb_server.run("start-server")
    two = start_phone()
    assert phone.announce(two) is True
    adb_server.run("-s", two.serial, "wait-for-device")
    assert adb_server.run("-s", two.serial, "shell", "getprop ro.devdiff.virtual") == "1\n"


def test_several_run_at_once_and_share_nothing(start_phone: Start) -> None:
    one, two = start_phone(), start_phone()
    assert two.port != one.port
    assert {p.serial for p in phone.running()} == {one.serial, two.serial}
    shell(one, "echo one > /data/local/tmp/who")
    shell(two, "echo two > /data/local/tmp/who")
    assert shell(one, "cat /data/local/tmp/who") == "one\n"
    three = start_phone()
    assert shell(three, "ls /data/local/tmp") == ""


def test_it_listens_on_the_loopback_alone(start_phone: Start) -> None:
    one = start_phone()
    assert one.serial == f"emulator-{one.port - 1}"
    port = f":{one.port:04X}"
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(port)
    ]
    assert listening == [f"0100007F{port}"]


@pytest.mark.parametrize("which", ["console", "adb"])
def test_a_pair_of_ports_with_one_taken_is_passed_over(start_phone: Start, which: str) -> None:
    before = start_phone()
    before.stop()
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("127.0.0.1", before.port - (which == "console")))
        taker.listen()
        assert start_phone().port != before.port


def test_a_restored_phone_has_the_right_time(start_phone: Start) -> None:
    start_phone(snapshot=True).stop()
    time.sleep(3)
    one = start_phone(snapshot=True)
    assert one.record.restored
    deadline = time.monotonic() + 30
    # Seconds are counted whole, and the question takes its time.
    while abs(int(shell(one, "date +%s")) - time.time()) > 2.5:
        assert time.monotonic() < deadline


def test_full_storage_is_an_error_on_the_phone_and_nothing_else_breaks(
    start_phone: Start,
) -> None:
    one = start_phone("cortex-a53", storage_mib=24, memory_mib=256, snapshot=False)
    told = shell(one, "cd /data/local/tmp; dd if=/dev/zero of=big bs=1M count=30; echo $?; ls -s")
    assert "No space left on device" in told
    assert "\n1\n" in told
    assert shell(one, "df -k /data/local/tmp | tail -1").split()[1] == str(24 * 1024)
    shell(one, "rm /data/local/tmp/big; echo small > /data/local/tmp/small")
    assert shell(one, "cat /data/local/tmp/small") == "small\n"


def test_a_killed_daemon_comes_back_and_what_ran_under_it_is_gone(start_phone: Start) -> None:
    one = start_phone()
    shell(one, "echo kept > /data/local/tmp/kept")
    # A shell that ends takes along what has not got a session of its own yet.
    shell(one, "setsid sleep 600 >/dev/null 2>&1 & until pidof sleep; do sleep 0.2; done")
    assert shell(one, "pidof sleep").strip()
    with pytest.raises((OSError, AdbTimeoutError, TcpTimeoutException)):
        shell(one, "kill -9 $(pidof adbd); sleep 30", timeout_s=10)
    deadline = time.monotonic() + 60
    while one.answer(1.0) is not ProbeReply.READY:
        assert time.monotonic() < deadline
    assert shell(one, "pidof sleep; cat /data/local/tmp/kept") == "kept\n"


def test_running_out_of_memory_takes_the_program_and_not_the_daemon(start_phone: Start) -> None:
    one = start_phone(storage_mib=16, memory_mib=256, snapshot=False)
    daemon = shell(one, "pidof adbd")
    # tail keeps its last line, and this one never ends.
    assert shell(one, "tail /dev/zero; echo $?").endswith("137\n")
    assert shell(one, "pidof adbd") == daemon


def test_a_hung_phone_answers_again_when_it_goes_on(start_phone: Start) -> None:
    one = start_phone()
    one.pause()
    assert one.answer(0.5) is ProbeReply.SILENT
    assert one.alive
    one.resume()
    assert one.answer() is ProbeReply.READY


def test_stopping_leaves_no_process_and_no_file(start_phone: Start, phone_place: Path) -> None:
    one = start_phone()
    assert one.alive
    process = one.record.process
    one.stop()
    assert process is not None
    assert not process.alive
    assert list((phone_place / "phones").iterdir()) == []
    assert one.answer(0.5) is ProbeReply.SILENT
    assert phone.running() == []
    one.stop()


def test_a_phone_that_lost_power_is_cleared_away(start_phone: Start, phone_place: Path) -> None:
    one = start_phone()
    one.kill()
    assert not one.alive
    assert phone.running() == []
    assert list((phone_place / "phones").iterdir()) == []


def test_the_context_manager_cleans_up_after_an_error(phone_place: Path) -> None:
    with pytest.raises(ZeroDivisionError), phone.start("cortex-a53") as one:
        assert one.answer() is ProbeReply.READY
        raise ZeroDivisionError
    assert phone.running() == []


def test_a_broken_snapshot_is_replaced_by_a_boot(start_phone: Start) -> None:
    options = {"memory_mib": 224, "storage_mib": 32}
    first = start_phone("cortex-a53", **options)
    machine = Machine("cortex-a53", 224, 32)
    stored = ensure_snapshot(ensure_image(), machine, 60, print)
    # One byte of the memory that the kernel lies in; QEMU itself would not notice.
    with stored.memory.open("r+b") as memory:
        place = os.lseek(memory.fileno(), stored.memory.stat().st_size // 4, os.SEEK_DATA)
        memory.seek(place)
        byte = memory.read(1)
        memory.seek(place)
        memory.write(bytes([byte[0] ^ 1]))
    said: list[str] = []
    second = start_phone("cortex-a53", **options, say=said.append)
    assert not second.record.restored
    assert any("the snapshot is of no use" in text and "was changed" in text for text in said)
    assert second.answer() is ProbeReply.READY
    third = start_phone("cortex-a53", **options)
    assert third.record.restored
    assert first.answer() is ProbeReply.READY
    stored.forget()


def test_what_does_not_exist_is_refused_with_what_does(phone_place: Path) -> None:
    with pytest.raises(RunnerChoiceError, match=r"no virtual CPU 'cortex-a55'.* cortex-a53 · "):
        phone.start("cortex-a55")
    with pytest.raises(RunnerChoiceError, match="needs at least 672 MiB of memory, not 600"):
        phone.start(memory_mib=600)
    with pytest.raises(RunnerChoiceError, match="no virtual phone 'emulator-1'; running: none"):
        phone.find("emulator-1")


def test_names_are_for_one_phone_each(start_phone: Start) -> None:
    one = start_phone(name="left")
    two = start_phone(name="right")
    assert phone.find("left") == one
    assert phone.find(two.serial) == two
    with pytest.raises(RunnerChoiceError, match="called 'left' runs already"):
        start_phone(name="left")


def test_a_phone_that_cannot_boot_says_what_it_printed(
    phone_place: Path,
) -> None:
    with pytest.raises(VirtualPhoneError, match=r"did not finish booting in 0\.05 s"):
        phone.start(snapshot=False, timeout_s=0.05)
    assert phone.running() == []
    assert list((phone_place / "phones").iterdir()) == []
