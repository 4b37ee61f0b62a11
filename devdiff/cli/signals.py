"""What ends a command from outside: Ctrl-C, SIGTERM and SIGHUP, all taken as an interrupt.

This is the first module that a command imports, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A closing terminal and `timeout` send the same signal twice at once; a user who insists waits.
_REPEAT_S = 1.0


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Handling:
    """A context in which signals go to `handle`, unless they are ignored.

    nohup, and a shell that starts a job in its background, have them ignored.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        try:
            for number in _ENDING:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self.handle)
        except ValueError:  # not the main thread, which alone gets signals
            pass
        return self

    def __exit__(self, *error: object) -> None:
        for number, earlier in self._before.items():
            signal.signal(number, earlier)

    def handle(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError


class EndingQuietly(_Handling):
    """For the time of the imports, where nothing has been begun: a signal just ends the process."""

    def handle(self, number: int, frame: FrameType | None) -> None:
        try:
            os.write(2, b"devdiff: interrupted\n")
        finally:
            os._exit(128 + number)


class Interrupting(_Handling):
    """The first signal raises `Interrupted`, so that everything that was begun is tidied up.

    One that comes a second later or more ends the process at once, with nothing tidied: child
    processes end by themselves when their parent is gone. After the block signals are ignored,
    since the process ends: its exit code stands, and no trace of the exit is printed.
    """

    _first: float | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self._first is None:
            self._first = time.monotonic()
            raise Interrupted(number)
        if time.monotonic() - self._first > _REPEAT_S:
            os._exit(128 + number)

    def __exit__(self, *error: object) -> None:
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)
