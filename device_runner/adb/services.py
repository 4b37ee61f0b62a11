"""What every transport does alike, once it can open a channel to a service of the device."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import secrets
import shlex
import stat
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Self

from devdiff.device_runner.adb.channel import Channel, Deadline, ServiceUnknownError, gone
from devdiff.device_runner.adb.shell import Marks, framed_output, framed_result
from devdiff.device_runner.adb.sync import FileSync, RefusedError
from devdiff.device_runner.errors import DeviceError, DeviceLostError, TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from devdiff.device_runner.adb.transport import ShellResult

DEFAULT_TIMEOUT_S: Final = 30.0
# What an adb server takes in one request, less what it puts before the command.
_LONGEST_COMMAND: Final = 60_000
# A slow phone's core hashes some 30 MB a second; one that is emulated, half of that.
_HASHED_A_SECOND: Final = 8 << 20
HASHERS: Final = ("sha256sum", "toybox sha256sum", "busybox sha256sum")


class ServiceTransport(ABC):
    """`devdiff.device_runner.adb.transport.Transport` over channels that a subclass opens.

    Not to be shared between threads. ``timeout_s`` bounds every silence while connecting,
    transferring and opening services; commands have limits of their own.
    """

    def __init__(self, serial: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._serial = serial
        self._timeout_s = timeout_s

    @property
    def serial(self) -> str:
        return self._serial

    @abstractmethod
    def _connect(self) -> None:
        """Connect; raises the errors of `Transport`."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Let go of the device; doing so twice does nothing."""

    @abstractmethod
    def _open(self, service: str, deadline: Deadline) -> Channel:
        """A channel to a service. Raises `ServiceUnknownError` when the device knows no such."""

    @abstractmethod
    def _has(self, feature: str) -> bool:
        """Whether the device's adb daemon, and all on the way to it, has a feature."""

    def __enter__(self) -> Self:
        try:
            self._connect()
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._disconnect()

    @contextlib.contextmanager
    def _channel(self, service: str, deadline: Deadline) -> Iterator[Channel]:
        """An open channel, closed in the end; after a lost device all of the transport is."""
        try:
            with contextlib.closing(self._open(service, deadline)) as channel:
                yield channel
        except DeviceLostError:
            self._disconnect()
            raise

    def shell(self, command: str, timeout_s: float = 30.0) -> ShellResult:
        deadline = Deadline(timeout_s, self._serial, f"running {_brief(command)}")
        if self._has("shell_v2"):
            service = f"shell,v2,raw:{self._checked(command)}"
            with self._channel(service, deadline) as channel:
                return framed_result(channel, deadline)
        marks = Marks()
        with self._older_shell(self._checked(marks.wrap(command)), deadline) as channel:
            return marks.result(channel, deadline)

    def stream(self, command: str, idle_s: float = 60.0) -> Iterator[bytes]:
        deadline = Deadline(idle_s, self._serial, f"running {_brief(command)}")
        if self._has("shell_v2"):
            service = f"shell,v2,raw:{self._checked(command)}"
            with self._channel(service, deadline) as channel:
                yield from framed_output(channel, deadline)
            return
        marks = Marks()
        with self._older_shell(self._checked(marks.wrap_stream(command)), deadline) as channel:
            yield from marks.output(channel, deadline)

    @contextlib.contextmanager
    def _older_shell(self, command: str, deadline: Deadline) -> Iterator[Channel]:
        with contextlib.ExitStack() as stack:
            try:
                channel = stack.enter_context(self._channel(f"exec:{command}", deadline))
            except ServiceUnknownError:
                channel = stack.enter_context(self._channel(f"shell:{command}", deadline))
            yield channel

    def _checked(self, command: str) -> str:
        length = len(command.encode())
        if "\0" in command or length > _LONGEST_COMMAND:
            raise DeviceError(
                f"{self._serial}: a command of {length} bytes cannot be sent: at most "
                f"{_LONGEST_COMMAND}, and no NUL"
            )
        return command

    @contextlib.contextmanager
    def _sync(self, doing: str) -> Iterator[FileSync]:
        deadline = Deadline(self._timeout_s, self._serial, doing)
        try:
            with self._channel("sync:", deadline) as channel:
                yield FileSync(channel, self._timeout_s)
        except ServiceUnknownError as error:
            raise gone(self._serial, "its adb daemon offers no file transfer") from error

    def size(self, remote: str) -> int | None:
        version_2 = self._has("stat_v2")
        with self._sync(f"looking at {remote}") as sync:
            found = sync.stat(remote, version_2=version_2)
        if found is None:
            return None
        mode, size = found
        if stat.S_ISLNK(mode):
            # The older question does not follow links.
            done = self.shell(f"stat -L -c %s {shlex.quote(remote)}")
            return int(done.stdout) if done.code == 0 else None
        return size if stat.S_ISREG(mode) else None

    def push(
        self,
        local: Path,
        remote: str,
        mode: int = 0o644,
        progress: Callable[[int], None] = lambda sent: None,
    ) -> None:
        partial = f"{remote}.{secrets.token_hex(4)}.partial"
        digest = hashlib.sha256()
        size = 0

        def sent(part: bytes, total: int) -> None:
            nonlocal size
            digest.update(part)
            size = total
            progress(total)

        with local.open("rb") as source:
            try:
                with self._sync(f"sending {local.name}") as sync:
                    sync.send(source, partial, mode, sent)
                self._settle(partial, remote, mode, digest.hexdigest(), size)
            except RefusedError as error:
                self._remove(partial)
                raise TransferError(self._refusal(remote, str(error), local)) from error
            except DeviceLostError:
                raise
            except BaseException:
                self._remove(partial)
                raise

    def _settle(self, partial: str, remote: str, mode: int, wanted: str, size: int) -> None:
        """Give a file that arrived its name, if it is what was sent."""
        old, new = shlex.quote(partial), shlex.quote(remote)
        move = f"chmod {mode:o} {old} && mv -f {old} {new}"
        done = self.shell(
            f"[ ! -d {new} ] || {{ echo 'is a directory' >&2; exit 1; }}; {_hash(old)}; "
            f'case "$s" in {wanted}*) {move};; "") echo none;; *) echo "differs $s";; esac',
            _patience(size),
        )
        output = done.stdout.decode(errors="replace").strip()
        if done.code == 0 and output == "none":
            if self._read_back(partial) == wanted:
                done = self.shell(move)
            else:
                output = "differs"
        if output.startswith("differs"):
            free = self._free(posixpath.dirname(remote) or "/")
            if free is not None and free < size:
                raise RefusedError("No space left on device")
            raise TransferError(
                f"{self._serial}: {remote} arrived damaged and was removed (sent sha256 {wanted}, "
                f"arrived {output[8:72] or 'otherwise'}); try again, with another cable or network"
            )
        if done.code != 0:
            reason = done.stderr.decode(errors="replace").strip() or f"code {done.code}"
            raise RefusedError(reason)

    def _free(self, folder: str) -> int | None:
        """Bytes free where a folder lies, if the device says so."""
        with contextlib.suppress(DeviceError, IndexError, ValueError):
            lines = self.shell(f"df -k {shlex.quote(folder)}").stdout.split(b"\n")
            return int(lines[1].split()[3]) * 1024
        return None

    def _remove(self, partial: str) -> None:
        with contextlib.suppress(DeviceError):
            self.shell(f"rm -f {shlex.quote(partial)}")

    def _refusal(self, remote: str, reason: str, local: Path) -> str:
        """What to tell of a push that the device refused."""
        if "No space left" not in reason and "quota" not in reason.lower():
            return f"{self._serial}: {remote} cannot be written: {reason}"
        folder = posixpath.dirname(remote) or "/"
        left = self._free(folder)
        free = "" if left is None else f", {left / 1e6:.1f} MB are free"
        return (
            f"{self._serial}: the device's storage is full: {local.name} needs "
            f"{local.stat().st_size / 1e6:.1f} MB in {folder}{free}; remove something there"
        )

    def pull(self, remote: str, local: Path) -> None:
        # Asked first: daemons leave a conversation about a missing file in different states.
        size = self.size(remote)
        if size is None:
            raise TransferError(f"{self._serial}: there is no file {remote}")
        partial = local.with_name(f".{local.name}.{secrets.token_hex(4)}.partial")
        digest = hashlib.sha256()
        try:
            with partial.open("wb") as out:
                for data in self._content(remote):
                    out.write(data)
                    digest.update(data)
            there = self._remote_hash(remote, size)
            if there != digest.hexdigest():
                raise TransferError(
                    f"{self._serial}: {remote} arrived damaged, or changed while it was fetched "
                    f"(there sha256 {there}, here {digest.hexdigest()}); try again"
                )
            partial.replace(local)
        finally:
            partial.unlink(missing_ok=True)

    def _content(self, remote: str) -> Iterator[bytes]:
        try:
            with self._sync(f"fetching {remote}") as sync:
                yield from sync.receive(remote)
        except RefusedError as error:
            raise TransferError(f"{self._serial}: {remote} cannot be read: {error}") from error

    def _read_back(self, remote: str) -> str:
        digest = hashlib.sha256()
        for data in self._content(remote):
            digest.update(data)
        return digest.hexdigest()

    def _remote_hash(self, remote: str, size: int) -> str:
        """SHA-256 of a remote file, computed there if anything there can."""
        done = self.shell(f'{_hash(shlex.quote(remote))}; echo "$s"', _patience(size))
        words = done.stdout.decode(errors="replace").split()
        return words[0] if words else self._read_back(remote)


def _hash(quoted: str) -> str:
    """Shell text that sets ``s`` to a file's SHA-256, or to nothing where no tool computes it."""
    tools = " ".join(shlex.quote(tool) for tool in HASHERS)
    return (
        f"s=; for tool in {tools}; do s=$($tool < {quoted} 2>/dev/null) && "
        "[ ${#s} -ge 64 ] && break; s=; done"
    )


def _patience(size: int) -> float:
    """Seconds to allow for hashing ``size`` bytes."""
    return DEFAULT_TIMEOUT_S + size / _HASHED_A_SECOND


def _brief(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
