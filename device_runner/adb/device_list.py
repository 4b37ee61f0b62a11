"""Reads what adb servers and ``adb devices`` say of the devices they hold; pure text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_STATES: Final = (
    "device|offline|unauthorized|authorizing|connecting|bootloader|recovery|rescue|sideload|host|"
    "detached|unknown|no permissions.*?"
)
_KEYS: Final = "usb|product|model|device|features|transport_id"
# A serial may hold blanks: network names get " (2)" when there are two of one name, and a phone
# may have none ("(no serial number)"). Its end is where a state begins.
_LINE: Final = re.compile(
    rf"(?P<serial>\S.*?)\s+(?P<state>{_STATES})(?P<details>(?:\s+(?:{_KEYS}):\S*)*)"
)


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One line of the list: the serial, the state in adb's words, and what else it says."""

    serial: str
    state: str
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.state == "device"


def parse(text: str) -> list[ListedDevice]:
    """The devices of an ``adb devices [-l]`` output or a ``host:devices[-l]`` answer.

    Lines that name no device (headings, news of the daemon) are passed over.
    """
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or line.startswith("*"):
            continue
        pairs = (word.partition(":") for word in match["details"].split())
        details = {key: value for key, _, value in pairs}
        found.append(ListedDevice(match["serial"], match["state"], details))
    return found
