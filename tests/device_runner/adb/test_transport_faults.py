"""What goes wrong with phones and cables, and what is said about it, and how soon."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from adb_shell.adb_device import AdbDevice
from adb_shell.exceptions import AdbTimeoutError, TcpTimeoutException
from adb_shell.transport.tcp_transport import TcpTransport

from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.adb.server import ServerTransport, query
from devdiff.device_runner.adb.transport import Transport
from devdiff.device_runner.adb.wire import SocketWire
from devdiff.device_runner.errors import (
    DeviceError,
    DeviceLostError,
    TransferError,
    TransportTimeoutError,
)
from tests.support.real_adbd import Adbd, free_port, names
from tests.support.wire_proxy import Message, Proxy, Spoil

if TYPE_CHECKING:
    from devdiff.device_runner.virtual.phone import VirtualPhone
    from tests.support.phone_fixtures import AdbServer

pytestmark = pytest.mark.slow

MIB = 1 << 20


def directly(port: int, timeout_s: float = 10) -> DirectTransport:
    wire = SocketWire("127.0.0.1", port)
    return DirectTransport(f"127.0.0.1:{port}", wire, timeout_s=timeout_s, connect_s=timeout_s)


@pytest.fixture
def proxied(adbd: Adbd) -> Iterator[Callable[..., Proxy]]:
    """Proxies in front of the daemon, closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Proxy:
            proxy = Proxy(adbd.port, **options)
            stack.callback(proxy.close)
            return proxy

        yield make


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(os.urandom(8 * MIB))
    return path


class NarrowWire(SocketWire):
    """Our wire on a computer that buffers little of what it sends."""

    def connect(self, transport_timeout_s: float) -> None:
        super().connect(transport_timeout_s)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


class NarrowStockWire(TcpTransport):  # type: ignore[misc]
    """adb-shell's own wire there."""

    def connect(self, transport_timeout_s: float) -> None:
        super().connect(transport_timeout_s)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def test_a_slow_reader_does_not_cut_a_push(
    proxied: Callable[..., Proxy], data: Path, tmp_path: Path
) -> None:
    proxy = proxied(up=Spoil(slow=True))
    with DirectTransport(proxy.serial, NarrowWire("127.0.0.1", proxy.port)) as device:
        device.push(data, f"{tmp_path}/there")
    assert (tmp_path / "there").read_bytes() == data.read_bytes()


def test_a_slow_reader_cuts_a_push_over_the_wire_of_adb_shell(
    proxied: Callable[..., Proxy], data: Path, tmp_path: Path
) -> None:
    """What the wire of our own is for; should this fail, adb-shell has been mended."""
    proxy = proxied(up=Spoil(slow=True))
    device = AdbDevice(NarrowStockWire("127.0.0.1", proxy.port), default_transport_timeout_s=2)
    device.connect()
    with contextlib.closing(device), pytest.raises((TcpTimeoutException, AdbTimeoutError)):
        device.push(str(data), f"{tmp_path}/there", read_timeout_s=2)
    arrived = tmp_path / "there"
    assert not arrived.exists() or arrived.read_bytes() != data.read_bytes()


def pushing(device: Transport, data: Path, folder: Path) -> None:
    device.push(data, f"{folder}/there")


def pulling(device: Transport, data: Path, folder: Path) -> None:
    device.pull(str(data), folder / "here")


def shelling(device: Transport, data: Path, folder: Path) -> None:
    device.shell(f"cat {data}; sleep 20")


def streaming(device: Transport, data: Path, folder: Path) -> None:
    for _ in device.stream(f"cat {data}; sleep 20"):
        pass


