"""What is attached, what each device is, and what can be run on it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.adb.device_facts import DeviceFacts, describe
from devdiff.device_runner.adb.devices import AttachedDevice, attached, connect, require_usable
from devdiff.device_runner.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Somebody is waiting for a list, so one device that hangs must not hold it up for long.
_PATIENCE_S: Final = 10.0
_ALLOW_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    """One device: what it is, or the problem with it; exactly one of the two is there."""

    attached: AttachedDevice
    facts: DeviceFacts | None
    problem: str = ""

    def runs(self) -> str:
        """What can be run there, in words; empty when nothing can."""
        from devdiff.device_runner.runtimes.wheels import pinned_for

        abi = self.facts.runs if self.facts else None
        if abi is None:
            return ""
        names = [f"{pin.name} {pin.version}" for pin in pinned_for(abi).values()]
        return f"{abi}: {', '.join(names) or 'your own runtime library, with --runtime'}"

    def to_json(self) -> dict[str, Any]:
        return {
            "serial": self.attached.address.serial,
            "state": self.attached.state,
            "address": self.attached.address.to_json(),
            "facts": self.facts.to_json() if self.facts else None,
            "problem": self.problem or None,
            "runs": self.runs() or None,
        }


def inventory(environment: Mapping[str, str] = os.environ) -> list[InventoryEntry]:
    """All devices that are attached, asked at the same time."""
    devices = attached(environment)
    with ThreadPoolExecutor(max(1, len(devices))) as pool:
        return list(pool.map(lambda device: _examined(device, environment), devices))


def _examined(attached_device: AttachedDevice, environment: Mapping[str, str]) -> InventoryEntry:
    try:
        require_usable(attached_device)
        transport = connect(
            attached_device.address,
            timeout_s=_PATIENCE_S,
            allow_s=_ALLOW_S,
            environment=environment,
        )
        with transport:
            return InventoryEntry(attached_device, describe(transport))
    except DeviceError as error:
        return InventoryEntry(attached_device, None, str(error))
