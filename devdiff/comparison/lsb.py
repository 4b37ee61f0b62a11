"""Differences between quantized outputs, counted in steps of the last place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.system.typed_json import Count, Record

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, Quantization

REACH: Final = 8


class LsbHistogram(Record, frozen=True):
    """How many elements differ by how many steps, candidate minus reference.

    ``counts[i]`` belongs to a difference of ``i - reach`` steps; ``below`` and ``above`` count what
    lies beyond. ``max_lsb`` is the largest magnitude of all.
    """

    reach: Count
    counts: tuple[int, ...]
    below: Count
    above: Count
    max_lsb: Count


class LsbCounter:
    """Exact integer differences of two outputs with the same scale.

    The zero points may differ: ``stored - zero_point`` is what counts.
    """

    def __init__(self, reference: Quantization, candidate: Quantization) -> None:
        self._shift = candidate.zero_point - reference.zero_point
        self._counts = np.zeros(2 * REACH + 3, np.int64)
        self._max = 0

    def add_equal(self, elements: int) -> None:
        """Count elements already known to be the same on both sides."""
        self._counts[REACH + 1] += elements

    def add(self, reference: Array, candidate: Array) -> None:
        """Count stored integers of equal shape."""
        steps = np.subtract(candidate, reference, dtype=np.int64)
        steps -= self._shift
        self._max = max(self._max, int(np.abs(steps).max()))
        np.clip(steps, -REACH - 1, REACH + 1, out=steps)
        steps += REACH + 1
        self._counts += np.bincount(steps.reshape(-1), minlength=self._counts.size)

    def result(self) -> LsbHistogram:
        below, *inner, above = self._counts.tolist()
        return LsbHistogram(REACH, tuple(inner), below, above, self._max)


def comparable(reference: Quantization | None, candidate: Quantization | None) -> bool:
    """Whether both sides are quantized with the same step, so that steps can be counted."""
    return reference is not None and candidate is not None and reference.scale == candidate.scale
