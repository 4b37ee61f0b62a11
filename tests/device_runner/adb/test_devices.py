"""Which device is meant, the way to it, what it is: asked of real daemons and adb servers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devdiff.device_runner.adb import conditions as device_conditions
from devdiff.device_runner.adb import device_facts
from devdiff.device_runner.adb.device_list import ListedDevice, parse
from devdiff.device_runner.adb.devices import (
    AttachedDevice,
    DeviceAddress,
    attached,
    conditions,
    connect,
    describe,
    only,
    require_usable,
    resolve,
)
from devdiff.device_runner.adb.keys import make_key
from devdiff.device_runner.adb.server import server_address
from devdiff.device_runner.errors import (
    DeviceAuthError,
    DeviceChoiceError,
    DeviceError,
    DeviceLostError,
    NoDeviceError,
)
from devdiff.device_runner.virtual.phone import WHAT_IT_IS, VirtualPhone
from tests.support.command import devdiff
from tests.support.real_adbd import Adbd, free_port, names, odd_port
from tests.support.wire_proxy import Message, Proxy, Spoil, older

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.phone_fixtures import AdbServer

LIST = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
emulator-5554          device product:sdk_gphone64_arm64 model:Pixel_7 device:emu64a transport_id:1
0a388e93               unauthorized usb:1-1 transport_id:2
192.168.1.5:5555       offline product:x model:y device:z transport_id:33
015d4a82               no permissions (user in plugdev group; are your udev rules wrong?); see \
[http://developer.android.com/tools/device.html] usb:3-2 transport_id:4
adb-12345-AbCdEf (2)._adb-tls-connect._tcp device product:a model:b device:c transport_id:5
(no serial number)     device usb:1-2
[::1]:5557             device transport_id:7
R58M                   recovery usb:2-1
device                 device transport_id:9
a device b             offline

"""


def test_every_kind_of_line_is_read() -> None:
    found = {device.serial: device for device in parse(LIST)}
    assert {serial: device.state for serial, device in found.items()} == {
        "emulator-5554": "device",
        "0a388e93": "unauthorized",
        "192.168.1.5:5555": "offline",
        "015d4a82": "no permissions (user in plugdev group; are your udev rules wrong?); see "
        "[http://developer.android.com/tools/device.html]",
        "adb-12345-AbCdEf (2)._adb-tls-connect._tcp": "device",
        "(no serial number)": "device",
        "[::1]:5557": "device",
        "R58M": "recovery",
        "device": "device",
        "a device b": "offline",
    }
    assert found["emulator-5554"].details == {
        "product": "sdk_gphone64_arm64",
        "model": "Pixel_7",
        "device": "emu64a",
        "transport_id": "1",
    }
    assert found["015d4a82"].details == {"usb": "3-2", "transport_id": "4"}


def test_short_lists_and_empty_ones() -> None:
    assert parse("0a38\tdevice\r\nemulator-5554\toffline\r\n") == [
        ListedDevice("0a38", "device"),
        ListedDevice("emulator-5554", "offline"),
    ]
    assert parse("List of devices attached\n\n") == []
    assert parse("") == []
    assert parse("adb server version (41) doesn't match this client (39); killing...\n") == []


@given(
    st.from_regex(r"[!-)+-~]([ -~]{0,20}[!-~])?", fullmatch=True),
    st.sampled_from(["device", "offline", "unauthorized", "recovery", "no permissions (why)"]),
    st.lists(
        st.tuples(st.sampled_from(["usb", "model"]), st.from_regex(r"[!-~]{0,9}", fullmatch=True))
    ),
)
def test_what_adb_prints_is_read_back(
    serial: str, state: str, details: list[tuple[str, str]]
) -> None:
    # A serial that holds a state of its own cannot be told apart; no device has such.
    assume(not any(word in serial for word in ("device", "offline", "host", "permissions")))
    line = f"{serial:22} {state}" + "".join(f" {key}:{value}" for key, value in details)
    found = parse(f"List of devices attached\n{line}\n")
    assert found == [ListedDevice(serial, state, dict(details))]


