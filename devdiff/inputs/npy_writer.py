"""Writing arrays that do not fit memory."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

_npy: Final[Any] = np.lib.format  # NumPy leaves these functions unannotated


class NpyWriter:
    """Appends to a .npy file without holding it; the length is filled in at the end.

    Not `numpy.lib.format.open_memmap`: a full disk under a memory map is a bus error, not an
    exception.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("wb")
        self._rows = 0
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] | None = None
        self._header_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, values: Array) -> None:
        if self._dtype is None:
            self._dtype, self._shape = values.dtype, values.shape[1:]
            self._header()
            self._header_bytes = self._stream.tell()
        self._stream.write(np.ascontiguousarray(values).data)
        self._rows += len(values)

    def skip(self, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Leave ``rows`` of ``shape`` out: a hole that reads as zeros and takes no room."""
        if self._dtype is None:
            self.reserve(0, shape, dtype)
        self._stream.seek(rows * math.prod(shape) * dtype.itemsize, os.SEEK_CUR)
        self._rows += rows

    def reserve(self, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """Leave room for rows of ``shape`` that others write; gives the byte where they begin."""
        self._dtype, self._shape, self._rows = dtype, shape, rows
        self._header()
        self._header_bytes = self._stream.tell()
        return self._header_bytes

    def _header(self) -> None:
        assert self._dtype is not None
        # NumPy pads the header so that a longer shape still fits, up to 10**20 rows.
        _npy.write_array_header_1_0(
            self._stream,
            {
                "descr": _npy.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self._rows, *self._shape),
            },
        )

    def close(self) -> None:
        if self._stream.closed:
            return
        if self._dtype is not None:
            # A hole at the end is not there yet.
            self._stream.truncate()
            self._stream.seek(0)
            self._header()
            assert self._stream.tell() == self._header_bytes
        self._stream.close()
