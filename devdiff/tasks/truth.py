"""True answers as files hold them, one for each row of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.inputs import listing, readers
from devdiff.inputs.images import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.inputs.input_set import InputSet

_MASKS: Final = (".png", ".bmp", ".tif", ".tiff")


def values(path: Path, samples: InputSet, rows: int, elements: int) -> Array:
    """Numbers float64 [rows, elements]: .npy, .npz, a .csv with a column ``target``, or text with
    one number a line. Raises `UsageError` when there are not as many, or one is not finite."""
    if path.suffix in (".npy", ".npz"):
        found = _array(path)
    else:
        texts = _column(path, "target", samples)
        try:
            found = np.array([float(text) for text in texts])
        except ValueError as error:
            raise UsageError(f"{path}: a true value must be a number: {error}") from error
    if found.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds {found.dtype}, not numbers")
    _as_many(path, len(found), rows)
    wide = found.reshape(rows, -1).astype(np.float64)
    if wide.shape[1] != elements:
        raise UsageError(f"{path} holds {wide.shape[1]} values a sample, the output has {elements}")
    bad = np.flatnonzero(~np.isfinite(wide).all(axis=1))
    if bad.size:
        raise UsageError(f"{path}: the truth of sample {bad[0]} is NaN or infinite")
    return wide


def texts(path: Path, samples: InputSet, rows: int) -> list[str]:
    """Text of each row: a .csv with a column ``text``, or a text file with one a line.

    Raises `UsageError` when there are not as many as rows.
    """
    found = _column(path, "text", samples)
    _as_many(path, len(found), rows)
    return found


class Masks:
    """Masks of rows, integers [H, W]: a folder of images by the inputs' names, or [N, H, W]."""

    def __init__(self, path: Path, samples: InputSet, rows: int) -> None:
        self._path = path
        self._array: Array | None = None
        self._files: dict[str, Path] = {}
        self._names = samples.names
        if path.is_dir():
            self._files = by_stem(path, _MASKS)
            missing = [name for name in samples.names if stem(name) not in self._files]
            if missing or not samples.names:
                problem = f"none for {missing[0]}" if missing else "the inputs have no file names"
                raise UsageError(
                    f"{path} must hold a mask (.png) named as each image, but {problem}"
                )
            return
        self._array = _array(path)
        _as_many(path, len(self._array), rows)
        if self._array.ndim != 3 or self._array.dtype.kind not in "iub":
            raise UsageError(
                f"{path} is {self._array.dtype}{list(self._array.shape)}; masks are integers "
                "[N,H,W]"
            )

    def of(self, row: int) -> Array:
        if self._array is not None:
            held: Array = self._array[row]
            return held
        file = self._files[stem(self._names[row])]
        with opened(file, str(file)) as image:
            if image.mode not in ("L", "P", "1", "I", "I;16"):
                raise UsageError(
                    f"{file} has colours ({image.mode}); a mask holds class numbers in one channel "
                    "(or a palette)"
                )
            mask: Array = np.asarray(image).astype(np.int64)
        return mask


def by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Files under a folder by their relative name without its ending."""
    return {
        stem(path.relative_to(folder).as_posix()): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes
    }


def stem(name: str) -> str:
    """A relative file name without its ending."""
    head, dot, tail = name.rpartition(".")
    return head if dot and "/" not in tail else name


def _array(path: Path) -> Array:
    arrays = readers.open_arrays(path)
    if len(arrays) != 1:
        raise UsageError(f"{path} has arrays {', '.join(sorted(arrays))}: the truth is one array")
    (rows,) = arrays.values()
    return np.concatenate(list(rows.chunks())) if rows.count else np.zeros((0, *rows.shape))


def _column(path: Path, name: str, samples: InputSet) -> list[str]:
    """A column of a CSV, put into the order of the inputs' names where it has paths; or lines."""
    if path.suffix != ".csv":
        try:
            return path.read_text("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not text in UTF-8: {error}") from error
    columns = listing.read_columns(path)
    if name not in columns:
        raise UsageError(f"{path} has no column {name!r}; it has {', '.join(columns)}")
    if listing.PATH not in columns or not samples.names:
        return columns[name]
    known = dict(zip(columns[listing.PATH], columns[name], strict=True))
    missing = next((file for file in samples.names if file not in known), None)
    if missing is not None:
        raise UsageError(f"{path} says nothing of {missing}: it needs a line for each input")
    return [known[file] for file in samples.names]


def _as_many(path: Path, found: int, rows: int) -> None:
    if found != rows:
        raise UsageError(f"{path} has the truth of {found} samples, the inputs are {rows} samples")
