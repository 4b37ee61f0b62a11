"""The keys by which a phone knows this computer: found where Android's tools keep them, or made."""

from __future__ import annotations

import base64
import os
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from adb_shell.auth.keygen import encode_pubkey, keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.adb.keys import Keys, android_folder, key_files, make_key, public_file
from devdiff.device_runner.adb.wire import SocketWire
from devdiff.device_runner.errors import DeviceAuthError
from tests.support.real_adbd import Adbd, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from devdiff.device_runner.virtual.phone import VirtualPhone


def test_keys_are_looked_for_where_adb_keeps_them(tmp_path: Path) -> None:
    home = {"HOME": "/home/somebody"}
    assert android_folder(home) == Path("/home/somebody/.android")
    assert android_folder({**home, "ANDROID_SDK_HOME": "/sdk"}) == Path("/sdk/.android")
    assert android_folder({**home, "ANDROID_USER_HOME": "/user"}) == Path("/user")
    folder = tmp_path / "vendor"
    folder.mkdir()
    for name in ("b.adb_key", "a.adb_key", "other"):
        (folder / name).touch()
    named = {**home, "ADB_VENDOR_KEYS": f"/one/key:{folder}:/home/somebody/.android/adbkey:"}
    assert key_files(named) == [
        Path("/home/somebody/.android/adbkey"),
        Path("/one/key"),
        folder / "a.adb_key",
        folder / "b.adb_key",
    ]


def test_a_key_is_made_only_when_a_phone_asks(tmp_path: Path) -> None:
    Keys({"HOME": str(tmp_path)})
    assert names(tmp_path) == []


def test_a_device_that_asks_for_no_key_leaves_the_home_alone(adbd: Adbd, tmp_path: Path) -> None:
    wire = SocketWire("127.0.0.1", adbd.port)
    with DirectTransport("x", wire, environment={"HOME": str(tmp_path)}) as device:
        device.shell("true")
    assert names(tmp_path) == []


def test_a_made_key_is_private_and_whole(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = Keys({"HOME": str(tmp_path)})
        (key,) = keys.load()
    finally:
        os.umask(before)
    own = tmp_path / ".android/adbkey"
    assert keys.own == own
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert names(own.parent) == ["adbkey", "adbkey.pub"]
    assert own.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    encoded, who = public_file(own).read_text().split()
    assert len(base64.b64decode(encoded)) == 524
    assert "@" in who
    assert key.public_line() == public_file(own).read_bytes()


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    own = tmp_path / ".android/adbkey"
    own.parent.mkdir()
    keygen(str(own))
    before = own.read_bytes(), public_file(own).read_bytes()
    make_key(own)
    assert len(Keys({"HOME": str(tmp_path)}).load()) == 1
    assert (own.read_bytes(), public_file(own).read_bytes()) == before


def test_a_key_is_what_the_tools_of_others_take_it_for(tmp_path: Path) -> None:
    own = tmp_path / "adbkey"
    make_key(own)
    (key,) = Keys({"ANDROID_USER_HOME": str(tmp_path)}).load()
    assert key.public_struct() == encode_pubkey(str(own))
    token = bytes(range(20))
    theirs = PythonRSASigner(public_file(own).read_text(), own.read_text()).Sign(token)
    assert key.sign(token) == bytes(theirs)


def test_the_older_form_of_a_key_is_read(tmp_path: Path) -> None:
    own = tmp_path / "adbkey"
    make_key(own)
    (key,) = Keys({"ANDROID_USER_HOME": str(tmp_path)}).load()
    older = key.private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    assert older.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    own.write_bytes(older)
    (again,) = Keys({"ANDROID_USER_HOME": str(tmp_path)}).load()
    assert again.public_line() == key.public_line()


def unfit_keys() -> dict[str, bytes]:
    small = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    full = rsa.generate_private_key(65537, 2048)
    plain = NoEncryption()
    return {
        "2048 bits": small.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain),
        "no RSA key": curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain),
        "password": full.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
    }


def test_a_key_that_no_phone_takes_is_named_with_the_reason(tmp_path: Path) -> None:
    for reason, pem in unfit_keys().items():
        (tmp_path / "adbkey").write_bytes(pem)
        with pytest.raises(DeviceAuthError, match=reason) as caught:
            Keys({"ANDROID_USER_HOME": str(tmp_path)}).load()
        assert str(tmp_path / "adbkey") in str(caught.value)


