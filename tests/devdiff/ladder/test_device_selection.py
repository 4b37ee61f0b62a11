"""Which device is meant where nobody names one, and when that stops a command."""

from __future__ import annotations

import pytest

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.devices import AttachedDevice, DeviceAddress
from devdiff.device_runner.errors import DeviceChoiceError, SeveralDevicesError
from devdiff.device_runner.native.local_runner import LocalRunner
from devdiff.ladder.device_selection import check_device, open_device
from devdiff.options import Running
from devdiff.progress import SilentEvents


class _Noted(SilentEvents):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def two_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    found = [
        AttachedDevice(DeviceAddress(serial, "usb", reason="no adb server runs"), "device", {})
        for serial in ("0a38", "0b39")
    ]
    monkeypatch.setattr(devices, "attached", lambda environment=None: found)


def test_several_devices_stop_a_command_that_needs_one() -> None:
    with pytest.raises(SeveralDevicesError, match="name one with --device"):
        check_device(Running())
    with pytest.raises(SeveralDevicesError), open_device(Running(), _Noted()):
        pass


def test_several_devices_stop_no_command_that_needs_none_and_it_says_where_it_runs() -> None:
    events = _Noted()

    check_device(Running(), needed=False)
    with open_device(Running(), events, needed=False) as runner:
        assert isinstance(runner, LocalRunner)

    (note,) = events.notes
    assert "runs on this machine" in note
    assert "0a38" in note


def test_a_device_that_was_named_and_is_not_there_stops_any_command() -> None:
    with pytest.raises(DeviceChoiceError, match="there is no device"):
        check_device(Running(device="0c40"), needed=False)
