"""What every way to a device can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class ShellResult:
    """What a remote command did: its exit code, and all it printed."""

    code: int
    stdout: bytes
    stderr: bytes


class Transport(Protocol):
    """A connection to one device; a context manager that connects and closes.

    Every method raises `DeviceLostError` when the device or the connection to it is gone, and
    `TransportTimeoutError` when it does not answer in time; after either, the transport is closed
    and a new one is needed. Commands are shell text: quote what comes from outside (`shlex.quote`).
    """

    @property
    def serial(self) -> str:
        """The device's serial as the user knows it (``emulator-5554``, ``host:port``)."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def shell(self, command: str, timeout_s: float = 30.0) -> ShellResult:
        """Run a command to its end. Its exit code is its own, never guessed."""

    def stream(self, command: str, idle_s: float = 60.0) -> Iterator[bytes]:
        """Run a command and give its standard output, unchanged, as it comes.

        Raises `TransportTimeoutError` when nothing comes for ``idle_s`` seconds. Closing the
        iterator early ends the remote command's connection.
        """

    def push(
        self, local: Path, remote: str, mode: int = 0o644, progress: Callable[[int], None] = ...
    ) -> None:
        """Send a file; ``progress`` is called with the bytes sent so far.

        What arrived is checked by SHA-256 on the device; raises `TransferError` when it is not what
        was sent (storage full, cut short), and leaves nothing of it there.
        """

    def pull(self, remote: str, local: Path) -> None:
        """Fetch a file, whole or not at all, checked by SHA-256. Raises `TransferError`."""

    def size(self, remote: str) -> int | None:
        """Size of a remote file in bytes; None when there is none."""
