"""Where the device rung runs: what ``--device`` means."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.errors import (
    DeviceChoiceError,
    NoDeviceError,
    RunnerChoiceError,
    SeveralDevicesError,
)
from devdiff.device_runner.native.local_runner import LocalRunner
from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.hardware import CPUS, DEFAULT_CPU
from devdiff.system.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.device_runner.runner import Runner
    from devdiff.options import Running
    from devdiff.progress import Events


def check_device(running: Running, *, needed: bool = True) -> None:
    """A look before the work begins: the device is there and lets this computer in.

    Where none is ``needed``, several among which nobody chose are as none. Raises
    `RunnerChoiceError` for a device there is not, `DeviceError` for one that is silent.
    """
    chosen = running.device
    if chosen == "local":
        _local(running)
    elif chosen is not None and chosen.partition(":")[0] == "virtual":
        cpu = chosen.partition(":")[2] or DEFAULT_CPU
        if cpu not in CPUS:
            raise RunnerChoiceError(
                f"--device {chosen}: there are virtual {', '.join(CPUS)}{did_you_mean(cpu, CPUS)}"
            )
    elif chosen != "none":
        try:
            address = devices.resolve(chosen)
        except NoDeviceError:
            return
        except SeveralDevicesError:
            if needed:
                raise
            return
        except DeviceChoiceError as error:
            meant = nearest(chosen or "", ("local", "virtual", "none")) if chosen else None
            if meant is None:
                raise
            raise DeviceChoiceError(f"--device {chosen}: did you mean {meant}? {error}") from error
        with devices.connect(address):
            pass


@contextlib.contextmanager
def open_device(
    running: Running, events: Events, *, needed: bool = True
) -> Iterator[Runner | None]:
    """The runner behind ``running.device``, held until the context ends; None for ``none``.

    ``virtual`` and ``virtual:CPU`` start a phone of their own and stop it. Without a device,
    ANDROID_SERIAL decides, else the only one attached, else this machine, which also stands in for
    several where no device is ``needed``. Raises `DeviceChoiceError` when there is none of that
    name, or several and none was named.
    """
    chosen = running.device
    if chosen == "none":
        yield None
    elif chosen == "local":
        yield _local(running)
    elif chosen is not None and chosen.partition(":")[0] == "virtual":
        cpu = chosen.partition(":")[2] or DEFAULT_CPU
        events.phase(f"starting a virtual phone ({cpu})")
        with phone.start(cpu, say=events.note) as started:
            events.note(f"{started.serial} is {phone.WHAT_IT_IS}")
            with _remote(devices.resolve(started.serial, {}), running, events) as runner:
                yield runner
    else:
        address = _address(chosen, events, needed)
        if address is None:
            yield _local(running)
        else:
            with _remote(address, running, events) as runner:
                yield runner


def _address(chosen: str | None, events: Events, needed: bool) -> devices.DeviceAddress | None:
    """The device that is meant; None when none was named and none is there.

    Also when there are several and none is ``needed``.
    """
    try:
        address = devices.resolve(chosen)
    except NoDeviceError:
        if chosen is not None:
            raise
        events.note("no --device given and none attached: the device rung runs on this machine")
        return None
    except SeveralDevicesError as error:
        if needed:
            raise
        events.note(f"the device rung runs on this machine, since no --device is given: {error}")
        return None
    events.note(f"device: {address.summary()}")
    return address


def _local(running: Running) -> LocalRunner:
    if running.delegate not in ("xnnpack", "none"):
        raise RunnerChoiceError(
            f"--delegate {running.delegate} is for phones: this machine has xnnpack and none"
        )
    return LocalRunner(running.runtime, running.delegate, running.threads)


@contextlib.contextmanager
def _remote(
    address: devices.DeviceAddress, running: Running, events: Events
) -> Iterator[RemoteRunner]:
    options = RemoteOptions(
        runtime=running.runtime,
        delegate=running.delegate,
        threads=running.threads,
        keep_going=running.keep_going,
    )
    with contextlib.closing(RemoteRunner(address, options, events.note)) as runner:
        yield runner
