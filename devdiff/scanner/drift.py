"""Do answers to clean inputs drift under compression more than under placebo compressions?

Any compression moves scores; a placebo (the same full model compressed otherwise) shows how far
this model's scores move when nobody chose the rounding. The compressed model is ranked among its
placebos: were it one of them, it would come first by chance once in ``placebos + 1`` times, so that
few placebos cannot make a small p-value. Nearest rounding errs less than the stochastic rounding of
a placebo, which makes the ranking cautious.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.intervals import Proportion
from devdiff.errors import ScanError
from devdiff.system.typed_json import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.exporter.artifact import Array

SIGNIFICANCE: Final = 0.05
LEAST_FACTOR: Final = 1.5
"""Drift of less than this times the median placebo's does not stand out, however many placebos."""
_COUNTS: Final = ("flips", "largest_gain")


class DriftStatus(Enum):
    """``undecided``: standing out in some figure, but among too few placebos, or none at all."""

    USUAL = "usual"
    UNUSUAL = "unusual"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class PlaceboRank:
    """One figure of the compressed model beside the placebos'.

    ``p`` is the share, the compressed model among them, that reach at least ``observed``, and
    ``smallest_p`` what it would be beyond all placebos. ``factor`` is ``observed`` over the median
    placebo, counts of samples over at least one.
    """

    observed: float
    placebos: tuple[float, ...]
    p: float
    smallest_p: float
    factor: float

    @classmethod
    def of(cls, observed: float, placebos: Sequence[float], floor: float = 0.0) -> PlaceboRank:
        """``floor`` is the least that the median placebo counts for."""
        among = len(placebos) + 1
        reached = 1 + sum(placebo >= observed for placebo in placebos)
        usual = max(float(np.median(placebos)), floor) if placebos else floor
        factor = observed / usual if usual else (math.inf if observed else 1.0)
        return cls(observed, tuple(placebos), reached / among, 1 / among, factor)

    @property
    def first(self) -> bool:
        """Whether the compressed model is beyond every placebo (and there is one)."""
        return bool(self.placebos) and self.p == self.smallest_p


@dataclass(frozen=True, slots=True)
class ClassFlow:
    """One class: samples that flipped to it and away from it, and how its score moved.

    ``score_shift`` is the mean change of its score against the mean of all classes, in standard
    deviations of the full model's margin; None when that does not vary.
    """

    index: int
    gained: int
    lost: int
    score_shift: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """What compression did to the outputs of clean inputs, and what placebos did.

    ``relative_rms`` is the RMS change of the outputs over the RMS deviation of the full model's
    outputs from their mean over the samples; None when they do not vary. The others are of
    classifiers: ``flips`` are samples with another answer; ``margin_change`` is the mean change of
    the margin of the full model's answer (its score minus the best other score, negative once
    flipped), in standard deviations of the full model's margin. ``flow`` are the classes that won
    or lost samples, the largest net gain first.

    ``ranks`` compares, where there is at least one placebo: ``flips`` and ``largest_gain`` (the
    largest net gain of one class) in samples, ``margin`` (the mean magnitude of the margin's
    change) and ``relative_rms``. The status is ``unusual`` when a rank is significant at
    `SIGNIFICANCE` after Bonferroni's correction for their number, and its factor at least
    `LEAST_FACTOR`.
    """

    status: DriftStatus
    samples: int
    classes: int | None
    flips: Proportion | None
    margin_change: float | None
    flow: tuple[ClassFlow, ...]
    relative_rms: float | None
    ranks: dict[str, PlaceboRank]

    def to_json(self) -> dict[str, Any]:
        return dict(encode(self))


