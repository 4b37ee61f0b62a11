"""What the values of an input set are named by, and what no value may be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from devdiff.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known of a row once it was seen: its `row_digest`, and the range of its values."""

    digest: bytes
    low: float
    high: float

    @classmethod
    def of(cls, row: Array) -> Self:
        if not row.size:
            return cls(row_digest(row), 0.0, 0.0)
        return cls(row_digest(row), float(row.min()), float(row.max()))


class SetDigest:
    """A SHA-256 over the SHA-256 of every tested row, so that rows can be hashed side by side.

    `begin` an input with its name, dtype and shape, then `add` its rows in order.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._running = hashlib.sha256()

    def begin(self, spec: TensorSpec) -> None:
        self._running.update(f"{spec.name}:{spec.dtype}:{list(spec.shape)}:{self._rows};".encode())

    def add(self, row: Array) -> None:
        self.add_digest(row_digest(row))

    def add_digest(self, digest: bytes) -> None:
        """A row by what `row_digest` said of it."""
        self._running.update(digest)

    def hex(self) -> str:
        return self._running.hexdigest()


def row_digest(row: Array) -> bytes:
    """SHA-256 of a row's bytes."""
    return hashlib.sha256(np.ascontiguousarray(row).data).digest()


def set_digest(folder: Path, inputs: tuple[TensorSpec, ...], tested: Array) -> str:
    """The hash of a set that lies in ``folder``, over the ``tested`` rows of its arrays."""
    digest = SetDigest(len(tested))
    for position, spec in enumerate(inputs):
        array = np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
        digest.begin(spec)
        for row in tested:
            digest.add(array[row])
    return digest.hex()


def check_numbers(value: Array, first: int, spec: TensorSpec, origin: str) -> None:
    """Raises `UsageError` for NaN, which no integer can hold and every comparison goes blind on.

    ``value`` holds samples from number ``first`` on.
    """
    if value.dtype.kind != "f":
        return
    bad = np.isnan(value).reshape(len(value), -1).any(axis=1)
    if bad.any():
        raise UsageError(
            f"{origin}: sample {first + int(bad.argmax())} of input {spec.name!r} holds NaN: mend "
            "it or leave it out"
        )
