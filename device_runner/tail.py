"""Watching a result pack grow."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import RECORD_HEAD, RECORD_TAIL, TAG_SAMPLE, read_header

if TYPE_CHECKING:
    from pathlib import Path


class RecordCounter:
    """Counts the records of a growing pack by their heads alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] | None = None
        self._offset = 0
        self._count = 0

    def count(self) -> int:
        if self._stream is None and not self._open():
            return 0
        stream = self._stream
        assert stream is not None
        size = os.fstat(stream.fileno()).st_size
        while self._offset + RECORD_HEAD.size <= size:
            head = os.pread(stream.fileno(), RECORD_HEAD.size, self._offset)
            tag, _, _, _, payload = RECORD_HEAD.unpack(head)
            end = self._offset + RECORD_HEAD.size + payload + RECORD_TAIL.size
            if tag != TAG_SAMPLE or end > size:
                break
            self._offset = end
            self._count += 1
        return self._count

    def _open(self) -> bool:
        try:
            stream = self._path.open("rb")
        except FileNotFoundError:
            return False
        try:
            read_header(stream)
        except PackError:
            stream.close()
            return False
        self._offset = stream.tell()
        self._stream = stream
        return True

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
