"""How a connection begins, with devices that a test plays: honest, slow, unwilling, and hostile."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from devdiff.device_runner.adb.channel import Deadline
from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.adb.keys import make_key, public_file
from devdiff.device_runner.adb.packet import MOST_BYTES
from devdiff.device_runner.adb.wire import SocketWire
from devdiff.device_runner.errors import (
    DeviceAuthError,
    DeviceError,
    DeviceLostError,
    TransportTimeoutError,
)
from tests.support.played_adbd import (
    BANNER,
    Peer,
    Script,
    greeting,
    message,
    played,
    public_key,
    signed_by,
    token,
)
from tests.support.real_adbd import names


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a key of its own and one of a vendor."""
    folder = tmp_path_factory.mktemp("home")
    make_key(folder / ".android/adbkey")
    make_key(folder / "vendor.adb_key")
    return folder


def transport(
    home: Path, port: int, asked: list[str], connect_s: float = 5, allow_s: float = 5
) -> DirectTransport:
    return DirectTransport(
        "the-device",
        SocketWire("127.0.0.1", port),
        timeout_s=connect_s,
        connect_s=connect_s,
        allow_s=allow_s,
        note=asked.append,
        environment={"HOME": str(home), "ADB_VENDOR_KEYS": str(home / "vendor.adb_key")},
    )


def first(answer: bytes, *, stays: bool = True) -> Script:
    """A device that answers our greeting so, and then listens or hangs up."""
    return after(0, answer, stays=stays)


def signed(answer: bytes, *, stays: bool = True) -> Script:
    """A device that answers our first signature so."""
    return after(1, answer, stays=stays)


def offered(answer: bytes, *, stays: bool = True) -> Script:
    """A device that answers so when both keys were shown and the public half came."""
    return after(3, answer, stays=stays)


def after(tokens: int, answer: bytes, *, stays: bool = True) -> Script:
    def script(peer: Peer) -> None:
        peer.hear()
        for _ in range(tokens):
            peer.say(token())
            peer.hear()
        peer.say(answer)
        if stays:
            peer.hear()

    return script


