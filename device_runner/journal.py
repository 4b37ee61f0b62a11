"""A result pack that grows over several runner processes and survives the death of each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from devdiff.device_runner.errors import PackError, RunnerError
from devdiff.device_runner.pack import (
    Header,
    Status,
    encode_done,
    encode_header,
    encode_record,
    read_header,
    scan,
)
from devdiff.device_runner.results import last_good

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Journal:
    """The whole, valid records of a result pack, and nothing behind them.

    Opening one cuts off whatever a killed process left half-written. Raises `RunnerError` when the
    file belongs to another model than the segments that are added to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = 0
        self.complete = False
        self._header: Header | None = None
        if path.exists():
            self._recover()

    @property
    def about(self) -> Mapping[str, Any]:
        """What the runner said of itself; empty before the first segment."""
        return self._header.about if self._header else {}

    def _recover(self) -> None:
        good = last_good(self.path)
        self.samples, self.complete = good.samples, good.complete
        with self.path.open("r+b") as stream:
            if good.end:
                self._header = read_header(stream)
            stream.truncate(good.end)

    def absorb(self, segment: Path) -> bool:
        """Move the whole records of a runner's own file to the end of this one.

        Returns whether the runner got as far as being ready for samples.
        """
        if not segment.exists():
            return False
        with segment.open("rb") as stream:
            try:
                header = read_header(stream)
            except PackError:
                header = None
            if header is not None:
                self._begin(header)
                self._copy(stream)
        segment.unlink()
        return header is not None

    def _begin(self, header: Header) -> None:
        if self._header is None:
            self.path.write_bytes(encode_header(header))
            self._header = header
        elif self._header.tensors != header.tensors:
            raise RunnerError(
                f"{self.path.name} was begun with outputs {_names(self._header)}, the runner now "
                f"gives {_names(header)}: remove the file and run again"
            )

    def _copy(self, stream: Any) -> None:
        first = last = stream.tell()
        count = self.samples
        for extent in scan(stream):
            if extent.done:
                break
            if extent.index < count:  # already here: the last process was killed while moving
                first = last = extent.end
                continue
            if extent.index > count:
                break
            last = extent.end
            count += 1
        stream.seek(first)
        with self.path.open("ab") as out:
            if count - self.samples:
                _copy_bytes(stream, out, last - first)
            out.flush()
            os.fsync(out.fileno())
        self.samples = count

    def add_crash(self, message: str) -> None:
        """Record that the next sample took its process with it."""
        record = encode_record(self.samples, status=Status.CRASHED, message=message)
        with self.path.open("ab") as out:
            out.write(record)
        self.samples += 1

    def finish(self) -> None:
        """Close the pack with its end record."""
        with self.path.open("ab") as out:
            out.write(encode_done(self.samples))
            out.flush()
            os.fsync(out.fileno())
        self.complete = True


def _names(header: Header) -> str:
    return ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in header.tensors)


def _copy_bytes(source: Any, target: Any, size: int) -> None:
    while size > 0:
        block = source.read(min(size, 1 << 20))
        if not block:
            raise RunnerError("a result file shrank while it was read")
        target.write(block)
        size -= len(block)
