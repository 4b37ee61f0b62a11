"""A phone that was given keys lets in who has one of them, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner
from adb_shell.exceptions import AdbTimeoutError, DeviceAuthError, TcpTimeoutException

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.probe import ProbeReply
from tests.support.phone_fixtures import AdbServer, adb_shell_device

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("good", "other", "wrong"):
        keygen(str(folder / name))
    return {name: folder / name for name in ("good", "other", "wrong")}


def enter(port: int, key: Path | None) -> str:
    signers = []
    if key is not None:
        public = key.with_suffix(".pub").read_text()
        signers = [PythonRSASigner(public, key.read_text())]
    device = adb_shell_device(port, 5, rsa_keys=signers, auth_timeout_s=1)
    try:
        said = device.shell("echo inside")
        assert isinstance(said, str)
        return said
    finally:
        device.close()


def test_only_the_given_keys_open(
    keys: dict[str, Path], phone_place: Path, adb_server: AdbServer, tmp_path: Path
) -> None:
    public = [keys[name].with_suffix(".pub") for name in ("good", "other")]
    with phone.start("cortex-a53", keys=public) as one:
        assert one.answer() is ProbeReply.LOCKED
        assert enter(one.port, keys["good"]) == "inside\n"
        assert enter(one.port, keys["other"]) == "inside\n"
        with pytest.raises(DeviceAuthError):
            enter(one.port, None)
        # The daemon waits for somebody to allow the key, which nobody does here.
        with pytest.raises((AdbTimeoutError, TcpTimeoutException), match=r"[Tt]imed? ?out"):
            enter(one.port, keys["wrong"])
        assert enter(one.port, keys["good"]) == "inside\n"
        # adb makes itself a key in its home when there is none; that is a wrong one.
        adb_server.run("start-server")
        assert f"{one.serial}\tdevice" not in adb_server.run("devices")
        adb_server.run("-s", one.serial, "shell", "echo inside", code=1)
        adb_server.run("kill-server")
        adb_server.environment["ADB_VENDOR_KEYS"] = str(keys["good"])
        adb_server.run("start-server")
        adb_server.run("-s", one.serial, "wait-for-device")
        assert adb_server.run("-s", one.serial, "shell", "echo inside") == "inside\n"


def test_a_file_that_is_no_key_starts_nothing(keys: dict[str, Path], phone_place: Path) -> None:
    with pytest.raises(VirtualPhoneError, match="no public adb key"):
        phone.start(keys=[keys["good"]])
    assert phone.running() == []
