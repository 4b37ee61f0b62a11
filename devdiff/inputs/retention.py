"""What a finished run keeps of its inputs: small sets whole, large ones as the way to make them
again.

The tensors that every rung was given are most of a large run, and follow from the user's own data,
the preprocessing and a seed. So once a run came to its verdict they go, and whoever needs them
again (`devdiff.bisection`) has them made anew and held against the hash that was taken then. What
the page shows of them stays.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.inputs.builder import Builder
from devdiff.inputs.digest import set_digest
from devdiff.inputs.preprocess import Preprocess
from devdiff.inputs.request import InputRequest, Progress
from devdiff.inputs.sources import InputSource
from devdiff.system.atomic_file import whole_bytes, whole_file
from devdiff.system.scratch import owner_token, sweep_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devdiff.exporter.artifact import Array, TensorSpec

RECORD: Final = "inputs.json"
SHOWN: Final = "shown.npz"
KEPT_BYTES: Final = 16 << 20
"""Tensors of this many bytes in all stay in the run directory, which is then complete in itself."""
_SHOWN_BYTES: Final = 8 << 20
_NEXT: Final = (
    "bring the data back as it was, or name the artifact itself and its inputs (devdiff bisect "
    "FILE.tflite --inputs …)"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Of what a set was made, so that it can be made again.

    ``calibrate`` and ``limits`` are the arguments of `devdiff.inputs.input_set.prepare`.
    """

    request: InputRequest
    calibrate: bool
    limits: Mapping[str, int]

    @property
    def repeatable(self) -> bool:
        """Whether nothing but reading data makes it again: a loader is code, which may say
        something else the next time."""
        named = (self.request.inputs, self.request.calibration)
        return all(path is None or InputSource.of(path).kind != "generator" for path in named)

    def to_json(self) -> dict[str, Any]:
        request = self.request
        return {
            "inputs": _absolute(request.inputs),
            "calibration": _absolute(request.calibration),
            "classes": _absolute(request.classes),
            "preprocess": request.preprocess.to_json(),
            "seed": request.seed,
            "limit": request.limit,
            "calibrate": self.calibrate,
            "limits": dict(self.limits),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Origin:
        """What `to_json` wrote. The labels lie beside the tensors, and stay."""
        request = InputRequest(
            inputs=_path(data["inputs"]),
            calibration=_path(data["calibration"]),
            classes=_path(data["classes"]),
            preprocess=Preprocess.from_json(data["preprocess"]),
            seed=data["seed"],
            limit=data.get("limit"),
        )
        return cls(request, data["calibrate"], data["limits"])


def release(folder: Path, inputs: Sequence[TensorSpec], shown: Sequence[int] = ()) -> int:
    """Remove the tensors of the set in ``folder`` if they are large and can be made again.

    ``shown`` are rows of which the page has pictures; the first of them stay as they are, unless
    an earlier call left some. Returns the number of bytes that went.
    """
    record = json.loads((folder / RECORD).read_text())
    files = [path for path in _tensor_files(folder, len(inputs)) if path.exists()]
    size = sum(path.stat().st_size for path in files)
    if record.get("origin_data") is None or size < KEPT_BYTES:
        return 0
    if not (folder / SHOWN).exists():
        _keep_shown(folder, inputs, shown)
    if "released" not in record:
        # The hash of the set covers what is tested.
        record["released"] = {
            path.name: sha256_file(path) for path in files if path.name.startswith("calibration")
        }
        with whole_file(folder / RECORD) as stream:
            json.dump(record, stream, indent=2)
    for path in files:
        path.unlink()
    return size


def restore(
    folder: Path,
    inputs: tuple[TensorSpec, ...],
    progress: Progress = lambda done, total: None,
) -> None:
    """Make the tensors again that `release` removed; nothing to do where none is missing.

    Raises `UsageError` when that of which they were made has changed or is gone.
    """
    record = json.loads((folder / RECORD).read_text())
    calibration: Mapping[str, str] | None = record.get("released")
    if calibration is None:
        return
    wanted = [*(f"{position}.npy" for position in range(len(inputs))), *calibration]
    if all((folder / name).exists() for name in wanted):
        return
    origin = Origin.from_json(record["origin_data"])
    request = origin.request
    for path in filter(None, (request.inputs, request.calibration, request.classes)):
        _check_there(path)
    with _beside(folder) as made:
        try:
            Builder(request, inputs, origin.limits, made, origin.calibrate, progress).build()
        except UsageError as error:
            raise UsageError(f"{_changed(request)}: {error}; {_NEXT}") from error
        if not _are_those(made, inputs, folder, record["sha256"], calibration):
            raise UsageError(f"{_changed(request)}; {_NEXT}")
        for name in wanted:
            (made / name).replace(folder / name)


def _are_those(
    made: Path,
    inputs: tuple[TensorSpec, ...],
    folder: Path,
    sha256: str,
    calibration: Mapping[str, str],
) -> bool:
    tested = np.load(folder / "tested.npy", allow_pickle=False)
    try:
        same = set_digest(made, inputs, tested) == sha256
    except IndexError:
        return False
    return same and all(
        (made / name).exists() and sha256_file(made / name) == digest
        for name, digest in calibration.items()
    )


def shown_rows(folder: Path) -> tuple[dict[int, int], list[Array]]:
    """The rows that `release` left: their places by row number, and each input's values
    ``[rows, *shape]``. Raises what `numpy.load` does of a damaged file."""
    with np.load(folder / SHOWN, allow_pickle=False) as kept:
        places = {int(row): place for place, row in enumerate(kept["rows"])}
        return places, [kept[str(position)] for position in range(len(kept.files) - 1)]


def _keep_shown(folder: Path, inputs: Sequence[TensorSpec], shown: Sequence[int]) -> None:
    each = sum(spec.elements * spec.numpy_dtype.itemsize for spec in inputs)
    rows = np.array(list(dict.fromkeys(shown))[: max(1, _SHOWN_BYTES // max(1, each))], np.int64)
    values = {
        str(position): np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)[rows]
        for position in range(len(inputs))
    }
    with whole_bytes(folder / SHOWN) as stream:
        np.savez_compressed(stream, rows=rows, **values)


def _tensor_files(folder: Path, inputs: int) -> list[Path]:
    return [
        folder / f"{prefix}{position}.npy"
        for prefix in ("", "calibration-")
        for position in range(inputs)
    ]


def _check_there(path: Path) -> None:
    try:
        InputSource.of(path)
    except UsageError as error:
        if path.is_file():
            return  # the file with the names of classes
        raise UsageError(
            f"the inputs of this run were made of {path}, which is gone ({error}); {_NEXT}"
        ) from error


def _changed(request: InputRequest) -> str:
    named = [str(path) for path in (request.inputs, request.calibration) if path is not None]
    made_of = " and ".join(named) or f"seed {request.seed}"
    return f"the inputs of this run were made of {made_of}, which does not give them any more"


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder on the same disk, removed at the end; one that a killed process left goes, too."""
    name = folder / "made-again"
    sweep_beside(name)
    made = name.with_name(f"{name.name}{owner_token()}.partial")
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
