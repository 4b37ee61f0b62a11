"""Fixtures for tests with virtual phones: a place of their own for them, and adb servers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from devdiff.device_runner.virtual import phone
from tests.support.lanes import FAR_PHONES, lane

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from devdiff.device_runner.virtual.phone import VirtualPhone


_FAR_PORTS: Final = range(5601, 5684, 2)
"""Beyond those on which adb looks for emulators."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Phones that no adb server shall find get ports on which none looks."""
    with pytest.MonkeyPatch.context() as patch:
        if lane(item.nodeid) == FAR_PHONES:
            patch.setattr(phone, "_PORTS", _FAR_PORTS)
        return (yield)


def adb_shell_device(port: int, timeout_s: float = 20, **connecting: Any) -> Any:
    """A stock adb-shell device, connected: a client of the daemon that is not ours.

    adbd now and then drops a connection that follows on the end of another. adb-shell takes that
    for a silence; it is tried again.
    """
    from adb_shell.adb_device import AdbDeviceTcp
    from adb_shell.exceptions import AdbTimeoutError

    device = AdbDeviceTcp("127.0.0.1", port, default_transport_timeout_s=timeout_s)
    for left in reversed(range(4)):
        try:
            device.connect(**{"auth_timeout_s": 5, "read_timeout_s": 3} | connecting)
            return device
        except Exception as error:
            device.close()
            if not (left and isinstance(error, AdbTimeoutError)):
                raise
    raise AssertionError


def shell(one: VirtualPhone, script: str, timeout_s: float = 20) -> str:
    """What a command prints on a phone, through a connection of its own."""
    device = adb_shell_device(one.port, timeout_s)
    try:
        said = device.shell(script, read_timeout_s=timeout_s, transport_timeout_s=timeout_s)
        assert isinstance(said, str)
        return said
    finally:
        device.close()


def in_another_process(script: str, **options: Any) -> subprocess.Popen[str]:
    """A Python process running ``script``, its output piped."""
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, **options
    )


class AdbServer:
    """An adb server on a port and with a home of its own; no other is ever spoken to."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            self.port = trial.getsockname()[1]
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ADB_", "ANDROID_"))
        }
        self.environment |= {"HOME": str(home), "ANDROID_ADB_SERVER_PORT": str(self.port)}

    def run(self, *arguments: str | Path, code: int | None = 0) -> str:
        """Run adb, which starts the server if need be; returns both its outputs."""
        done = subprocess.run(
            ["adb", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture(scope="session")
def phone_place() -> Iterator[Path]:
    """A runtime directory for the phones of the tests, apart from the user's; empty at the end."""
    before = os.environ.get("DEVDIFF_RUNTIME_DIR")
    # Short, because sockets lie in it.
    place = Path(tempfile.mkdtemp(prefix="dd-"))
    os.environ["DEVDIFF_RUNTIME_DIR"] = str(place)
    try:
        yield place
        left = phone.running()
        for one in left:
            one.stop()
        assert not left, "a test left a phone running"
        assert list((place / "phones").glob("*")) == []
    finally:
        shutil.rmtree(place)
        if before is None:
            del os.environ["DEVDIFF_RUNTIME_DIR"]
        else:
            os.environ["DEVDIFF_RUNTIME_DIR"] = before


@pytest.fixture
def start_phone(phone_place: Path) -> Iterator[Callable[..., VirtualPhone]]:
    """`phone.start`, for phones that end with the test."""
    started = []

    def start(*arguments: Any, **options: Any) -> VirtualPhone:
        started.append(phone.start(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def adb_server(tmp_path: Path) -> Iterator[AdbServer]:
    """A private adb server; it starts with the first command, after the phones it shall find."""
    server = AdbServer(tmp_path)
    yield server
    server.run("kill-server", code=None)
