"""Whether a classifier's answers have anything to do with the labels they are held to.

Shuffled labels, another order of classes, or inputs that were prepared otherwise than in training
leave a good classifier at chance, on every rung alike: no comparison of rungs sees that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from devdiff.comparison.intervals import Proportion, binomial_tail, clopper_pearson
from devdiff.comparison.wording import count, percent

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

Standing = Literal["above chance", "at chance", "too few samples"]
FEWEST: Final = 20
_SIGNIFICANT: Final = 0.01
# Who is better than chance by this share of what is left to 1 would have been told from it.
_WORTH_SEEING: Final = 0.175


@dataclass(frozen=True, slots=True)
class AccuracyAgainstChance:
    """How often ``answers`` are the labels, and what guessing would come to.

    ``chance`` is the larger of one in ``classes`` and the most frequent label's share;
    ``independent`` the share of right answers if answers and labels had nothing to do with each
    other, given how often each class is answered. ``p_value`` is the exact binomial test's against
    the lower of the two.
    """

    right: Proportion
    classes: int
    chance: float
    independent: float
    p_value: float
    standing: Standing

    @classmethod
    def of(cls, answers: Array, labels: Array, classes: int) -> AccuracyAgainstChance:
        """``answers`` and ``labels`` are class indices int64 [N]; -1 for no answer."""
        samples, right = len(labels), int(np.count_nonzero(answers == labels))
        shares = [
            np.bincount(side[side >= 0], minlength=classes) / max(1, samples)
            for side in (labels, answers)
        ]
        # Of labels that are all one class the share says nothing of guessing.
        several = np.count_nonzero(shares[0]) > 1
        chance = max(1 / classes, float(shares[0].max()) if several else 0.0)
        independent = float(shares[0] @ shares[1]) if several else 1 / classes
        # A detector of rare events is right less often than who never sees one, and yet no guesser.
        level = min(chance, independent)
        p_value = binomial_tail(right, samples, level)
        standing: Standing = "too few samples"
        if p_value <= _SIGNIFICANT:
            standing = "above chance"
        elif samples >= FEWEST:
            best = clopper_pearson(right, samples, 0.9)[1]
            if best < level + _WORTH_SEEING * (1 - level):
                standing = "at chance"
        return cls(Proportion.of(right, samples), classes, chance, independent, p_value, standing)

    def describe(self, rung: str) -> str:
        """One sentence."""
        sentence = (
            f"rung {rung} is right on {self.right.successes} of "
            f"{count(self.right.trials, 'labelled sample')} ({percent(self.right.rate or 0.0)})"
        )
        if self.standing == "too few samples":
            return f"{sentence}, too few to tell that from chance ({percent(self.chance)})"
        if self.standing == "at chance":
            return f"{sentence}, no better than chance ({percent(self.chance)})"
        return f"{sentence}, chance would be {percent(self.chance)}"