def test_the_server_is_where_adb_would_look() -> None:
    assert server_address({}) == ("127.0.0.1", 5037)
    assert server_address({"ANDROID_ADB_SERVER_PORT": "6000"}) == ("127.0.0.1", 6000)
    assert server_address({"ANDROID_ADB_SERVER_ADDRESS": "box"}) == ("box", 5037)
    assert server_address({"ADB_SERVER_SOCKET": "tcp:box:6001"}) == ("box", 6001)
    assert server_address({"ADB_SERVER_SOCKET": "tcp:6001"}) == ("127.0.0.1", 6001)
    for wrong in (
        {"ANDROID_ADB_SERVER_PORT": "5037; reboot"},
        {"ANDROID_ADB_SERVER_PORT": "0"},
        {"ANDROID_ADB_SERVER_PORT": "70000"},
        {"ADB_SERVER_SOCKET": "localfilesystem:/tmp/adb"},
    ):
        with pytest.raises(DeviceError):
            server_address(wrong)


@pytest.fixture
def no_server() -> dict[str, str]:
    """An environment in which no adb server runs."""
    return {"ANDROID_ADB_SERVER_PORT": str(free_port())}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Adbd]:
    """A daemon where an emulator's would be."""
    home = tmp_path / "emulator"
    home.mkdir()
    daemon = Adbd(home, port=odd_port())
    try:
        yield daemon.start()
    finally:
        daemon.kill()


def environment(server: AdbServer) -> dict[str, str]:
    return {"ANDROID_ADB_SERVER_PORT": str(server.port)}


def test_without_a_server_names_are_addresses(no_server: dict[str, str]) -> None:
    found = resolve("emulator-5680", no_server)
    assert (found.way, found.host, found.port) == ("tcp", "127.0.0.1", 5681)
    assert found.summary() == "emulator-5680, directly at 127.0.0.1:5681: no adb server runs"
    for text, host, port in (
        ("192.168.1.5:5555", "192.168.1.5", 5555),
        ("phone.local:40001", "phone.local", 40001),
        ("[::1]:5555", "::1", 5555),
    ):
        found = resolve(text, no_server)
        assert (found.serial, found.way, found.host, found.port) == (text, "tcp", host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0a388e93",
        "emulator-",
        "emulator-70000",
        "emulator-5554 ",
        "host:",
        "host:0",
        "host:70000",
        ":5555",
        "a:b:5555",
        "; touch INJECTED",
        "$(touch INJECTED)",
        "host;touch INJECTED:5555",
        "-e",
        "../../etc",
    ],
)
def test_what_is_no_device_is_refused_by_name(
    text: str, no_server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeviceChoiceError, match="there is no device") as caught:
        resolve(text, no_server)
    assert repr(text) in str(caught.value)
    assert names(tmp_path) == []


def test_wireless_debugging_goes_through_a_server_only(no_server: dict[str, str]) -> None:
    with pytest.raises(DeviceChoiceError, match="adb pair"):
        resolve("adb-12345-AbCdEf._adb-tls-connect._tcp", no_server)


def test_the_environment_names_a_device(no_server: dict[str, str]) -> None:
    found = resolve(None, {**no_server, "ANDROID_SERIAL": "emulator-5680"})
    assert found.serial == "emulator-5680"
    assert found.reason == "named by ANDROID_SERIAL; no adb server runs"
    assert resolve("host:1", {**no_server, "ANDROID_SERIAL": "other"}).serial == "host:1"


def test_a_server_that_holds_the_device_is_used(adbd: Adbd, adb_server: AdbServer) -> None:
    adb_server.run("connect", adbd.serial)
    adb_server.run("-s", adbd.serial, "wait-for-device")
    found = resolve(adbd.serial, environment(adb_server))
    assert (found.way, found.port) == ("server", adb_server.port)
    assert found.reason == "the adb server holds it"
    with connect(found) as device:
        assert device.serial == adbd.serial
        assert device.shell("echo through").stdout == b"through\n"


def test_a_server_that_does_not_hold_it_is_left_alone(adbd: Adbd, adb_server: AdbServer) -> None:
    adb_server.run("start-server")
    found = resolve(adbd.serial, environment(adb_server))
    assert found.way == "tcp"
    assert found.reason.endswith("does not hold it")
    with connect(found) as device:
        assert device.shell("echo direct").stdout == b"direct\n"
    assert adbd.serial not in adb_server.run("devices")


