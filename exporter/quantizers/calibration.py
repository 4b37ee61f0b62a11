"""The representative dataset as quantizers take it. Imported by the child process only."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.exporter import apart
from devdiff.exporter.errors import CalibrationError
from devdiff.exporter.manifest import CalibrationInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devdiff.exporter.artifact import Array, TensorSpec


def load(spec: TensorSpec, paths: Mapping[str, str]) -> Array:
    """The memory-mapped representative samples of one input, [N, *shape] in its dtype.

    ``paths`` are .npy files by input name. Raises `CalibrationError` when they do not fit the
    input, or hold NaN or infinity.
    """
    array: Array = np.load(paths[spec.name], mmap_mode="r", allow_pickle=False)
    if array.shape[1:] != spec.shape or array.dtype != spec.numpy_dtype or len(array) == 0:
        raise CalibrationError(
            f"calibration data for {spec.describe()} has dtype {array.dtype} and shape "
            f"{list(array.shape)}; it must be [N,{','.join(map(str, spec.shape))}]"
        )
    if spec.dtype.startswith("float"):
        for index, sample in enumerate(array):
            if not np.isfinite(sample).all():
                raise CalibrationError(
                    f"calibration sample {index} of input {spec.name!r} holds NaN or infinity: "
                    "its range would be meaningless; repair or remove that sample"
                )
    return array


def samples(arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Each sample of arrays [N, *shape] by signature name, in memory of its own.

    Who asks for the first has converted the model before, and holds on to what that took.
    """
    apart.give_back()
    for index in range(len(next(iter(arrays.values())))):
        yield {name: np.array(values[index]) for name, values in arrays.items()}


def info(job: Mapping[str, Any], arrays: Mapping[str, Array]) -> CalibrationInfo:
    """What the manifest says of the dataset that ``job`` named, by signature name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}:{arrays[name].dtype}:{arrays[name].shape};".encode())
        for sample in arrays[name]:
            digest.update(np.ascontiguousarray(sample).data)
    count = len(next(iter(arrays.values())))
    return CalibrationInfo(job["origin"], count, digest.hexdigest(), job["seed"])