ACTS = (pushing, pulling, shelling, streaming)
Act = Callable[[Transport, Path, Path], None]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("after", [0.001, 0.3, 0.9])
def test_a_lost_peer_is_noticed_at_once(
    proxied: Callable[..., Proxy], data: Path, tmp_path: Path, act: Act, after: float
) -> None:
    spoil = Spoil(after=int(after * 8 * MIB), cut=True)
    proxy = proxied(up=spoil) if act is pushing else proxied(down=spoil)
    with directly(proxy.port, timeout_s=30) as device:
        with pytest.raises(DeviceLostError, match="lost") as caught:
            act(device, data, tmp_path)
        assert not isinstance(caught.value, TransportTimeoutError)
        assert proxy.serial in str(caught.value)
        with pytest.raises(DeviceLostError):
            device.shell("true")
    assert not (tmp_path / "there").exists()
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("act", ACTS)
def test_a_hung_peer_is_waited_for_as_long_as_was_said(
    proxied: Callable[..., Proxy], data: Path, tmp_path: Path, act: Act
) -> None:
    spoil = Spoil(after=3 * MIB)
    proxy = proxied(up=spoil) if act is pushing else proxied(down=spoil)
    with directly(proxy.port, timeout_s=2.5) as device:
        with pytest.raises(TransportTimeoutError, match=r"no answer for 2\.5 s while"):
            if act is shelling:
                device.shell(f"cat {data}", timeout_s=2.5)
            elif act is streaming:
                for _ in device.stream(f"cat {data}", idle_s=2.5):
                    pass
            else:
                act(device, data, tmp_path)
        with pytest.raises(DeviceLostError) as caught:
            device.shell("true")
        assert not isinstance(caught.value, TransportTimeoutError)
    assert not (tmp_path / "there").exists()
    assert not (tmp_path / "here").exists()


def test_a_command_has_its_time_and_no_more(adbd: Adbd) -> None:
    with directly(adbd.port) as device:
        begun = time.monotonic()
        with pytest.raises(TransportTimeoutError, match="1 s while running yes"):
            device.shell("yes", timeout_s=1)
        assert time.monotonic() - begun >= 0.9


def test_a_stream_has_time_for_each_piece(adbd: Adbd) -> None:
    with directly(adbd.port) as device:
        steady = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.6; done"
        assert b"".join(device.stream(steady, idle_s=2.5)) == b"1\n2\n3\n4\n5\n6\n"
    with directly(adbd.port) as device:
        noisy = "echo 1; for i in 1 2 3 4 5 6 7 8 9; do echo $i >&2; sleep 0.3; done"
        with pytest.raises(TransportTimeoutError, match="1 s while running"):
            list(device.stream(noisy, idle_s=1))


def test_a_daemon_that_is_killed_is_noticed_at_once(own_adbd: Adbd) -> None:
    with directly(own_adbd.port, timeout_s=30) as device:
        pieces = device.stream("echo first; sleep 20")
        assert next(pieces) == b"first\n"
        own_adbd.kill()
        with pytest.raises(DeviceLostError, match="devdiff devices") as caught:
            list(pieces)
        assert not isinstance(caught.value, TransportTimeoutError)
    with pytest.raises(DeviceLostError, match="Connection refused"), directly(own_adbd.port):
        pass


def test_a_daemon_that_hangs_is_noticed_in_time(own_adbd: Adbd) -> None:
    with directly(own_adbd.port, timeout_s=2) as device:
        own_adbd.hang()
        with pytest.raises(TransportTimeoutError):
            device.size("/")
    with pytest.raises(TransportTimeoutError), directly(own_adbd.port, timeout_s=1):
        pass


def test_the_same_transport_connects_again_after_a_loss(
    proxied: Callable[..., Proxy], data: Path, tmp_path: Path
) -> None:
    proxy = proxied()
    device = directly(proxy.port)
    for _ in range(2):
        with device:
            assert device.shell("echo well").stdout == b"well\n"
            proxy.cut()
            with pytest.raises(DeviceLostError):
                device.push(data, f"{tmp_path}/there")


