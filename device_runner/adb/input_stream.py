"""What the runner on a phone reads: sent in chunks, the next one while this one runs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.device_store import DeviceStore, StoredFile
from devdiff.device_runner.errors import DeviceError
from devdiff.device_runner.pack import Header, encode_done, encode_header, record_parts

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path

    from devdiff.device_runner.runner import Job


class Chunks:
    """The job's samples as input packs of bounded size, made when they are needed."""

    def __init__(self, job: Job, folder: Path, limit: int) -> None:
        self._job = job
        self._folder = folder
        record = sum(len(part) for part in record_parts(0, job.encode(0))) if job.samples else 1
        self._length = max(1, limit // record)
        self._made: dict[int, StoredFile] = {}

    @property
    def count(self) -> int:
        return -(-self._job.samples // self._length)

    def of(self, sample: int) -> int:
        return sample // self._length

    def make(self, number: int) -> StoredFile:
        """The chunk as a file; only it and its neighbour are kept on disk."""
        if number not in self._made:
            path = self._folder / f"{number}.pack"
            first = number * self._length
            last = min(first + self._length, self._job.samples)
            with path.open("wb") as out:
                out.write(encode_header(Header({}, self._job.tensors)))
                for index in range(first, last):
                    out.writelines(record_parts(index, self._job.encode(index)))
                out.write(encode_done(last - first))
            self._made[number] = StoredFile.of(path)
            for old in [other for other in self._made if other < number - 1]:
                self._made.pop(old).path.unlink()
        return self._made[number]


class ChunkSender:
    """Sends the next chunk over a connection of its own while this one runs."""

    def __init__(
        self,
        address: devices.DeviceAddress,
        silence_s: float,
        budget: int,
        hasher: StoredFile,
        chunks: Chunks,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._address = address
        self._silence_s = silence_s
        self._budget = budget
        self._hasher = hasher
        self._chunks = chunks
        self._executor = executor
        self._number = -1
        self._future: Future[tuple[StoredFile, int]] | None = None
        self.sent = 0

    def begin(self, number: int) -> None:
        if number < self._chunks.count and number != self._number:
            self._number = number
            self._future = self._executor.submit(self._send, number)

    def _send(self, number: int) -> tuple[StoredFile, int]:
        chunk = self._chunks.make(number)
        with devices.connect(self._address, timeout_s=self._silence_s) as transport:
            store = DeviceStore(transport, self._budget)
            store.ensure([chunk], self._hasher)
        return chunk, store.sent

    def wait(self, number: int, store: DeviceStore) -> None:
        """Wait for the chunk if it is on its way; what went wrong is tried again in the open."""
        if self._future is None or number != self._number:
            return
        with suppress(DeviceError):
            chunk, sent = self._future.result()
            store.adopt(chunk)
            self.sent += sent
        self._future = None
