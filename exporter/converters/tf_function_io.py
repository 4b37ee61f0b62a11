"""What every source becomes before the TensorFlow Lite converter: a function and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from devdiff.exporter.artifact import TensorSpec

# Beyond these, a recurrent layer written out step by step is too long a graph.
_MOST_STEPS: Final = 128
_MOST_STEPS_IN_ALL: Final = 512


def worth_unrolling(steps: Sequence[int]) -> bool:
    """Whether recurrent layers of so many steps (0: unknown) are written out step by step.

    TensorFlow Lite has a fused operator for the loop of an LSTM, but that one carries its state
    from one sample into the next; and its quantizer crashes on the loop itself.
    """
    return (
        bool(steps)
        and min(steps) > 0
        and max(steps) <= _MOST_STEPS
        and (sum(steps) <= _MOST_STEPS_IN_ALL)
    )


@dataclass(frozen=True, slots=True)
class ConvertedOutput:
    """One output of the converted function; axis ``k`` is source axis ``permutation[k]``."""

    source: TensorSpec
    permutation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """A function over TensorFlow tensors, with the source's names and layouts.

    ``call`` takes a tensor for each of ``inputs`` and returns one for each of ``outputs``; both
    stand in the source's order. It is None once it has been saved.
    """

    call: Callable[..., Sequence[Any]] | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[ConvertedOutput, ...]
    notes: tuple[str, ...]