def test_a_connection_dropped_before_its_first_word_is_tried_again(
    proxied: Callable[..., Proxy],
) -> None:
    with directly(proxied(dropped=3).port) as device:
        assert device.shell("echo well").stdout == b"well\n"
    with (
        pytest.raises(DeviceLostError, match="closed by the other end"),
        directly(proxied(dropped=100).port),
    ):
        pass


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "full"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    allowed = shutil.which("mount") and not subprocess.run(mount, stderr=-3, check=False).returncode
    if not allowed:
        pytest.skip("only root can mount a small file system; the virtual phone's test covers it")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_full_storage_is_named(adbd: Adbd, data: Path, full: Path) -> None:
    with directly(adbd.port) as device:
        (full / "there").write_bytes(b"old")
        with pytest.raises(TransferError, match=r"storage is full: data needs 8\.4 MB in .*free"):
            device.push(data, f"{full}/there")
        assert names(full) == ["there"]
        assert (full / "there").read_bytes() == b"old"
        small = data.with_name("small")
        small.write_bytes(b"x" * MIB)
        device.push(small, f"{full}/there")
        assert (full / "there").stat().st_size == MIB


def test_full_storage_is_named_through_a_server(
    adbd: Adbd, adb_server: AdbServer, data: Path, full: Path
) -> None:
    adb_server.run("connect", adbd.serial)
    with ServerTransport(adbd.serial, ("127.0.0.1", adb_server.port)) as device:
        with pytest.raises(TransferError, match="storage is full"):
            device.push(data, f"{full}/there")
        assert names(full) == []
        assert device.shell("echo well").stdout == b"well\n"


def test_what_is_no_adb_daemon_is_told_so() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def greet() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                time.sleep(0.2)

        threading.Thread(target=greet, daemon=True).start()
        port = listener.getsockname()[1]
        with pytest.raises(DeviceLostError, match="does not speak ADB"), directly(port):
            pass


def test_wireless_debugging_is_told_to_need_pairing(proxied: Callable[..., Proxy]) -> None:
    def tls(message: Message) -> Message:
        return message._replace(command=b"STLS", first=0x01000000, second=0, data=b"")

    port = proxied(down=Spoil(edit=tls)).port
    with pytest.raises(DeviceError, match="adb pair"), directly(port):
        pass


class TestThroughAServer:
    """The server stands between: what it does not say has to be found out all the same."""

    @pytest.mark.parametrize("act", ACTS)
    def test_a_device_that_is_lost_under_way(
        self,
        proxied: Callable[..., Proxy],
        adb_server: AdbServer,
        data: Path,
        tmp_path: Path,
        act: Act,
    ) -> None:
        spoil = Spoil(after=3 * MIB, cut=True)
        proxy = proxied(up=spoil) if act is pushing else proxied(down=spoil)
        adb_server.run("connect", proxy.serial)
        server = ("127.0.0.1", adb_server.port)
        with ServerTransport(proxy.serial, server, timeout_s=30) as device:
            with pytest.raises(DeviceLostError) as caught:
                act(device, data, tmp_path)
            assert not isinstance(caught.value, TransportTimeoutError)
        assert not (tmp_path / "there").exists()
        assert not (tmp_path / "here").exists()

    def test_a_device_that_hangs(
        self, proxied: Callable[..., Proxy], adb_server: AdbServer, data: Path
    ) -> None:
        proxy = proxied(down=Spoil(after=3 * MIB))
        adb_server.run("connect", proxy.serial)
        server = ("127.0.0.1", adb_server.port)
        with (
            ServerTransport(proxy.serial, server) as device,
            pytest.raises(TransportTimeoutError),
        ):
            device.shell(f"cat {data}", timeout_s=2.5)

    def test_a_server_that_dies(self, adbd: Adbd, adb_server: AdbServer) -> None:
        adb_server.run("connect", adbd.serial)
        server = ("127.0.0.1", adb_server.port)
        with ServerTransport(adbd.serial, server) as device:
            pieces = device.stream("echo first; sleep 20")
            assert next(pieces) == b"first\n"
            adb_server.run("kill-server")
            with pytest.raises(DeviceLostError) as caught:
                list(pieces)
            assert not isinstance(caught.value, TransportTimeoutError)
            with pytest.raises(DeviceLostError):
                device.shell("true")

    def test_no_server_is_ever_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        port = free_port()
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        with pytest.raises(ConnectionError):
            query(("127.0.0.1", port), "host:version")
        with (
            pytest.raises(DeviceLostError, match="no adb server"),
            ServerTransport("any", ("127.0.0.1", port)),
        ):
            pass
        time.sleep(0.5)
        with socket.socket() as trial:
            assert trial.connect_ex(("127.0.0.1", port)) != 0

    def test_a_device_it_does_not_hold(self, adb_server: AdbServer) -> None:
        adb_server.run("start-server")
        server = ("127.0.0.1", adb_server.port)
        with (
            pytest.raises(DeviceLostError, match="'no such; reboot' not found"),
            ServerTransport("no such; reboot", server),
        ):
            pass

    def test_the_server_lives_on(self, adbd: Adbd, adb_server: AdbServer) -> None:
        adb_server.run("connect", adbd.serial)
        adb_server.run("-s", adbd.serial, "wait-for-device")

        def told() -> list[str]:
            # The server sees all emulators of this machine, whose state is not ours to know.
            lines = adb_server.run("devices", "-l").splitlines()
            return [line for line in lines if adbd.serial in line or "daemon" in line]

        before = told()
        with ServerTransport(adbd.serial, ("127.0.0.1", adb_server.port)) as device:
            device.shell("true")
        # Another server would say that its daemon starts, and count connections from one.
        assert told() == before
        assert len(before) == 1


