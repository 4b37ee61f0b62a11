"""What quantization costs each layer, measured: in the whole models, and alone.

All paired tensors are read out of one run of each model. That could change what runs, so both
models' outputs have to be those of the untouched files, bit by bit. Alone, an int8 operator gets
the float model's own values, quantized as its inputs are, so that what it adds is its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.device_runner.pack import MAX_TENSORS, Status
from devdiff.device_runner.results import ResultReader
from devdiff.errors import BisectError
from devdiff.exporter.tflite_cut import quantization

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.tflite_graph import GraphTensor

GROUP: Final = MAX_TENSORS // 3
"""How many tensors, or operators side by side, one file gives."""


@dataclass(slots=True)
class Errors:
    """Sums over one tensor's elements: float values and what their quantized form stands for."""

    signal: float = 0.0
    noise: float = 0.0
    elements: int = 0
    clipped: int = 0
    low: float = math.inf
    high: float = -math.inf

    def add(self, reference: Array, stored: Array, tensor: GraphTensor) -> None:
        """``reference`` float, ``stored`` as the compressed model keeps it, of one shape."""
        real = dequantized(stored, tensor)
        values = reference.astype(np.float64)
        error = values - real
        self.signal += float(np.square(values).sum())
        self.noise += float(np.square(error).sum())
        self.elements += values.size
        if values.size == 0:
            return
        self.low = min(self.low, float(stored.min()))
        self.high = max(self.high, float(stored.max()))
        grid = quantization(tensor)
        if grid is not None:
            limits = np.iinfo(stored.dtype)
            half = abs(grid.scale) / 2
            low = (limits.min - grid.zero_point) * grid.scale - half
            high = (limits.max - grid.zero_point) * grid.scale + half
            self.clipped += int(np.count_nonzero((values < low) | (values > high)))

    @property
    def sqnr_db(self) -> float | None:
        """Signal over quantization noise; None for a signal that is zero everywhere."""
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else None

    @property
    def saturated(self) -> float:
        """The share of elements whose float value lies beyond what the stored type can hold."""
        return self.clipped / self.elements if self.elements else 0.0

    def range_used(self, dtype: str) -> float | None:
        """How much of the stored type's range the values reach over; None for floats."""
        if not dtype.startswith(("int", "uint")) or not self.elements:
            return None
        limits = np.iinfo(np.dtype(dtype))
        return (self.high - self.low) / (int(limits.max) - int(limits.min))


@dataclass(slots=True)
class LayerErrors:
    """One int8 operator: ``in_place`` in the whole model, ``alone`` with exact inputs (or None)."""

    operator: int
    full_operator: int
    tensor: int
    full_tensor: int
    in_place: Errors = field(default_factory=Errors)
    alone: Errors | None = None


def dequantized(stored: Array, tensor: GraphTensor) -> Array:
    """What stored values stand for, float64."""
    grid = quantization(tensor)
    if grid is None:
        return stored.astype(np.float64)
    found: Array = (stored.astype(np.float64) - grid.zero_point) * grid.scale
    return found


def groups(items: Sequence[int], size: int = GROUP) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def samples(pack: Path, names: Mapping[str, int]) -> Iterator[dict[int, Array]]:
    """Each sample's tensors of a result pack, by index; ``names`` are those of the pack's table.

    Raises `BisectError` when a sample failed.
    """
    reader = ResultReader(pack)
    places = {
        place: names[tensor.name]
        for place, tensor in enumerate(reader.tensors)
        if tensor.name in names
    }
    for block in reader.read_blocks(max_samples=1):
        if block.status is not Status.OK:
            raise BisectError(f"sample {block.start} fails: {block.message}")
        yield {index: block.arrays[place][0] for place, index in places.items()}


class QuantizedInputs:
    """Float values written down as an int8 operator takes them: one .npy for each input."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._files: dict[str, Array] = {}

    def put(self, key: str, row: int, values: Array, tensor: GraphTensor) -> None:
        """``values`` float, of sample ``row``, for the input ``key``, which is ``tensor``."""
        grid, dtype = quantization(tensor), np.dtype(tensor.dtype)
        stored = values.astype(dtype) if grid is None else grid.quantize(values, dtype)
        if key not in self._files:
            shape = (self._count, *stored.shape)
            self._files[key] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
                self._folder / f"{key}.npy", "w+", dtype, shape
            )
        self._files[key][row] = stored

    def arrays(self) -> dict[str, Array]:
        return self._files
