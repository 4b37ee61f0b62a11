"""What of an output varies from sample to sample, and how much of that the candidate keeps.

A constant part (grids, anchors, biases) can carry nearly all of an output's energy: a ratio of
energies then says nothing of the part that answers the input. Here each element's mean over the
samples is taken away first. It is the reference's mean, on both sides: a candidate that is off by
a constant, or that is one, has no more signal than one that is off by chance.

One pass, a few numbers an element, whatever the number of samples. Sums are taken of distances to
the first sample, so that no large mean cancels in them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from devdiff.system.typed_json import Count, Extended, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array

Figures = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Below this share of an output's magnitude what varies is rounding noise of float32.
NOISE: Final = 1e-5
# An element that moves by fewer steps of the candidate than these may honestly stay where it is.
RESOLVED_STEPS: Final = 4.0
# Channels whose movement differs by this factor are not of one kind.
_APART: Final = 16.0
# Channels that are shares or probabilities are of one kind, however rarely one of them is used ...
_UNIT: Final = (-1e-6, 1.0 + 1e-6)
# ... and say something from this value on.
_UNIT_SPREAD: Final = 0.05
# Other channels say something from this share of the output's largest movement on.
_LEAST_SPREAD: Final = 1e-3
# A group smaller than this share of the channels is no kind of value of its own.
_LEAST_CHANNELS: Final = 0.02
_MOST_CHANNELS: Final = 1024
_EXAMPLES: Final = 5


class ChannelGroup(Record, frozen=True):
    """Channels of an output whose values move alike, and apart from the others'.

    ``channels`` are their numbers on ``axis`` of the source's layout (the batch axis is 0), written
    as ``0-3,7``, and ``count`` how many they are. ``spread`` is the largest movement of one of
    their elements over the samples, in real units; ``snr_db`` as in `Variation`. ``flat_positions``
    of their ``positions`` vary on the reference and never on the candidate.
    """

    axis: Count
    channels: str
    count: Count
    spread: Extended
    snr_db: Extended
    positions: Count
    flat_positions: Count


class Variation(Record, frozen=True):
    """How the part of an output that varies over the samples compares.

    ``snr_db`` is ``10 log10(sum((reference - mean)²) / sum(error²))``, the mean being that of each
    element on the reference; None where the reference does not vary by more than rounding noise.
    ``spread`` is the largest movement of one element over the samples on the reference, in real
    units, ``rms`` the varying part's root mean square and ``share`` its share of the output's.
    ``flat_share`` is how much of the varying part's energy lies in elements that never vary on the
    candidate. ``moving_positions`` counts the elements that move by more than four steps of the
    candidate (of 1/255 of ``spread``, where it is not quantized), ``frozen_positions`` those of
    them that never move on the candidate, of which ``frozen`` gives the first few. ``groups``
    are the kinds of channels where there are several.
    """

    snr_db: Extended | None
    spread: Extended
    rms: Extended
    share: float
    flat_share: float
    moving_positions: Count
    frozen_positions: Count
    frozen: tuple[tuple[int, ...], ...]
    groups: tuple[ChannelGroup, ...]


class VariationAccumulator:
    """Takes in pieces of one output; ``step`` is the candidate's scale, None if not quantized."""

    def __init__(self, shape: tuple[int, ...], wide: bool, step: float | None) -> None:
        elements = math.prod(shape)
        kind = np.float64 if wide else np.float32
        self._shape, self._step = shape, step
        self._samples = 0
        self._first = np.zeros(elements, kind)
        self._low = np.full(elements, np.inf, kind)
        self._high = np.full(elements, -np.inf, kind)
        self._sums = np.zeros((3, elements), np.float64)
        self._candidate_first = np.zeros(elements, kind)
        self._candidate_moves = np.zeros(elements, np.bool_)

    def add(
        self,
        column: int,
        reference: Array,
        candidate: Array,
        errors: Array,
        scratch: Array,
        finite: bool,
    ) -> None:
        """A piece ``[rows, columns]`` in real units, from element ``column`` on.

        ``errors`` are absolute, and zero where a side is not finite; ``scratch`` is float64 space
        of twice a piece's size, which is overwritten. ``finite`` says that all values are.
        """
        part = slice(column, column + reference.shape[1])
        if column == 0:
            self._samples += len(reference)
        fresh = self._samples == len(reference)
        first, other = self._first[part], self._candidate_first[part]
        if fresh:
            first[:] = np.where(np.isfinite(reference[0]), reference[0], 0)
            other[:] = candidate[0]
        size, shape = reference.size, reference.shape
        distance, squares = (space[:size].reshape(shape) for space in scratch)
        np.subtract(reference, first, out=distance, dtype=np.float64)
        low, high = reference, reference
        if not finite:
            aside = ~(np.isfinite(reference) & np.isfinite(candidate))
            distance[aside] = 0
            low, high = np.where(aside, first, reference), np.where(aside, first, reference)
        np.minimum(self._low[part], low.min(axis=0), out=self._low[part])
        np.maximum(self._high[part], high.max(axis=0), out=self._high[part])
        sums = self._sums[:, part]
        sums[0] += distance.sum(axis=0)
        np.multiply(distance, distance, out=squares)
        sums[1] += squares.sum(axis=0)
        np.multiply(errors, errors, out=squares, dtype=np.float64)
        sums[2] += squares.sum(axis=0)
        moves = self._candidate_moves[part]
        moves |= (candidate != other).any(axis=0)

    def flat_positions(self) -> int:
        """Elements that vary on the reference and never on the candidate."""
        return int(np.count_nonzero(self._flat()))

    def result(self) -> Variation | None:
        """What was taken in so far; None of fewer than two samples, which cannot vary."""
        if self._samples < 2 or not self._first.size:
            return None
        moved = self._moved()
        energy, error = self._energies()
        floor = self._magnitude() * NOISE
        spread = float(moved.max())
        shown = spread > floor and math.isfinite(float(energy.sum()))
        # Without steps of its own a candidate is asked for as much as eight bits would show.
        step = self._step if self._step is not None else spread / 255
        least = max(floor, RESOLVED_STEPS * step)
        moving = moved > least
        frozen = np.flatnonzero(moving & ~self._candidate_moves)
        return Variation(
            snr_db=decibels(float(energy.sum()), float(error.sum())) if shown else None,
            spread=spread,
            rms=math.sqrt(float(energy.sum()) / (self._samples * energy.size)),
            share=self._share(float(energy.sum())),
            flat_share=float(energy[self._flat()].sum() / (energy.sum() or 1.0)),
            moving_positions=int(np.count_nonzero(moving)),
            frozen_positions=int(frozen.size),
            frozen=tuple(self._position(int(place)) for place in frozen[:_EXAMPLES]),
            groups=tuple(self._groups(moved, energy, error)) if shown else (),
        )

    def _moved(self) -> Figures:
        """The movement of each element over the samples on the reference."""
        moved: Figures = self._high.astype(np.float64) - self._low.astype(np.float64)
        return np.where(np.isfinite(moved), moved, 0.0)

    def _flat(self) -> Flags:
        flat: Flags = np.greater(self._high, self._low) & ~self._candidate_moves
        return flat

    def _energies(self) -> tuple[Figures, Figures]:
        """What varies and what is wrong in each element, as sums of squares."""
        total, squares, error = self._sums
        return np.maximum(squares - total * total / self._samples, 0.0), error

    def _magnitude(self) -> float:
        ends = np.abs(np.stack([self._low, self._high]).astype(np.float64))
        return float(ends.max(initial=0.0, where=np.isfinite(ends)))

    def _share(self, energy: float) -> float:
        means = self._first.astype(np.float64) + self._sums[0] / self._samples
        whole = energy + self._samples * float(np.dot(means, means))
        return math.sqrt(energy / whole) if whole > 0 else 0.0

    def _position(self, place: int) -> tuple[int, ...]:
        return tuple(int(index) for index in np.unravel_index(place, self._shape))

    def _groups(self, moved: Figures, energy: Figures, error: Figures) -> Iterator[ChannelGroup]:
        axis = channel_axis(self._shape, moved)
        if axis is None:
            return

        def by_channel(values: Array) -> Array:
            return np.moveaxis(values.reshape(self._shape), axis, 0).reshape(self._shape[axis], -1)

        spreads = by_channel(moved).max(axis=1)
        low, high = by_channel(self._low).min(axis=1), by_channel(self._high).max(axis=1)
        kinds = list(_kinds(spreads, low, high))
        if len(kinds) < 2:
            return
        flat = by_channel(self._flat())
        energies, errors = by_channel(energy).sum(axis=1), by_channel(error).sum(axis=1)
        for channels, least in kinds:
            spread = float(spreads[channels].max())
            if channels.size < _LEAST_CHANNELS * len(spreads) or spread < least:
                continue
            yield ChannelGroup(
                axis=axis,
                channels=_ranges(channels),
                count=int(channels.size),
                spread=spread,
                snr_db=decibels(float(energies[channels].sum()), float(errors[channels].sum())),
                positions=int(flat[channels].size),
                flat_positions=int(np.count_nonzero(flat[channels])),
            )


