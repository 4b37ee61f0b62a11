"""How much of a search's plan fits into its time, decided anew before every round.

A plan counts in samples that are shown to both models. While the whole of it fits, the time plays
no part, so that the same seed gives the same answer on a busy machine as on an idle one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from devdiff.scanner.search_job import FINISH_IMAGES, SearchSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEWEST_IMAGES: Final = 3
FEWEST_STEPS: Final = 0.4
"""Of the steps that are meant; a round of still fewer would select at random."""


@dataclass(frozen=True, slots=True)
class Round:
    """``steps`` between two selections, each showing ``images`` samples to each of ``arms``."""

    arms: int
    steps: int
    images: int
    finishing: bool = False

    @property
    def shown(self) -> int:
        """How many samples pass through both models and back."""
        return self.arms * self.steps * self.images


def plan(settings: SearchSettings, arms: int) -> tuple[Round, ...]:
    """The rounds of a search that begins with ``arms``."""
    found = []
    for number, steps in enumerate(settings.rounds):
        arms = settings.kept(arms) if number else arms
        found.append(Round(arms, steps, settings.images))
    if settings.finish:
        arms = settings.kept(arms) if found else arms
        found.append(Round(arms, settings.finish, settings.images * FINISH_IMAGES, True))
    return tuple(found)


def shown(rounds: Sequence[Round]) -> int:
    return sum(entry.shown for entry in rounds)


def fitted(rounds: Sequence[Round], seconds: float, cost: float) -> Round:
    """The first of ``rounds``, made small enough for all of them to fit into ``seconds``.

    ``cost`` is the time that one shown sample takes. Fewer samples are shown in each step, and when
    that is not enough there are fewer steps.
    """
    first, whole = rounds[0], shown(rounds)
    share = max(seconds, 0.0) / (cost * whole) if cost and whole else math.inf
    if share >= 1:
        return first
    fewest = FEWEST_IMAGES * (FINISH_IMAGES if first.finishing else 1)
    images = min(first.images, max(fewest, int(share * first.images)))
    steps = min(1.0, max(share * first.images / images, FEWEST_STEPS))
    return replace(first, images=images, steps=max(1, round(steps * first.steps)))


class Pace:
    """The clock of one process that searches: until when it may, and what a sample costs.

    ``ends`` and ``now`` are of `time.monotonic`; ``cost`` are the seconds that one sample takes
    through both models and back, at first as it was timed, then as the searches take it.
    ``efforts`` are the parts of their plans that the searches have done so far.
    """

    def __init__(self, ends: float, cost: float, now: Callable[[], float] = time.monotonic) -> None:
        self.ends, self.cost, self.now = ends, cost, now
        self.efforts: list[float] = []

    def until(self, work: int, later: int) -> float:
        """When a search has to end that shows ``work`` samples, before others show ``later``."""
        left = self.ends - self.now()
        return self.now() + left * work / max(work + later, 1)

    def took(self, seconds: float, samples: int) -> None:
        """Learn the cost from what was shown last, on a machine that may be busier by now."""
        if samples:
            self.cost = seconds / samples