def drift(
    full_outputs: Array,
    compressed_outputs: Array,
    placebo_outputs: Sequence[Array],
    *,
    classifier: bool = True,
) -> Drift:
    """Compare one output of N clean inputs, in real units: [N, C] of a classifier, else [N, ...].

    Raises `ScanError` without samples, for a classifier of one class, when shapes differ, and for
    outputs that are not finite.
    """
    full = np.asarray(full_outputs, np.float64)
    compressed = np.asarray(compressed_outputs, np.float64)
    placebos = [np.asarray(outputs, np.float64) for outputs in placebo_outputs]
    _check(full, [compressed, *placebos], classifier)
    units = _Units.of(full, classifier)
    observed = _figures(full, compressed, units, classifier)
    null = [_figures(full, placebo, units, classifier) for placebo in placebos]
    ranks = {
        name: PlaceboRank.of(
            value, [figures[name] for figures in null], floor=1.0 if name in _COUNTS else 0.0
        )
        for name, value in observed.items()
        if null
    }
    return Drift(
        status=_status(ranks),
        samples=len(full),
        classes=full.shape[1] if classifier else None,
        flips=Proportion.of(int(observed["flips"]), len(full)) if classifier else None,
        margin_change=(
            float(_margin_changes(full, compressed).mean() / units.margin) if units.margin else None
        ),
        flow=_flow(full, compressed, units) if classifier else (),
        relative_rms=observed.get("relative_rms"),
        ranks=ranks,
    )


@dataclass(frozen=True, slots=True)
class _Units:
    """What changes are measured in; None where the full model's outputs do not vary."""

    margin: float | None
    outputs: float | None

    @classmethod
    def of(cls, full: Array, classifier: bool) -> _Units:
        margin = float(np.std(_margins(full, full.argmax(axis=1)))) if classifier else 0.0
        outputs = float(np.sqrt(np.mean((full - full.mean(axis=0)) ** 2)))
        return cls(margin or None, outputs or None)


def _check(full: Array, others: Sequence[Array], classifier: bool) -> None:
    if full.size == 0:
        raise ScanError("there are no outputs to compare: give at least one sample")
    if classifier and (full.ndim != 2 or full.shape[1] < 2):
        raise ScanError(f"outputs of shape {list(full.shape)} are not scores of several classes")
    for side in others:
        if side.shape != full.shape:
            raise ScanError(
                f"the full model's outputs have shape {list(full.shape)}, others {list(side.shape)}"
            )
    for side in (full, *others):
        if not np.all(np.isfinite(side)):
            raise ScanError("some outputs are NaN or infinite: no drift can be measured")


def _figures(full: Array, side: Array, units: _Units, classifier: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    if units.outputs:
        found["relative_rms"] = float(np.sqrt(np.mean((side - full) ** 2)) / units.outputs)
    if classifier:
        gained, lost = _gains(full, side)
        found["flips"] = float(gained.sum())
        found["largest_gain"] = float((gained - lost).max())
    if units.margin:
        found["margin"] = float(np.abs(_margin_changes(full, side)).mean() / units.margin)
    return found


def _margins(scores: Array, answers: Array) -> Array:
    """How far each row's given class is ahead of the best other one."""
    rows = np.arange(len(scores))
    others = scores.copy()
    others[rows, answers] = -np.inf
    return np.asarray(scores[rows, answers] - others.max(axis=1))


def _margin_changes(full: Array, side: Array) -> Array:
    answers = full.argmax(axis=1)
    return np.asarray(_margins(side, answers) - _margins(full, answers))


def _gains(full: Array, side: Array) -> tuple[Array, Array]:
    """Per class, how many samples flipped to it and how many away from it."""
    before, after = full.argmax(axis=1), side.argmax(axis=1)
    flipped = before != after
    classes = full.shape[1]
    return (
        np.bincount(after[flipped], minlength=classes),
        np.bincount(before[flipped], minlength=classes),
    )


def _flow(full: Array, side: Array, units: _Units) -> tuple[ClassFlow, ...]:
    gained, lost = _gains(full, side)
    change = side - full
    shift = (change - change.mean(axis=1, keepdims=True)).mean(axis=0)
    flows = [
        ClassFlow(
            index,
            int(gained[index]),
            int(lost[index]),
            float(shift[index] / units.margin) if units.margin else None,
        )
        for index in np.flatnonzero(gained + lost).tolist()
    ]
    return tuple(sorted(flows, key=lambda flow: (flow.lost - flow.gained, flow.index)))


def _status(ranks: dict[str, PlaceboRank]) -> DriftStatus:
    far = [rank for rank in ranks.values() if rank.factor >= LEAST_FACTOR]
    if any(rank.p * len(ranks) <= SIGNIFICANCE for rank in far):
        return DriftStatus.UNUSUAL
    # Beyond all placebos and still not significant: there are too few of them.
    if not ranks or any(rank.first and rank.p * len(ranks) > SIGNIFICANCE for rank in far):
        return DriftStatus.UNDECIDED
    return DriftStatus.USUAL