def decibels(signal: float, noise: float) -> float:
    """A ratio of two energies; infinite without noise, minus infinite without signal."""
    if noise == 0:
        return math.inf
    return 10 * (math.log10(signal) - math.log10(noise)) if signal > 0 else -math.inf


def channel_axis(shape: tuple[int, ...], moved: Figures) -> int | None:
    """The axis that tells kinds of values apart: next to the batch axis, or the last one.

    Of the two, one of a single channel is out, a square beside it is a picture's, and of lists
    (boxes or points by their values) the shorter axis holds the values. Where that leaves a choice,
    it is the axis along which the elements' movement ``moved`` differs most.
    """
    rank = len(shape)
    if rank < 2 or math.prod(shape) < 2:
        return None
    found = [axis for axis in sorted({1, rank - 1}) if 2 <= shape[axis] <= _MOST_CHANNELS]
    if rank == 4 and 1 in (shape[1], shape[3]) and min(shape[2], max(shape[1], shape[3])) > 16:
        return None
    if len(found) < 2:
        return found[0] if found else None
    first, last = found
    if rank == 3:
        return first if shape[first] <= shape[last] else last
    if rank == 4 and shape[2] in (shape[1], shape[3]) and shape[1] != shape[3]:
        return first if shape[2] == shape[3] else last
    if rank > 4:
        return last

    def unlikeness(axis: int) -> float:
        spreads = np.moveaxis(moved.reshape(shape), axis, 0).reshape(shape[axis], -1).max(axis=1)
        return float(np.log(spreads[spreads > 0]).std()) if (spreads > 0).any() else 0.0

    return first if unlikeness(first) >= unlikeness(last) else last


def _kinds(spreads: Figures, low: Array, high: Array) -> Iterator[tuple[Array, float]]:
    """The channels of each kind, and the spread from which on they say something.

    Channels that never vary are of no kind.
    """
    living = spreads > 0
    unit = np.flatnonzero(living & (low >= _UNIT[0]) & (high <= _UNIT[1]))
    others = np.flatnonzero(living)[~np.isin(np.flatnonzero(living), unit)]
    order = others[np.argsort(-spreads[others], kind="stable")]
    cuts = np.flatnonzero(spreads[order][:-1] > _APART * spreads[order][1:]) + 1
    kinds = [kind for kind in np.split(order, cuts) if kind.size]
    least = _LEAST_SPREAD * float(spreads.max())
    for kind in kinds:
        # Shares beside values of their own size are no kind of their own.
        alike = unit.size and max(-low[kind].min(), high[kind].max()) <= _APART
        members, unit = (np.append(kind, unit), unit[:0]) if alike else (kind, unit)
        yield np.sort(members), least
    if unit.size:
        yield unit, _UNIT_SPREAD


def _ranges(channels: Array) -> str:
    """Sorted numbers as ``0-3,7``."""
    runs = np.split(channels, np.flatnonzero(np.diff(channels) > 1) + 1)
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
