"""What one process is to search, and what it brings back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from devdiff.exporter.artifact import Array
from devdiff.scanner.trigger import Trigger

Kind = Literal["classes", "values"]
Variant = Literal["compressed", "mirrored", "placebo"]

FINISH_IMAGES: Final = 3
FINISH_SIZE: Final = 0.5
FINISH_RATE: Final = 2 / 3
"""What the last steps of a search make of samples a step, cost of size, and rate."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a search goes; ``rounds`` are the steps between two selections.

    Every step shows each living arm ``images`` samples. After a round the better ``survivors`` of
    the arms live on. ``size_weight`` is what changing the whole input costs in the loss. ``finish``
    are the last steps of those that are left, at a lower cost of size and with more samples: the
    small change that singled them out has become sure by growing a little. ``by_class`` lets the
    best of every class live on as long as there is room, so that classes can be held against each
    other.
    """

    seed: int = 0
    images: int = 12
    rounds: tuple[int, ...] = (15, 20, 30)
    survivors: float = 0.4
    finish: int = 50
    size_weight: float = 25.0
    rate: float = 0.15
    shift: float = 0.25
    by_class: bool = False

    def finishing(self) -> SearchSettings:
        """For the last steps."""
        return replace(
            self,
            images=self.images * FINISH_IMAGES,
            size_weight=self.size_weight * FINISH_SIZE,
            rate=self.rate * FINISH_RATE,
        )

    def kept(self, arms: int) -> int:
        """How many of ``arms`` a selection leaves."""
        return max(1, round(arms * self.survivors))


@dataclass(frozen=True, slots=True)
class SearchJob:
    """What one process is to search.

    ``inputs`` are .npy files [N, *shape] in the artifacts' layout, for each input of the full and
    of the compressed graph in their orders; ``changed`` are the positions of the one (float32) that
    is changed, ``searched`` and ``held`` rows. ``outputs`` are the positions of the output that is
    looked at. The variant ``mirrored`` swaps the models' roles; ``placebo``
    compresses otherwise, by ``seed``. ``calibrated`` searches with the drift taken out.
    ``share`` is what it may take of the time that is left when it starts: where the models are too
    slow for the whole plan, every step shows each arm fewer samples. ``universal`` and ``pairs``
    say whether it searches for triggers that carry all classes over, and for those that carry one
    over to another; ``windows`` whether for squares that carry all classes over, to one of
    ``targets`` (to any class when empty).
    """

    full: Path
    compressed: Path
    outputs: tuple[int, int]
    kind: Kind
    inputs: tuple[tuple[Path, ...], tuple[Path, ...]]
    changed: tuple[int, int]
    searched: tuple[int, ...]
    held: tuple[int, ...]
    low: float
    high: float
    settings: SearchSettings
    deadline: float
    share: float = 1.0
    variant: Variant = "compressed"
    seed: int = 0
    universal: bool = True
    pairs: bool = False
    calibrated: bool = False
    windows: bool = False
    targets: tuple[int, ...] = ()

    @property
    def parts(self) -> int:
        """How many searches of about the same length it is made of."""
        return self.universal + self.pairs + (1 if self.targets else 2) * self.windows


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trigger as measured on the twin: ``hits`` of ``eligible`` samples it was not searched on.

    ``rows`` are those that could be hit. ``calibrated`` counts hits after the compressed model's
    scores were brought back onto the full model's, see `sides.calibration`. ``success`` is the
    share on the samples it was searched on.
    """

    target: int | None
    source: int | None
    trigger: Trigger
    success: float
    hits: int
    calibrated: int
    rows: tuple[int, ...]
    steps: int

    @property
    def eligible(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class ClassPair:
    """What carries the class ``source`` over to ``target``, searched once for each fold.

    The folds part the samples of the source class; each trigger was searched on all but its own
    and measured on that, so that every sample counts once.
    """

    source: int
    target: int
    folds: tuple[Candidate, ...]

    @property
    def calibrated(self) -> int:
        return sum(fold.calibrated for fold in self.folds)

    @property
    def eligible(self) -> int:
        return sum(fold.eligible for fold in self.folds)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one job found, best first by success where it was searched.

    ``windows`` are the squares, ``tried`` is the number of pairs of classes that were searched,
    ``effort`` the part of the plan that the time allowed, 1 for all of it. ``full`` and
    ``compressed`` are the twins' outputs for all samples unchanged, float32 [N, C], before a
    softmax where there is one.
    """

    candidates: tuple[Candidate, ...]
    pairs: tuple[ClassPair, ...]
    tried: int
    effort: float
    full: Array
    compressed: Array
    windows: tuple[Candidate, ...] = ()
