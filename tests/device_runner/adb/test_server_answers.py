"""What answers at an adb server's port is not believed either."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.adb.server import ServerTransport, query
from devdiff.device_runner.errors import DeviceAuthError, DeviceLostError, TransportTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def answering(answer: bytes, *, stays: bool = False) -> Iterator[tuple[str, int]]:
    """The address of a server that says ``answer`` to whatever it is asked, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(answer)
                    if stays:
                        over.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


RUBBISH = {
    b"": "closed the connection",
    b"OK": "closed the connection",
    b"HTTP/1.1 400 Bad Request": "this is no adb server",
    b"OKAYzzzz": "this is no adb server",
    b"OKAY-001": "this is no adb server",
    b"OKAY 0x1": "this is no adb server",
    b"OKAYffffshort": "closed the connection",
    b"FAILffffshort": "closed the connection",
    b"FAIL0008go\x1b[2Jne": r"the adb server answers: go\\u001b\[2Jn",
}


@pytest.mark.parametrize("answer", RUBBISH)
def test_rubbish_is_no_answer(answer: bytes) -> None:
    with answering(answer) as server:
        with pytest.raises(ConnectionError, match=RUBBISH[answer]):
            query(server, "host:version")
        with (
            pytest.raises(DeviceLostError, match=r"^the-device: "),
            ServerTransport("the-device", server),
        ):
            pass


def test_an_answer_is_read_whole() -> None:
    with answering(b"OKAY0004\xc3\xbc\xff!") as server:
        assert query(server, "host:devices") == "ü\ufffd!"


def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    with answering(b"OKAY00", stays=True) as server:
        with pytest.raises(TimeoutError):
            query(server, "host:version", timeout_s=0.3)
        device = ServerTransport("the-device", server, timeout_s=0.3)
        with pytest.raises(TransportTimeoutError, match="does not answer"), device:
            pass


def test_a_key_that_the_device_does_not_know_is_the_servers() -> None:
    with (
        answering(b"FAIL001adevice unauthorized. (etc.)") as server,
        pytest.raises(DeviceAuthError, match="adb server's key"),
        ServerTransport("the-device", server),
    ):
        pass
