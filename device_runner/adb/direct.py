"""To a device without an adb server: the ADB protocol over TCP or USB."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.adb.keys import Keys
from devdiff.device_runner.adb.link import Link
from devdiff.device_runner.adb.services import DEFAULT_TIMEOUT_S, ServiceTransport
from devdiff.device_runner.errors import DeviceLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.device_runner.adb.channel import Channel, Deadline
    from devdiff.device_runner.adb.wire import Wire

_CONNECT_S: Final = 10.0
_ALLOW_S: Final = 60.0
# adbd names a connection by its file descriptor and drops a new one whose number an ended one still
# holds: one closed without a word is worth another try.
_TRIES: Final = 4
_BETWEEN_TRIES_S: Final = 0.1


class DirectTransport(ServiceTransport):
    """`devdiff.device_runner.adb.transport.Transport` by our own connection to the device's adb
    daemon.

    ``note`` is told what the user has to do meanwhile: answering the phone's question whether to
    allow this computer, for which ``allow_s`` seconds are given.
    """

    def __init__(
        self,
        serial: str,
        wire: Wire,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        connect_s: float = _CONNECT_S,
        allow_s: float = _ALLOW_S,
        note: Callable[[str], None] = lambda text: None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__(serial, timeout_s)
        self._wire = wire
        self._connect_s = connect_s
        self._allow_s = allow_s
        self._note = note
        self._environment = environment
        self._link: Link | None = None

    def _connect(self) -> None:
        keys = Keys(self._environment)
        for left in reversed(range(_TRIES)):
            link = Link(self._wire, self._serial)
            self._link = link
            try:
                link.connect(keys, self._connect_s, self._allow_s, self._ask)
                return
            except DeviceLostError:
                if not (link.dropped and left):
                    raise
                time.sleep(_BETWEEN_TRIES_S)

    def _ask(self) -> None:
        self._note(
            f"{self._serial}: the device asks whether to allow this computer: unlock it and "
            f"confirm within {self._allow_s:g} s"
        )

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()

    def _has(self, feature: str) -> bool:
        return feature in self._connected().features

    def _open(self, service: str, deadline: Deadline) -> Channel:
        return self._connected().open(service, deadline)

    def _connected(self) -> Link:
        if self._link is None:
            raise DeviceLostError(f"{self._serial}: not connected yet")
        return self._link
