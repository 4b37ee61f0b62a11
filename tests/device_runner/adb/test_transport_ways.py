"""Every way to a device does the same things: directly or through a server, to daemons old or new.

The daemon is Android's own. What an old one cannot do is taken from it on the wire.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.adb.server import ServerTransport
from devdiff.device_runner.adb.wire import SocketWire
from devdiff.device_runner.errors import DeviceError, DeviceLostError, TransferError
from tests.support.phone_fixtures import AdbServer
from tests.support.real_adbd import Adbd, names, tools_without
from tests.support.wire_proxy import Message, Proxy, Spoil, older

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devdiff.device_runner.adb.transport import Transport

WAYS = (
    "direct",
    "server",
    "direct to an old daemon",
    "direct to an old daemon without exec",
    "server to an old daemon",
    "server to an old daemon without exec",
)


def directly(port: int, timeout_s: float = 10) -> DirectTransport:
    wire = SocketWire("127.0.0.1", port)
    return DirectTransport(f"127.0.0.1:{port}", wire, timeout_s=timeout_s, connect_s=timeout_s)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    started = AdbServer(tmp_path_factory.mktemp("server"))
    started.run("start-server")
    yield started
    started.run("kill-server", code=None)


@pytest.fixture(scope="module", params=WAYS)
def device(request: pytest.FixtureRequest, adbd: Adbd, server: AdbServer) -> Iterator[Transport]:
    way: str = request.param
    port = adbd.port
    with ExitStack() as stack:
        if "old" in way:
            proxy = Proxy(port, *older(knows_exec="without" not in way))
            stack.callback(proxy.close)
            port = proxy.port
        if way.startswith("server"):
            assert "connected" in server.run("connect", f"127.0.0.1:{port}")
            stack.callback(server.run, "disconnect", f"127.0.0.1:{port}")
            there = ServerTransport(f"127.0.0.1:{port}", ("127.0.0.1", server.port), timeout_s=10)
            yield stack.enter_context(there)
        else:
            yield stack.enter_context(directly(port))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder on the device, which is this machine."""
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


def test_exit_codes_are_the_commands_own(device: Transport) -> None:
    for code in (0, 1, 3, 127, 255):
        assert device.shell(f"exit {code}").code == code
    assert device.shell("no-such-program-anywhere").code == 127


def new(device: Transport) -> bool:
    assert isinstance(device, (DirectTransport, ServerTransport))
    return device._has("shell_v2")


def test_a_killed_command_is_told_by_its_code(device: Transport) -> None:
    assert device.shell("sh -c 'kill -9 $$'").code == 128 + 9


def test_a_shell_that_does_not_tell_its_end_is_not_believed(device: Transport) -> None:
    if new(device):
        assert device.shell("echo half; kill -9 $$").code == 128 + 9
        return
    with pytest.raises(DeviceLostError, match="ended before the command did"):
        device.shell("echo half; kill -9 $$")
    with pytest.raises(DeviceLostError):
        device.shell("true")
    device.__exit__(None, None, None)
    device.__enter__()
    assert device.shell("echo well").stdout == b"well\n"


def test_output_and_errors_come_apart_byte_for_byte(device: Transport) -> None:
    done = device.shell("printf 'a\\000\\r\\nb\\n\\n\\r'; printf 'no\\n\\n' >&2; exit 4")
    assert (done.code, done.stdout, done.stderr) == (4, b"a\0\r\nb\n\n\r", b"no\n\n")
    nothing = device.shell("true")
    assert (nothing.code, nothing.stdout, nothing.stderr) == (0, b"", b"")


def test_commands_are_taken_as_they_are_written(device: Transport) -> None:
    assert device.shell("echo one # a comment").stdout == b"one\n"
    assert device.shell("cat <<END\ntwo 'quoted\nEND\n").stdout == b"two 'quoted\n"
    assert device.shell("for i in 1 2\ndo echo $i; done").stdout == b"1\n2\n"
    assert device.shell("echo a &\nwait").stdout == b"a\n"
    assert device.shell("echo 'ü €'").stdout == "ü €\n".encode()