class TestOnAVirtualPhone:
    """The same on an emulated ARM64 machine, whose power can be taken away."""

    @pytest.fixture
    def phone(self, start_phone: Callable[..., VirtualPhone]) -> VirtualPhone:
        return start_phone(storage_mib=24)

    @pytest.mark.parametrize("act", ACTS)
    def test_its_power_is_taken_away(
        self, phone: VirtualPhone, data: Path, tmp_path: Path, act: Act
    ) -> None:
        remote = Path("/data/local/tmp")
        with directly(phone.port, timeout_s=30) as device:
            device.push(data, f"{remote}/data")
            threading.Timer(0.1, phone.kill).start()
            with pytest.raises(DeviceLostError):
                for _ in range(100):
                    act(device, remote / "data" if act is not pushing else data, tmp_path)
        assert not (tmp_path / "here").exists() or act is pulling

    def test_it_hangs(self, phone: VirtualPhone) -> None:
        with directly(phone.port, timeout_s=5) as device:
            assert device.shell("uname -m").stdout == b"aarch64\n"
            phone.pause()
            with pytest.raises(TransportTimeoutError):
                device.shell("true", timeout_s=2)
            phone.resume()
        with directly(phone.port) as device:
            assert device.shell("uname -m").stdout == b"aarch64\n"

    def test_its_storage_is_full(self, phone: VirtualPhone, tmp_path: Path) -> None:
        (tmp_path / "big").write_bytes(os.urandom(40 * MIB))
        with directly(phone.port) as device:
            with pytest.raises(TransferError, match="storage is full: big needs 41"):
                device.push(tmp_path / "big", "/data/local/tmp/big")
            assert device.shell("ls /data/local/tmp").stdout == b""

    def test_it_is_reached_through_a_server(
        self, phone: VirtualPhone, adb_server: AdbServer, data: Path, tmp_path: Path
    ) -> None:
        adb_server.run("start-server")
        adb_server.run("-s", phone.serial, "wait-for-device")
        with ServerTransport(phone.serial, ("127.0.0.1", adb_server.port)) as device:
            device.push(data, "/data/local/tmp/data", 0o755)
            device.pull("/data/local/tmp/data", tmp_path / "back")
            assert device.shell("echo 1; echo 2 >&2; exit 5").code == 5
        assert (tmp_path / "back").read_bytes() == data.read_bytes()
