"""Samples and labels as files hold them: arrays in .npy and .npz, read in chunks.

Nothing is trusted: object arrays (pickles) are refused, sizes are checked against the file before
memory is taken for them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array

_npy: Final[Any] = np.lib.format  # NumPy leaves these functions unannotated

CHUNK_BYTES: Final = 16 << 20
LABELS_KEY: Final = "labels"


class Rows(Protocol):
    """One input's samples: how many, and the values chunk by chunk."""

    @property
    def count(self) -> int: ...

    @property
    def ready(self) -> bool:
        """Whether the values are the input's tensors already, with every declared step done."""

    def chunks(self) -> Iterator[Array]:
        """Arrays [n, *shape] in order, together all samples."""


@dataclass(frozen=True, slots=True)
class ArrayRows:
    """An array in a .npy file, or in a member of an .npz archive."""

    path: Path
    member: str | None
    count: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    ready: bool = False

    def chunks(self) -> Iterator[Array]:
        if self.member is None:
            with self.path.open("rb") as stream:
                yield from self._read(stream)
        else:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                yield from self._read(stream)

    def _read(self, stream: IO[bytes]) -> Iterator[Array]:
        _read_header(stream, self.path)
        row = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        step = max(1, CHUNK_BYTES // max(row, 1))
        for first in range(0, self.count, step):
            rows = min(step, self.count - first)
            try:
                data = stream.read(rows * row)
            except zipfile.BadZipFile as error:
                raise UsageError(f"{self.path} is damaged: {error}") from error
            if len(data) < rows * row:
                raise UsageError(f"{self.path} is cut short: it ends in sample {first}")
            yield np.frombuffer(data, self.dtype).reshape(rows, *self.shape)


def _read_header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = _npy.read_magic(stream)
        read = _npy.read_array_header_1_0 if version == (1, 0) else _npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(f"{path} is not a NumPy array file: {error}") from error
    if dtype.hasobject:
        raise UsageError(f"{path} holds Python objects, which can run code: save plain numbers")
    if fortran and len(shape) > 1:
        raise UsageError(f"{path} is in Fortran order: save numpy.ascontiguousarray(array) instead")
    if not shape:
        raise UsageError(f"{path} holds a single number, not samples")
    return shape, dtype


def open_arrays(path: Path) -> dict[str, ArrayRows]:
    """The arrays of a .npy file (under the name ``""``) or of an .npz archive.

    Raises `UsageError` when the file is damaged, or claims more data than it holds.
    """
    size = path.stat().st_size
    if path.suffix == ".npy":
        with path.open("rb") as stream:
            shape, dtype = _read_header(stream, path)
            claimed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            if claimed > size - stream.tell():
                raise UsageError(f"{path} is cut short: {size} bytes cannot hold {list(shape)}")
        return {"": ArrayRows(path, None, shape[0], shape[1:], dtype)}
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                with archive.open(info) as stream:
                    shape, dtype = _read_header(stream, path)
                claimed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
                if claimed > info.file_size:
                    raise UsageError(
                        f"{path}: {info.filename} holds {info.file_size} bytes, its shape "
                        f"{list(shape)} needs {claimed}"
                    )
                name = info.filename.removesuffix(".npy")
                arrays[name] = ArrayRows(path, info.filename, shape[0], shape[1:], dtype)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path} is not a readable .npz archive: {error}") from error
    return arrays


def read_labels(path: Path, samples: int) -> Array:
    """Class indices [N], int64: .npy, .npz (key ``labels``), or text with one number a line.

    Raises `UsageError` when they are not integers or not as many as the samples.
    """
    try:
        if path.suffix in (".npy", ".npz"):
            arrays: Mapping[str, ArrayRows] = open_arrays(path)
            rows = arrays.get("") or arrays.get(LABELS_KEY)
            if rows is None:
                raise UsageError(f"{path} has no array {LABELS_KEY!r}; it has {', '.join(arrays)}")
            values = np.concatenate(list(rows.chunks())) if rows.count else np.zeros(0, np.int64)
        else:
            values = _numbers(path, path.read_text("utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not text: labels are one class index a line, or an array in .npy or .npz"
        ) from error
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{path}: labels must be one class index a line: {error}") from error
    return check_labels(values, samples, str(path))


def _numbers(path: Path, lines: Sequence[str]) -> Array:
    """Class indices of a text. Raises `UsageError` for one of names, `ValueError` for others."""
    words = [line.strip() for line in lines if line.strip()]
    names = [word for word in words if any(letter.isalpha() for letter in word)]
    if names and len(names) > len(words) / 2:
        raise UsageError(
            f"{path} holds names such as {names[0]!r}: --labels is the true class of each sample, "
            "one number a line; the names of the model's classes in order are --classes "
            f"{path}"
        )
    return np.array([int(word) for line in words for word in line.split()], np.int64)


def check_labels(values: Array, samples: int, origin: str) -> Array:
    """``values`` as int64 [samples]. Raises `UsageError` when they do not fit."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise UsageError(
            f"labels in {origin} are {values.dtype}{list(values.shape)}; they must be one class "
            "index a sample"
        )
    if len(values) != samples:
        raise UsageError(f"{origin} has {len(values)} labels for {samples} samples")
    if samples and int(values.min()) < 0:
        raise UsageError(f"labels in {origin} must not be negative")
    return values.astype(np.int64)
