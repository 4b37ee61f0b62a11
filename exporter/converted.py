"""What every source becomes before the TensorFlow Lite converter: a function and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.artifact import TensorSpec


@dataclass(frozen=True, slots=True)
class ConvertedOutput:
    """One output of the converted function; axis ``k`` is source axis ``permutation[k]``."""

    source: TensorSpec
    permutation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """A function over TensorFlow tensors, with the source's names and layouts.

    ``call`` takes a tensor for each of ``inputs`` and returns one for each of ``outputs``; both
    stand in the source's order.
    """

    call: Callable[..., Sequence[Any]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[ConvertedOutput, ...]
    notes: tuple[str, ...]
