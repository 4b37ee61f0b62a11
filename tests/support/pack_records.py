"""Reads a whole pack, of which every sample has to be there."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devdiff.device_runner.pack import PackSample, PackTensor


def read_records(stream: IO[bytes], tensors: Sequence[PackTensor]) -> Iterator[PackSample]:
    """All samples of a complete stream, in order; a missing end or a gap is a `PackError`."""
    expected = 0
    while True:
        record = read_record(stream, tensors)
        if isinstance(record, int):
            if record != expected:
                raise PackError(f"pack says {record} samples but holds {expected}")
            return
        if record.index != expected:
            raise PackError(f"pack holds sample {record.index} where {expected} should be")
        expected += 1
        yield record
