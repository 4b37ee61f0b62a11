"""Remote commands: exit code, standard output and standard error, told apart.

Daemons of Android 7 and later frame the three (service ``shell,v2``). Older ones know ``exec``,
which is one clean stream, or only ``shell``, which is a terminal that puts a carriage return before
every line feed. There the command is wrapped so that random marks, which no output can hold by
chance, separate the three; output without its last mark was cut short and is never believed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.adb.channel import Channel, Deadline, Reader, gone
from devdiff.device_runner.adb.transport import ShellResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.device_runner.errors import DeviceLostError

# What older shells can hold in a variable and hand on as one argument.
_STDERR_BYTES: Final = 60_000
_FRAME_BYTES: Final = 1 << 16


class _Frame(IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    EXIT = 3
    CLOSE_STDIN = 4


def framed_result(channel: Channel, deadline: Deadline) -> ShellResult:
    """The end of a ``shell,v2`` command."""
    out, err = bytearray(), bytearray()
    for kind, data in _frames(channel, deadline):
        if kind == _Frame.STDOUT:
            out += data
        elif kind == _Frame.STDERR:
            err += data
        else:
            return ShellResult(data[0], bytes(out), bytes(err))
    raise _cut(channel)


def framed_output(channel: Channel, deadline: Deadline) -> Iterator[bytes]:
    """Standard output of a ``shell,v2`` command as it comes; the deadline is for each piece."""
    for kind, data in _frames(channel, deadline):
        if kind == _Frame.EXIT:
            return
        if kind == _Frame.STDOUT:
            yield data
            deadline.renew()
    raise _cut(channel)


def _frames(channel: Channel, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
    """Kinds and contents; ends with the exit frame, which is always of one byte."""
    # Nothing is ever sent to a command, so one that reads its input has to see the end of it.
    channel.send(bytes([_Frame.CLOSE_STDIN, 0, 0, 0, 0]), deadline)
    reader = Reader(channel)
    while True:
        head = reader.exactly(5, deadline)
        left = int.from_bytes(head[1:], "little")
        if head[0] == _Frame.EXIT:
            yield head[0], reader.exactly(max(left, 1), deadline)
            return
        while left:
            data = reader.some(min(left, _FRAME_BYTES), deadline)
            left -= len(data)
            yield head[0], data


@dataclass(frozen=True, slots=True)
class Marks:
    """The wrapping of one command for a daemon without frames, and how to take it off again."""

    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def _spoken(self) -> str:
        # A command that lists processes prints the token, but no mark: the shell makes those.
        return f"dd_={self.token}; echo $dd_:out; "

    @property
    def _first(self) -> bytes:
        return f"{self.token}:out\n".encode()

    @property
    def _middle(self) -> bytes:
        return f"{self.token}:err\n".encode()

    @property
    def _last(self) -> bytes:
        return f"{self.token}:code ".encode()

    def wrap(self, command: str) -> str:
        """A command that also tells its exit code and its standard error, the end of it if long.

        The standard error goes through a variable, since a device may have no room for a file.
        """
        return (
            f"{self._spoken}exec 3>&1; "
            f"e=$({{ (\n{command}\n) </dev/null 2>&1 1>&3 3>&-; echo $dd_:code $?; }} "
            f"| tail -c {_STDERR_BYTES}); "
            "printf '%s\\n%s\\n' $dd_:err \"$e\""
        )

    def wrap_stream(self, command: str) -> str:
        """A command that gives its standard output between two marks, and nothing else."""
        return f"{self._spoken}(\n{command}\n) </dev/null 2>/dev/null; echo $dd_:err"

    def result(self, channel: Channel, deadline: Deadline) -> ShellResult:
        """The end of a wrapped command."""
        whole = b"".join(self._unwrapped(channel, deadline))
        out, middle, rest = whole.partition(self._middle)
        err, last, code = rest.rpartition(self._last)
        if not (middle and last and code.strip().isdigit()):
            raise _cut(channel)
        return ShellResult(int(code), out, err)

    def output(self, channel: Channel, deadline: Deadline) -> Iterator[bytes]:
        """Standard output of a command wrapped by `wrap_stream`, the last mark taken off.

        Only what may be the beginning of the mark is held back until more comes.
        """
        kept = b""
        for piece in self._unwrapped(channel, deadline):
            kept += piece
            place = kept.find(self._middle)
            if place >= 0:
                if place:
                    yield kept[:place]
                return
            safe = len(kept) - _overlap(kept, self._middle)
            if safe:
                yield kept[:safe]
                kept = kept[safe:]
            deadline.renew()
        raise _cut(channel)

    def _unwrapped(self, channel: Channel, deadline: Deadline) -> Iterator[bytes]:
        """What comes behind the first mark, the terminal's carriage returns taken out."""
        head = b""
        while b"\n" not in head:
            piece = channel.receive(deadline)
            if not piece:
                raise gone(channel.serial, f"the shell said only {head[:200]!r}")
            head += piece
        line, _, rest = head.partition(b"\n")
        terminal = _Terminal() if line.endswith(b"\r") else None
        if line.rstrip(b"\r") + b"\n" != self._first:
            raise gone(channel.serial, f"the shell said {line[:200]!r}")
        while True:
            plain = terminal.plain(rest) if terminal else rest
            if plain:
                yield plain
            rest = channel.receive(deadline)
            if not rest:
                return


class _Terminal:
    """Undoes a terminal's output processing: it puts one carriage return before each line feed."""

    def __init__(self) -> None:
        self._held = b""

    def plain(self, data: bytes) -> bytes:
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")


def _overlap(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of ``data`` are a beginning of ``mark``."""
    for length in range(min(len(data), len(mark) - 1), 0, -1):
        if data.endswith(mark[:length]):
            return length
    return 0


def _cut(channel: Channel) -> DeviceLostError:
    return gone(channel.serial, "it ended before the command did")
