"""A phone on USB, where the bus is played and the phone's daemon is a real one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.adb import usb
from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.errors import DeviceError, DeviceLostError
from tests.support.played_usb import PACKET_BYTES, SERIAL, Bus, played_bus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.real_adbd import Adbd


@pytest.fixture
def bus(adbd: Adbd) -> Iterator[Bus]:
    with played_bus(adbd.port) as bus:
        yield bus


def reached(serial: str) -> DirectTransport:
    return DirectTransport(serial, usb.UsbWire(serial), timeout_s=20)


def test_short_and_late_transfers_lose_nothing(bus: Bus, tmp_path: Path) -> None:
    content = os.urandom(700_000)
    (tmp_path / "here").write_bytes(content)
    with reached(SERIAL) as device:
        device.push(tmp_path / "here", f"{tmp_path}/there")
        device.pull(f"{tmp_path}/there", tmp_path / "back")
        done = device.shell("echo out; echo err >&2; exit 3")
    assert (tmp_path / "there").read_bytes() == content
    assert (tmp_path / "back").read_bytes() == content
    assert (done.code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_a_body_of_whole_packets_is_ended_by_an_empty_transfer(bus: Bus) -> None:
    with reached(SERIAL) as device:
        prefix = len("shell,v2,raw:echo \0")
        assert device.shell("echo " + "x" * (PACKET_BYTES - prefix)).code == 0
        assert 0 in bus.sizes
        bus.sizes.clear()
        assert device.shell("echo " + "x" * (PACKET_BYTES - prefix - 1)).code == 0
        assert 0 not in bus.sizes


def test_what_is_on_the_bus_is_listed(bus: Bus) -> None:
    assert list(usb.attached()) == [(SERIAL, "")]
    bus.forbidden = True
    ((serial, trouble),) = usb.attached()
    assert serial == "(unreadable)"
    assert "plugdev" in trouble


def test_what_goes_wrong_on_a_cable_is_said(bus: Bus) -> None:
    with pytest.raises(DeviceLostError, match="no such phone on USB"), reached("x"):
        pass
    with reached(SERIAL) as device:
        bus.unplugged = True
        with pytest.raises(DeviceLostError, match="no device"):
            device.shell("true")
    bus.unplugged = False
    bus.busy = True
    with pytest.raises(DeviceError, match="another program holds it"), reached(SERIAL):
        pass
    bus.busy = False
    bus.forbidden = True
    with pytest.raises(DeviceError, match="plugdev"), reached(SERIAL):
        pass