@pytest.mark.slow
def test_an_emulator_is_found_with_and_without_a_server(
    emulator: Adbd, adb_server: AdbServer, no_server: dict[str, str]
) -> None:
    serial = f"emulator-{emulator.port - 1}"
    alone = {one.address.serial: one for one in attached(no_server)}[serial]
    assert alone.usable
    assert (alone.address.way, alone.address.port) == ("tcp", emulator.port)
    adb_server.run("start-server")
    adb_server.run("-s", serial, "wait-for-device")
    held = {one.address.serial: one for one in attached(environment(adb_server))}[serial]
    assert held.usable
    assert held.address.way == "server"
    assert resolve(serial, environment(adb_server)).way == "server"


def test_an_emulator_is_one_device_though_adb_lists_it_twice(
    emulator: Adbd, adb_server: AdbServer
) -> None:
    serial = f"emulator-{emulator.port - 1}"
    adb_server.run("start-server")
    adb_server.run("-s", serial, "wait-for-device")
    adb_server.run("connect", emulator.serial)
    adb_server.run("-s", emulator.serial, "wait-for-device")
    listed = adb_server.run("devices")
    assert serial in listed
    assert emulator.serial in listed
    serials = [one.address.serial for one in attached(environment(adb_server))]
    assert serials.count(serial) == 1
    assert emulator.serial not in serials


def test_an_emulator_that_its_server_lost_is_reached_directly(
    emulator: Adbd, adb_server: AdbServer
) -> None:
    serial = f"emulator-{emulator.port - 1}"
    adb_server.run("start-server")
    adb_server.run("-s", serial, "wait-for-device")
    emulator.kill()
    wait_for(lambda: f"{serial}\tdevice" not in adb_server.run("devices"))
    emulator.start()
    found = resolve(serial, environment(adb_server))
    assert found.way == "tcp"
    assert serial in [one.address.serial for one in attached(environment(adb_server))]
    with connect(found) as device:
        assert device.shell("echo well").stdout == b"well\n"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def there(serial: str, state: str = "device", **details: str) -> AttachedDevice:
    return AttachedDevice(DeviceAddress(serial, "usb", reason="no adb server runs"), state, details)


def test_the_only_device_is_taken_and_said_to_be() -> None:
    found = only([there("0a38")])
    assert found == DeviceAddress(
        "0a38", "usb", reason="the only device attached; no adb server runs"
    )
    assert only([there("stale:5555", "offline"), there("0a38")]).serial == "0a38"


def test_an_ambiguous_choice_is_listed_and_never_guessed() -> None:
    with pytest.raises(DeviceChoiceError) as caught:
        only([there("0a38", model="Pixel_7"), there("emulator-5554", "unauthorized")])
    assert "0a38 (device, Pixel 7), emulator-5554 (unauthorized)" in str(caught.value)
    assert "--device or ANDROID_SERIAL" in str(caught.value)


def test_no_device_is_told_with_what_to_do() -> None:
    with pytest.raises(NoDeviceError, match=r"devdiff virtual start"):
        only([])


@pytest.mark.parametrize(
    ("state", "error", "advice"),
    [
        ("unauthorized", DeviceAuthError, "unlock it"),
        ("offline", DeviceLostError, "adb reconnect offline"),
        ("no permissions (x)", DeviceError, "plugdev"),
        ("recovery", DeviceError, "start Android"),
    ],
)
def test_a_device_in_no_state_to_be_used_says_what_to_do(
    state: str, error: type[Exception], advice: str
) -> None:
    with pytest.raises(error, match=advice) as caught:
        require_usable(there("0a38", state))
    assert str(caught.value).startswith("0a38: ")