def test_a_public_half_of_another_key_is_not_offered(tmp_path: Path) -> None:
    make_key(tmp_path / "adbkey")
    make_key(tmp_path / "other")
    line = public_file(tmp_path / "other").read_text().split()[0] + " \x1b[2Jmallory@host\n"
    public_file(tmp_path / "adbkey").write_text(line)
    (key,) = Keys({"ANDROID_USER_HOME": str(tmp_path)}).load()
    assert key.public_struct() == encode_pubkey(str(tmp_path / "adbkey"))
    assert key.owner == "2Jmallory@host"


def test_several_at_once_agree_on_one_key(tmp_path: Path) -> None:
    loaded: list[bytes] = []

    def load() -> None:
        loaded.append(Keys({"HOME": str(tmp_path)}).load()[0].sign(b"\0" * 20))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4
    assert len(set(loaded)) == 1


def test_the_public_half_is_worked_out_when_it_is_missing(tmp_path: Path) -> None:
    own = tmp_path / ".android/adbkey"
    make_key(own)
    expected = public_file(own).read_text().split()[0]
    public_file(own).unlink()
    (key,) = Keys({"HOME": str(tmp_path)}).load()
    assert key.public_line().decode().split()[0] == expected
    assert names(own.parent) == ["adbkey"]


def test_a_broken_key_of_a_vendor_does_no_harm_and_ones_own_is_named(tmp_path: Path) -> None:
    (tmp_path / "vendor").write_text("no key")
    environment = {"HOME": str(tmp_path), "ADB_VENDOR_KEYS": str(tmp_path / "vendor")}
    assert len(Keys(environment).load()) == 1
    (tmp_path / ".android/adbkey").write_text("no key")
    with pytest.raises(DeviceAuthError, match=r"\.android/adbkey: .* move it away"):
        Keys(environment).load()


@pytest.mark.slow
class TestAPhoneThatAsks:
    """On a virtual phone whose daemon lets in only who has a key."""

    @pytest.fixture
    def key(self, tmp_path: Path) -> Path:
        path = tmp_path / "good/.android/adbkey"
        make_key(path)
        return path

    @pytest.fixture
    def phone(self, start_phone: Callable[..., VirtualPhone], key: Path) -> VirtualPhone:
        return start_phone(keys=[public_file(key)])

    def enter(self, phone: VirtualPhone, allow_s: float = 1, **environment: str) -> list[str]:
        asked: list[str] = []
        wire = SocketWire("127.0.0.1", phone.port)
        with DirectTransport(
            phone.serial, wire, allow_s=allow_s, note=asked.append, environment=environment
        ) as device:
            assert device.shell("echo inside").stdout == b"inside\n"
        return asked

    def test_keys_open_it(self, phone: VirtualPhone, key: Path, tmp_path: Path) -> None:
        assert self.enter(phone, HOME=str(key.parent.parent)) == []
        assert self.enter(phone, HOME=str(tmp_path), ADB_VENDOR_KEYS=str(key)) == []
        assert self.enter(phone, ANDROID_USER_HOME=str(key.parent)) == []

        elsewhere = tmp_path / "elsewhere"
        begun = time.monotonic()
        with pytest.raises(DeviceAuthError) as caught:
            self.enter(phone, HOME=str(elsewhere))
        assert time.monotonic() - begun < 20
        text = str(caught.value)
        assert phone.serial in text
        assert str(elsewhere / ".android/adbkey.pub") in text
        assert "unlock it" in text
        assert stat.S_IMODE((elsewhere / ".android/adbkey").stat().st_mode) == 0o600

    def test_the_user_is_told_that_it_asks(self, phone: VirtualPhone, tmp_path: Path) -> None:
        asked: list[str] = []
        device = DirectTransport(
            phone.serial,
            SocketWire("127.0.0.1", phone.port),
            allow_s=1,
            note=asked.append,
            environment={"HOME": str(tmp_path)},
        )
        with pytest.raises(DeviceAuthError), device:
            pass
        assert len(asked) == 1
        assert f"{phone.serial}: the device asks whether to allow this computer" in asked[0]
