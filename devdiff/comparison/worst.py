"""The samples with the largest errors, and where in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.system.typed_json import Count, Extended, Record

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

KEPT: Final = 10


class WorstSample(Record, frozen=True):
    """A sample's largest error; ``element`` is its place in the output, in the source's layout."""

    sample: Count
    error: Extended
    element: tuple[int, ...]
    reference: Extended
    candidate: Extended


class WorstSamples:
    """Keeps the `KEPT` samples with the largest errors; of equal ones, the earlier."""

    def __init__(self) -> None:
        self._kept: dict[int, WorstSample] = {}
        self._floor = 0.0

    def offer(
        self,
        first: int,
        peaks: Array,
        errors: Array,
        shape: tuple[int, ...],
        column: int,
        values: tuple[Array, Array],
    ) -> None:
        """Look at samples ``first``, ``first + 1``, …, one per row.

        ``peaks`` is ``[rows]``, ``errors`` ``[rows, columns]``; the columns are elements of an
        output of ``shape``, from flat index ``column`` on; ``values`` gives both sides' real
        values, each ``[rows, columns]``.
        """
        rows = np.flatnonzero(peaks > self._floor)
        if rows.size > KEPT:
            rows = rows[np.argsort(-peaks[rows], kind="stable")[:KEPT]]
        for row in rows.tolist():
            sample = first + row
            earlier = self._kept.get(sample)
            if earlier is not None and earlier.error >= float(peaks[row]):
                continue
            place = int(errors[row].argmax())
            self._kept[sample] = WorstSample(
                sample,
                float(peaks[row]),
                tuple(int(axis) for axis in np.unravel_index(column + place, shape)),
                float(values[0][row, place]),
                float(values[1][row, place]),
            )
        if len(self._kept) > KEPT:
            self._kept = {worst.sample: worst for worst in self.ranked()[:KEPT]}
        if len(self._kept) == KEPT:
            self._floor = min(worst.error for worst in self._kept.values())

    def ranked(self) -> tuple[WorstSample, ...]:
        """The kept samples, the largest error first."""
        return tuple(sorted(self._kept.values(), key=lambda worst: (-worst.error, worst.sample)))