def test_usb_without_its_library_says_how_to_get_it() -> None:
    script = """
import sys
sys.modules["usb1"] = None
from devdiff.device_runner.adb.devices import DeviceAddress, connect
from devdiff.device_runner.errors import DeviceError
try:
    with connect(DeviceAddress("0a38", "usb")):
        pass
except DeviceError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install devdiff[usb]" in done.stdout


PIXEL = """\
@properties
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 7]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [GS201]
[persist.sys.note]: [two
lines]
@machine
aarch64
5.10.177-android13-4
@free
=25165824 4096
Filesystem     1K-blocks     Used Available Use% Mounted on
/dev/block/dm-50 114000000 13336704 100663296  12% /data
@cpu
processor\t: 0
Features\t: fp asimd aes asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd aes asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd44
processor\t: 2
CPU implementer\t: 0x41
CPU part\t: 0xd05
processor\t: 3
CPU implementer\t: 0x51
CPU part\t: 0x001
@end
"""


def test_a_phone_is_read() -> None:
    facts = device_facts.read("0a38", PIXEL)
    assert facts.platform == "android"
    assert facts.title() == "Google Pixel 7, Android 14 (API 34)"
    assert (facts.release, facts.api, facts.soc) == ("14", 34, "Google GS201")
    assert facts.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert facts.runner_abi == "android-arm64-v8a"
    assert facts.cores == {"Cortex-A55": 2, "Cortex-X1": 1, "implementer 0x51 part 0x001": 1}
    assert facts.cpu_features == ("fp", "asimd", "aes", "asimddp")
    assert facts.kernel == "5.10.177-android13-4"
    assert facts.free_bytes == 25165824 * 4096
    assert not facts.emulator
    assert not facts.virtual
    assert json.loads(json.dumps(facts.to_json()))["runner_abi"] == "android-arm64-v8a"


@pytest.mark.parametrize(
    ("abis", "machine", "runner"),
    [
        ("armeabi-v7a,armeabi", "armv7l", "android-armeabi-v7a"),
        ("armeabi-v7a,armeabi", "aarch64", "android-armeabi-v7a"),
        ("x86_64,x86,arm64-v8a", "x86_64", "android-x86_64"),
        ("x86", "i686", None),
        ("riscv64", "riscv64", None),
    ],
)
def test_the_runner_fits_the_androids_abis(abis: str, machine: str, runner: str | None) -> None:
    text = PIXEL.replace("arm64-v8a,armeabi-v7a,armeabi", abis).replace("aarch64", machine)
    facts = device_facts.read("0a38", text)
    assert facts.runs == runner
    if runner is None:
        with pytest.raises(DeviceError, match=f"no native runner for android on {abis}"):
            _ = facts.runner_abi


def test_a_device_that_is_no_android_goes_by_its_machine() -> None:
    for machine, runner in (("aarch64", "linux-aarch64"), ("x86_64", "linux-x86_64")):
        text = f"@properties\n@machine\n{machine}\n6.1\n@free\n@cpu\n@end\n"
        facts = device_facts.read("box", text)
        assert (facts.platform, facts.runner_abi) == ("linux", runner)
        assert (facts.api, facts.release, facts.free_bytes) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("=100 4096\n", 409600),
        ("Filesystem 1K-blocks Used Available Use% Mounted on\n/d 10 4 6 40% /data\n", 6144),
        ("Filesystem 1K-blocks Used Available Use% Mounted on\n/long\n 10 4 6 40% /data\n", 6144),
        ("=%a %S\nFilesystem 1024-blocks Used Available Capacity Mounted\n/d 9 4 5 4% /\n", 5120),
        ("Filesystem Size Used Free Blksize\n/data 12.0G 3.5G 8.5G 4096\n", int(8.5 * (1 << 30))),
        ("Filesystem Size Used Free Blksize\n/data 900.0M 1.5K 8.0K 4096\n", 8192),
        ("df: /data/local/tmp: No such file or directory\n", None),
        ("", None),
    ],
)
def test_free_space_is_read_from_every_kind_of_tool(text: str, free: int | None) -> None:
    assert device_facts.read_free(text) == free


def test_a_real_device_is_described(adbd: Adbd, no_server: dict[str, str]) -> None:
    """It is this machine, so what it says can be compared."""
    with connect(resolve(adbd.serial, no_server)) as device:
        facts = describe(device)
        free = device_facts.free_bytes(device, str(adbd.home))
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout
    assert facts.serial == adbd.serial
    assert facts.platform == "linux"
    assert facts.runner_abi == f"linux-{machine.strip()}"
    assert facts.cpu_features
    assert sum(facts.cores.values()) >= 1
    assert free is not None
    assert free > 1 << 20


def test_an_old_daemon_is_described_alike(adbd: Adbd, no_server: dict[str, str]) -> None:
    proxy = Proxy(adbd.port, *older(knows_exec=False))
    try:
        with connect(resolve(adbd.serial, no_server)) as new:
            expected = describe(new).to_json()
        with connect(resolve(proxy.serial, no_server)) as old:
            found = describe(old).to_json()
    finally:
        proxy.close()
    for facts in (expected, found):
        facts.pop("serial")
        facts.pop("free_bytes")
    assert found == expected


def test_conditions_are_read() -> None:
    text = (
        "zone cpu-0 41000\nzone cpu-0 43500\nzone off -274000\nzone with blank 30000\n"
        "clock 0 1804800\nclock 7 2850000\nbattery 305\nnoise\n"
    )
    assert device_conditions.read(text) == {
        "temperature_c": {"cpu-0": 43.5, "with blank": 30.0, "battery": 30.5},
        "clock_mhz": {"0": 1804.8, "7": 2850.0},
    }
    assert device_conditions.read("") == {}


def test_a_device_that_tells_no_conditions_is_no_error(
    adbd: Adbd, no_server: dict[str, str]
) -> None:
    with connect(resolve(adbd.serial, no_server)) as device:
        told = conditions(device)
    assert set(told) <= {"temperature_c", "clock_mhz"}


@pytest.mark.slow
def test_the_command_lists_what_is_attached(emulator: Adbd, tmp_path: Path) -> None:
    env = {"ANDROID_ADB_SERVER_PORT": str(free_port())}
    serial = f"emulator-{emulator.port - 1}"
    done = devdiff("devices", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    told = {one["serial"]: one for one in json.loads(done.stdout)}[serial]
    assert told["state"] == "device"
    assert told["address"]["way"] == "tcp"
    assert told["facts"]["runner_abi"].startswith("linux-")
    assert told["runs"].startswith("linux-")
    assert told["problem"] is None
    done = devdiff("devices", cwd=tmp_path, env=env)
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith(serial))
    assert "ready" in line
    assert f"{serial}, directly at 127.0.0.1:{emulator.port}: no adb server runs" in done.stdout


def test_the_command_lists_a_device_that_cannot_be_used(
    adbd: Adbd, adb_server: AdbServer, tmp_path: Path
) -> None:
    def ask(message: Message) -> Message:
        if message.command == b"CNXN":
            return message._replace(command=b"AUTH", first=1, second=0, data=bytes(20))
        return message

    proxy = Proxy(adbd.port, down=Spoil(edit=ask))
    try:
        adb_server.run("connect", proxy.serial, code=None)
        wait_for(lambda: f"{proxy.serial}\t" in adb_server.run("devices"))
        done = devdiff("devices", cwd=tmp_path, env=environment(adb_server))
        assert done.returncode == 0, done.stderr
        assert f"{proxy.serial}: the device does not allow this computer yet" in done.stdout
        with pytest.raises(DeviceAuthError, match="unlock it"):
            resolve(proxy.serial, environment(adb_server))
    finally:
        proxy.close()


@pytest.mark.slow
def test_a_virtual_phone_is_described(start_phone: Callable[..., VirtualPhone]) -> None:
    phone = start_phone("cortex-a53")
    address = resolve(phone.serial, {"ANDROID_ADB_SERVER_PORT": str(free_port())})
    with connect(address) as device:
        facts = describe(device)
    assert facts.serial == phone.serial
    assert facts.runner_abi == "linux-aarch64"
    assert facts.virtual
    assert facts.emulator
    assert facts.cores == {"Cortex-A53": 1}
    assert facts.machine == "aarch64"
    assert facts.free_bytes is not None
    assert 400 << 20 < facts.free_bytes < 600 << 20
    assert "asimddp" not in facts.cpu_features


@pytest.mark.slow
def test_a_phone_that_wants_a_key_is_listed_and_opens_to_it(
    start_phone: Callable[..., VirtualPhone], tmp_path: Path
) -> None:
    make_key(tmp_path / "good/.android/adbkey")
    phone = start_phone(keys=[tmp_path / "good/.android/adbkey.pub"])
    lines: list[str] = []
    for name, state in (("good", "ready"), ("other", "device")):
        env = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "HOME": str(tmp_path / name)}
        (tmp_path / name).mkdir(exist_ok=True)
        done = devdiff("devices", cwd=tmp_path, env=env)
        lines = [line for line in done.stdout.splitlines() if line.startswith(phone.serial)]
        assert state in lines[0].split(), done.stdout
        if name == "good":
            assert f"{phone.serial} is {WHAT_IT_IS}" in lines
    assert "does not allow this computer's key" in lines[1]
    assert str(tmp_path / "other/.android/adbkey.pub") in lines[1]