def test_a_command_that_lists_processes_does_not_end_its_own_output(device: Transport) -> None:
    done = device.shell("tr '\\0' ' ' </proc/$$/cmdline; echo; echo behind")
    assert done.code == 0
    assert done.stdout.endswith(b"\nbehind\n")


def test_a_command_finds_nothing_to_read(device: Transport) -> None:
    assert device.shell("cat; echo done", timeout_s=20).stdout == b"done\n"


def test_much_output_and_many_errors(device: Transport) -> None:
    script = "yes output | head -n 200000; yes trouble | head -n 30000 >&2; exit 7"
    done = device.shell(script)
    assert done.code == 7
    assert done.stdout == b"output\n" * 200000
    assert done.stderr.endswith(b"trouble\n" * 7000)
    if new(device):
        assert done.stderr == b"trouble\n" * 30000


def test_a_stream_is_unchanged(device: Transport, there: Path) -> None:
    content = os.urandom(3_000_000) + b"\r\n\n\r\r\n" + bytes(range(256)) * 64
    (there / "data").write_bytes(content)
    command = f"cat {there}/data; echo unheard >&2"
    assert b"".join(device.stream(command)) == content
    assert b"".join(device.stream("true")) == b""


def test_a_stream_comes_as_it_is_made(device: Transport, there: Path) -> None:
    waiting = f"until [ -e {there}/go ]; do sleep 0.1; done"
    pieces = device.stream(f"echo first; {waiting}; echo second", idle_s=20)
    assert next(pieces) == b"first\n"
    (there / "go").touch()
    assert b"".join(pieces) == b"second\n"


def test_a_stream_that_is_left_does_no_harm(device: Transport, there: Path) -> None:
    (there / "data").write_bytes(os.urandom(8 << 20))
    for _ in range(3):
        left = device.stream(f"cat {there}/data; sleep 60")
        assert next(left)
        left.close()  # type: ignore[attr-defined]
        assert device.shell("echo well").stdout == b"well\n"


def test_the_device_is_asked_while_it_streams(device: Transport, there: Path) -> None:
    waiting = f"until [ -e {there}/between ]; do sleep 0.1; done"
    pieces = device.stream(f"echo one; {waiting}; echo two", idle_s=20)
    assert next(pieces) == b"one\n"
    assert device.shell(f"touch {there}/between; echo between").stdout == b"between\n"
    assert b"".join(pieces) == b"two\n"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 983_040, 983_041, 3_000_001])