STEPS = {"greeting": first, "signature": signed, "public half": offered}
RUBBISH = {
    "what is no ADB": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak ADB"),
    "zeros": (bytes(24), "does not speak ADB"),
    "a message of another kind": (message(b"PING"), "does not speak ADB"),
    "a head that contradicts itself": (
        message(b"CNXN", 0x01000001, 4096, BANNER, magic=1),
        "does not speak ADB",
    ),
    "a greeting of 4 GB": (
        message(b"CNXN", 0x01000001, 4096, length=0xFFFFFFFF),
        "CNXN of 4294967295 bytes, more than 4096",
    ),
    "a token of 5,000 bytes": (token(data=bytes(5000)), "AUTH of 5000 bytes, more than 4096"),
    "data of 2 MB": (
        message(b"WRTE", 1, 1, length=MOST_BYTES + 1),
        f"WRTE of {MOST_BYTES + 1} bytes, more than {MOST_BYTES}",
    ),
    "a greeting that does not add up": (
        message(b"CNXN", 0x01000001, 4096, BANNER, total=5),
        "arrived damaged",
    ),
    "a service of ours": (message(b"OPEN", 1, 0, b"shell:\0"), "OPEN for a greeting"),
    "only what is stale": (message(b"CLSE", 1, 1) * 100, "CLSE for a greeting"),
    "half a head": (b"CNXN\0\0", "closed by the other end"),
    "half a greeting": (greeting()[:-5], "closed by the other end"),
    "version 0": (greeting(version=0), "version 0x0 of ADB"),
    "messages of no bytes": (greeting(most=0), "takes 0 bytes in a message"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_ends_the_connection_with_what_it_was(home: Path, step: str, kind: str) -> None:
    answer, reason = RUBBISH[kind]
    asked: list[str] = []
    with played(STEPS[step](answer, stays="half" not in kind)) as port:
        device = transport(home, port, asked)
        begun = time.monotonic()
        with pytest.raises((DeviceLostError, DeviceAuthError)) as caught, device:
            pass
        assert time.monotonic() - begun < 4
        with pytest.raises(DeviceLostError):
            device.shell("true")
    # A phone that is broken while it asks for its owner's consent has not consented.
    while_asking = step == "public half" and not isinstance(caught.value, DeviceLostError)
    text = f"{caught.value}; {caught.value.__cause__}" if while_asking else str(caught.value)
    assert reason in text
    assert text.startswith("the-device: ")
    assert bool(asked) is (step == "public half")


@pytest.mark.parametrize(
    "answer", [token(kind=2), token(kind=3), token(data=b""), token(data=bytes(32)), token(0)]
)
@pytest.mark.parametrize("step", ["greeting", "signature"])
def test_nothing_but_a_token_is_signed(home: Path, step: str, answer: bytes) -> None:
    heard: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.hear()
        if step == "signature":
            peer.say(token())
            peer.hear()
        peer.say(answer)
        heard.append(peer.hear().command)

    with (
        played(script) as port,
        pytest.raises(DeviceLostError, match="no token of 20 bytes"),
        transport(home, port, []),
    ):
        pass
    assert heard == []


@pytest.mark.parametrize("which", [0, 1])
def test_a_device_that_knows_one_of_the_keys_opens(home: Path, which: int) -> None:
    """It looks at the signatures as a phone does, by the public half of that key."""
    path = (home / ".android/adbkey", home / "vendor.adb_key")[which]
    known = public_key(public_file(path).read_bytes())
    signatures: list[bool] = []

    def script(peer: Peer) -> None:
        peer.hear()
        while not any(signatures):
            peer.say(token())
            heard = peer.hear()
            assert (heard.command, heard.first) == (b"AUTH", 2)
            signatures.append(signed_by(known, heard.data))
        peer.say(greeting())
        peer.hear()

    asked: list[str] = []
    with played(script) as port, transport(home, port, asked) as device:
        assert device._link is not None
        assert device._link.features == {"shell_v2", "stat_v2"}
    assert signatures == [False] * which + [True]
    assert asked == []


def test_the_question_on_the_phone_is_waited_for(home: Path) -> None:
    shown: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.hear()
        for _ in range(2):
            peer.say(token())
            peer.hear()
        peer.say(token())
        heard = peer.hear()
        assert (heard.command, heard.first) == (b"AUTH", 3)
        shown.append(heard.data)
        # Longer than a connection may take, shorter than the owner of the phone may.
        time.sleep(1.2)
        peer.say(greeting())
        peer.hear()

    asked: list[str] = []
    with played(script) as port, transport(home, port, asked, connect_s=1):
        pass
    line = public_file(home / ".android/adbkey").read_bytes()
    assert shown == [line + b"\0"]
    assert public_key(shown[0].rstrip(b"\0")).key_size == 2048
    assert asked == [
        "the-device: the device asks whether to allow this computer: unlock it and confirm within "
        "5 s"
    ]


@pytest.mark.parametrize("answer", [token(), b""])
def test_a_key_that_is_not_allowed_is_named(home: Path, answer: bytes) -> None:
    """By another token, or by hanging up."""
    with (
        played(offered(answer, stays=bool(answer))) as port,
        pytest.raises(DeviceAuthError, match="does not allow this computer's key") as caught,
        transport(home, port, []),
    ):
        pass
    assert str(home / ".android/adbkey.pub") in str(caught.value)
    assert "unlock it" in str(caught.value)
    assert "ADB_VENDOR_KEYS" in str(caught.value)


def test_a_question_that_nobody_answers_ends_when_it_was_said_to(home: Path) -> None:
    with played(offered(b"")) as port:
        begun = time.monotonic()
        with pytest.raises(DeviceAuthError, match="unlock it"), transport(home, port, [], 5, 0.5):
            pass
        assert 0.5 <= time.monotonic() - begun < 4


def trickle(peer: Peer) -> None:
    """A byte now and then, so that the connection is never silent for long."""
    peer.hear()
    for byte in greeting():
        peer.say(bytes([byte]))
        time.sleep(0.1)


def nothing(peer: Peer) -> None:
    peer.hear()
    peer.hear()


@pytest.mark.parametrize("script", [nothing, trickle])
def test_a_greeting_has_its_time_and_no_more(home: Path, script: Script) -> None:
    with played(script) as port:
        begun = time.monotonic()
        with pytest.raises(TransportTimeoutError, match="1 s"), transport(home, port, [], 1):
            pass
        assert 1 <= time.monotonic() - begun < 4


def test_wireless_debugging_wants_pairing(home: Path) -> None:
    with (
        played(first(message(b"STLS", 0x01000000))) as port,
        pytest.raises(DeviceError, match="adb pair"),
        transport(home, port, []),
    ):
        pass


@pytest.mark.parametrize(
    ("version", "most", "summed", "taken"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF, False, MOST_BYTES),
        (0x01000001, 256 << 10, False, 256 << 10),
        (0x01000000, 4096, True, 4096),
    ],
)
def test_a_greeting_from_the_future_and_from_the_past(
    home: Path, version: int, most: int, summed: bool, taken: int
) -> None:
    with (
        played(first(greeting(version, most))) as port,
        transport(home, port, []) as device,
    ):
        assert device._link is not None
        assert device._link._summed is summed
        assert device._link._largest == taken


def test_what_is_stale_is_passed_over(home: Path) -> None:
    stale = message(b"WRTE", 7, 9, b"left over", total=0) + message(b"CLSE", 7, 9)
    with (
        played(first(stale + greeting())) as port,
        transport(home, port, []) as device,
    ):
        assert device._has("shell_v2")


def test_only_names_are_features(home: Path) -> None:
    banner = b"device::features=shell_v2,\x1b[2J,a b,,stat_v2," + b"x" * 65 + b"\0"
    with (
        played(first(greeting(banner=banner))) as port,
        transport(home, port, []) as device,
    ):
        assert device._link is not None
        assert device._link.features == {"shell_v2", "stat_v2"}


def test_a_device_that_floods_a_channel_is_left(home: Path) -> None:
    def script(peer: Peer) -> None:
        peer.hear()
        peer.say(greeting())
        ours = peer.hear().first
        peer.say(message(b"OKAY", 5, ours))
        # Never waits for an acknowledgement, so that memory would fill with what nobody took.
        while True:
            peer.say(message(b"WRTE", 5, ours, bytes(1 << 10)) * 100)

    deadline = Deadline(5, "the-device", "testing")
    with played(script) as port, transport(home, port, []) as device:
        link = device._link
        assert link is not None
        channel = link.open("flood:", deadline)
        with pytest.raises(DeviceLostError, match="without waiting for an acknowledgement"):
            while True:
                link.pump(deadline)
        assert channel.unread < 10
        with pytest.raises(DeviceLostError):
            device.shell("true")


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_never_do_more_than_end_a_connection(home: Path, seed: int) -> None:
    """Whole greetings and tokens with a few bytes turned, and pure noise."""
    chance = random.Random(seed)

    def spoiled() -> bytes:
        data = bytearray(chance.choice((greeting(), token(), chance.randbytes(60))))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(min(len(data), 40))] = chance.randrange(256)
        return bytes(data)

    def script(peer: Peer) -> None:
        while True:
            peer.hear()
            peer.say(spoiled())

    before = len(names(Path("/proc/self/fd")))
    outcomes = []
    with played(script) as port:
        for _ in range(12):
            try:
                with transport(home, port, [], 0.3, 0.3):
                    outcomes.append("in")
            except DeviceError as error:
                outcomes.append(type(error).__name__)
    assert "DeviceLostError" in outcomes
    assert len(names(Path("/proc/self/fd"))) <= before
