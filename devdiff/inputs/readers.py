"""Samples and labels as files hold them: arrays in .npy and .npz, read in chunks.

Nothing is trusted: object arrays (pickles) are refused, sizes are checked against the file before
memory is taken for them.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from devdiff.errors import UsageError
from devdiff.system.printable import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devdiff.exporter.artifact import Array

_npy: Final[Any] = np.lib.format  # NumPy leaves these functions unannotated

CHUNK_BYTES: Final = 16 << 20
LABELS_KEY: Final = "labels"
# Booleans, integers, floating point.
_NUMBERS: Final = "biuf"
_MOST_BYTES: Final = 1 << 60


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
            with (
                _damaged(self.path, "a readable .npz archive"),
                zipfile.ZipFile(self.path) as archive,
                archive.open(self.member) as stream,
            ):
                yield from self._read(stream)

    def _read(self, stream: IO[bytes]) -> Iterator[Array]:
        _read_header(stream, self.path)
        row = math.prod(self.shape) * self.dtype.itemsize
        step = max(1, CHUNK_BYTES // max(row, 1))
        for first in range(0, self.count, step):
            rows = min(step, self.count - first)
            with _damaged(self.path, "whole"):
                data = stream.read(rows * row)
            if len(data) < rows * row:
                raise UsageError(f"{self.path} is cut short: it ends in sample {first}")
            yield np.frombuffer(data, self.dtype).reshape(rows, *self.shape)


def _read_header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with _damaged(path, "a NumPy array file"):
        version = _npy.read_magic(stream)
        read = _npy.read_array_header_1_0 if version == (1, 0) else _npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise UsageError(f"{path} holds Python objects, which can run code: save plain numbers")
    if fortran and len(shape) > 1:
        raise UsageError(f"{path} is in Fortran order: save numpy.ascontiguousarray(array) instead")
    if not shape:
        raise UsageError(f"{path} holds a single number, not samples")
    if dtype.kind not in _NUMBERS:
        raise UsageError(f"{path} holds {dtype}, not plain numbers")
    # One of the axes may be 0 and hide what the others claim.
    if min(shape) < 0 or math.prod(max(size, 1) for size in shape) * dtype.itemsize > _MOST_BYTES:
        raise UsageError(f"{path} is damaged: its shape is {list(shape)}")
    return shape, dtype


def open_arrays(path: Path) -> dict[str, ArrayRows]:
    """The arrays of a .npy file (under the name ``""``) or of an .npz archive.

    Raises `UsageError` when the file is damaged, or claims more data than it holds.
    """
    size = path.stat().st_size
    if path.suffix == ".npy":
        with path.open("rb") as stream:
            shape, dtype = _read_header(stream, path)
            claimed = math.prod(shape) * dtype.itemsize
            if claimed > size - stream.tell():
                raise UsageError(f"{path} is cut short: {size} bytes cannot hold {list(shape)}")
        return {"": ArrayRows(path, None, shape[0], shape[1:], dtype)}
    arrays: dict[str, ArrayRows] = {}
    with _damaged(path, "a readable .npz archive"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as stream:
                shape, dtype = _read_header(stream, path)
            claimed = math.prod(shape) * dtype.itemsize
            if claimed > info.file_size:
                raise UsageError(
                    f"{path}: {info.filename} holds {info.file_size} bytes, its shape "
                    f"{list(shape)} needs {claimed}"
                )
            name = info.filename.removesuffix(".npy")
            if name in arrays:
                raise UsageError(f"{path} is damaged: two arrays are called {name!r}")
            arrays[name] = ArrayRows(path, info.filename, shape[0], shape[1:], dtype)
    return arrays


@contextlib.contextmanager
def _damaged(path: Path, form: str) -> Iterator[None]:
    """Raises `UsageError` for whatever NumPy, zipfile and its decompressors make of a damaged file.

    No list of theirs is complete: tokenize, zlib, lzma and struct each have errors of their own.
    What the machine got wrong, which has an ``errno``, is left as it is.
    """
    try:
        yield
    except (UsageError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = shortened(str(error)) or type(error).__name__
        raise UsageError(f"{path} is not {form}, it may be damaged: {reason}") from error


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
        reason = shortened(str(error))
        raise UsageError(f"{path}: labels must be one class index a line: {reason}") from error
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