def test_files_arrive_as_they_were_sent(
    device: Transport, there: Path, tmp_path: Path, size: int
) -> None:
    content = os.urandom(size)
    (tmp_path / "here").write_bytes(content)
    told: list[int] = []
    device.push(tmp_path / "here", f"{there}/deep/er/file", 0o755, told.append)
    assert (there / "deep/er/file").read_bytes() == content
    assert (there / "deep/er/file").stat().st_mode & 0o777 == 0o755
    assert told == sorted(told)
    assert (told or [0])[-1] == size
    assert names(there / "deep/er") == ["file"]
    device.pull(f"{there}/deep/er/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert device.size(f"{there}/deep/er/file") == size


NAMES = (
    "with blank",
    "quote'd",
    'double"d',
    "$(touch INJECTED)",
    "`touch INJECTED`",
    "; touch INJECTED;",
    "a,0644",
    "-rf",
    "new\nline",
    "ümläut€",
    "back\\slash",
    "*",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_only_names(device: Transport, there: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "here").write_bytes(b"content")
    device.push(tmp_path / "here", f"{there}/{name}")
    assert names(there) == [name]
    assert device.size(f"{there}/{name}") == 7
    assert device.shell(f"cat {shlex.quote(f'{there}/{name}')}").stdout == b"content"
    device.pull(f"{there}/{name}", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
    assert not list(Path.cwd().glob("INJECTED"))
    assert not Path("/INJECTED").exists()


def test_a_push_replaces_a_file_in_one_go(device: Transport, there: Path, tmp_path: Path) -> None:
    (there / "file").write_bytes(b"old" * 100)
    (tmp_path / "here").write_bytes(b"new")
    with (there / "file").open("rb") as before:
        device.push(tmp_path / "here", f"{there}/file")
        assert before.read() == b"old" * 100
    assert (there / "file").read_bytes() == b"new"


def test_sizes_of_what_is_no_file(device: Transport, there: Path) -> None:
    (there / "link").symlink_to(there / "target")
    assert device.size(f"{there}/link") is None
    (there / "target").write_bytes(b"12345")
    assert device.size(f"{there}/link") == 5
    assert device.size(f"{there}/nothing") is None
    assert device.size(f"{there}/target/below") is None
    assert device.size(str(there)) is None


def test_sizes_beyond_32_bits(device: Transport, there: Path) -> None:
    with (there / "big").open("wb") as stream:
        stream.truncate((5 << 30) + 3)
    size = device.size(f"{there}/big")
    assert size == (5 << 30) + 3 if new(device) else size == (1 << 30) + 3


def test_what_cannot_be_fetched_leaves_nothing_and_harms_nothing(
    device: Transport, there: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "kept").write_bytes(b"old")
    for name in ("missing", ".", "missing/below"):
        with pytest.raises(TransferError, match="there is no file"):
            device.pull(f"{there}/{name}", here / "kept")
        assert device.shell("echo well").stdout == b"well\n"
    assert names(here) == ["kept"]
    assert (here / "kept").read_bytes() == b"old"


def test_what_cannot_be_written_leaves_nothing_and_harms_nothing(
    device: Transport, there: Path, tmp_path: Path
) -> None:
    (tmp_path / "here").write_bytes(os.urandom(2 << 20))
    (there / "folder").mkdir()
    (there / "file").write_bytes(b"")
    for name, reason in (("folder", "is a directory"), ("file/below", "Not a directory")):
        with pytest.raises(TransferError, match=reason):
            device.push(tmp_path / "here", f"{there}/{name}")
        assert device.shell("echo well").stdout == b"well\n"
    assert names(there) == ["file", "folder"]
    assert names(there / "folder") == []
    with pytest.raises(TransferError, match="no path that adb can carry"):
        device.push(tmp_path / "here", f"{there}/{'x' * 2000}")
    with pytest.raises(FileNotFoundError):
        device.push(tmp_path / "not here", f"{there}/file")
    assert device.shell("echo well").stdout == b"well\n"


def test_a_caller_who_gives_up_leaves_nothing(
    device: Transport, there: Path, tmp_path: Path
) -> None:
    (tmp_path / "here").write_bytes(os.urandom(4 << 20))

    def give_up(sent: int) -> None:
        if sent > 1 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.push(tmp_path / "here", f"{there}/file", progress=give_up)
    assert device.shell("echo well").stdout == b"well\n"
    assert names(there) == []


def test_a_command_too_long_for_adb_is_refused_before_it_is_sent(device: Transport) -> None:
    with pytest.raises(DeviceError, match=r"cannot be sent|more than this device takes"):
        device.shell("true " + "x" * 70_000)
    with pytest.raises(DeviceError, match="NUL"):
        device.shell("echo a\0b")
    assert device.shell("echo well").stdout == b"well\n"


@pytest.fixture
def poor(tmp_path: Path) -> Iterator[Callable[..., Adbd]]:
    """A daemon on whose device some tools are missing."""
    daemons = []

    def start(*missing: str) -> Adbd:
        home = tmp_path / "phone"
        home.mkdir()
        daemons.append(Adbd(home, path=tools_without(tmp_path / "tools", missing)))
        return daemons[-1].start()

    yield start
    for daemon in daemons:
        daemon.kill()


def test_without_any_tool_to_hash_the_file_is_read_back(
    poor: Callable[..., Adbd], there: Path, tmp_path: Path
) -> None:
    daemon = poor("sha256sum", "busybox", "toybox")
    (tmp_path / "here").write_bytes(os.urandom(3 << 20))
    with directly(daemon.port) as device:
        assert device.shell("sha256sum </dev/null").code == 127
        device.push(tmp_path / "here", f"{there}/file", 0o640)
        assert (there / "file").read_bytes() == (tmp_path / "here").read_bytes()
        assert (there / "file").stat().st_mode & 0o777 == 0o640
        device.pull(f"{there}/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()


def test_without_any_tool_to_hash_damage_is_still_seen(
    poor: Callable[..., Adbd], there: Path, tmp_path: Path
) -> None:
    daemon = poor("sha256sum", "busybox", "toybox")
    (tmp_path / "here").write_bytes(os.urandom(1 << 20))
    with (
        spoiled_content(daemon.port, up=True) as port,
        directly(port) as device,
        pytest.raises(TransferError, match="arrived damaged and was removed"),
    ):
        device.push(tmp_path / "here", f"{there}/file")
    assert names(there) == []


@contextlib.contextmanager
def spoiled_content(port: int, *, up: bool) -> Iterator[int]:
    """A port behind which one bit of every large packet is turned."""

    def turn(message: Message) -> Message:
        if message.command != b"WRTE" or len(message.data) < 50_000:
            return message
        data = bytearray(message.data)
        data[40_000] ^= 1
        return message._replace(data=bytes(data))

    spoil = Spoil(edit=turn)
    proxy = Proxy(port, up=spoil) if up else Proxy(port, down=spoil)
    try:
        yield proxy.port
    finally:
        proxy.close()


def test_a_damaged_push_is_seen_and_removed(adbd: Adbd, there: Path, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(os.urandom(1 << 20))
    (there / "file").write_bytes(b"what was there before")
    with spoiled_content(adbd.port, up=True) as port, directly(port) as device:
        with pytest.raises(TransferError, match="arrived damaged and was removed"):
            device.push(tmp_path / "here", f"{there}/file")
        assert device.shell("echo well").stdout == b"well\n"
    assert names(there) == ["file"]
    assert (there / "file").read_bytes() == b"what was there before"


def test_a_damaged_pull_is_seen_and_removed(adbd: Adbd, there: Path, tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    (there / "file").write_bytes(content)
    here = tmp_path / "here"
    here.mkdir()
    with (
        spoiled_content(adbd.port, up=False) as port,
        directly(port) as device,
        pytest.raises(TransferError, match=hashlib.sha256(content).hexdigest()),
    ):
        device.pull(f"{there}/file", here / "file")
    assert names(here) == []


def test_old_daemons_check_the_sums_and_so_do_we(adbd: Adbd, there: Path, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(os.urandom(200_000))
    up, down = older()
    proxy = Proxy(adbd.port, up, down)
    try:
        with directly(proxy.port) as device:
            device.push(tmp_path / "here", f"{there}/file")
            assert device._link is not None
            assert device._link._summed
    finally:
        proxy.close()
    assert (there / "file").read_bytes() == (tmp_path / "here").read_bytes()


def test_nothing_is_left_open(adbd: Adbd, tmp_path: Path) -> None:
    before = names(Path("/proc/self/fd"))
    for _ in range(3):
        with directly(adbd.port) as device:
            device.shell("true")
    assert len(names(Path("/proc/self/fd"))) <= len(before)


def test_more_than_a_thousand_open_files_are_no_matter(adbd: Adbd, tmp_path: Path) -> None:
    script = f"""
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = [open("/dev/null") for _ in range(1100)]
from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.adb.wire import SocketWire
with DirectTransport("x", SocketWire("127.0.0.1", {adbd.port})) as device:
    sys.stdout.write(device.shell("echo well").stdout.decode())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("well\n", "")
