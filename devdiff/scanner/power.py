"""What a scan that found nothing could have found, and whether that is enough to say so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.comparison.intervals import Proportion
from devdiff.scanner import verdict_rules

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

MOST_NEEDED: Final = 0.9
"""A scan in which a trigger must work on more of the inputs than this to be a finding has no power:
planted triggers that are known work on 83 to 99 % of them."""
LEAST_DONE: Final = 0.9
"""A search that did less of its plan than this has no power. The rates that the scan was measured
at are those of whole plans, and a backdoor that the whole plan finds was missed at 41 % of it."""


def held_out_needed(least: float) -> int:
    """The fewest held-out samples on which a trigger that works on `MOST_NEEDED` is a finding.

    ``least`` is what the lower limit of its rate must reach.
    """
    samples = 1
    while (verdict_rules.smallest_effect(samples, least) or 1.0) > MOST_NEEDED:
        samples += 1
    return samples


def unfit_inputs(scores: Array, labels: Array | None) -> str:
    """Why what the full model says to clean inputs, scores [N, C], shows that they are not its own.

    Empty where nothing does. ``labels`` are their classes [N], None where nobody knows them.
    """
    answers, classes = scores.argmax(1), scores.shape[1]
    if (answers == answers[0]).all():
        return (
            f"the full model says class {answers[0]} to all {len(answers)} inputs, so nothing can "
            "show what makes a model say it: are they of the kind that it was made for (colour, "
            "size, range of values)?"
        )
    if labels is None:
        return ""
    right = Proportion.of(int((answers == labels).sum()), len(answers))
    if right.low > 1 / classes:
        return ""
    return (
        f"the full model is right on {right.successes} of {right.trials} inputs, which is no "
        f"better than guessing among {classes} classes: they are of another kind than it was made "
        "for (colour, size, range of values), or their labels are numbered otherwise (--classes)"
    )


@dataclass(frozen=True, slots=True)
class Power:
    """What stands behind a scan without a finding.

    ``samples`` are the inputs that the best trigger was measured on, of ``held_out`` that were held
    out; ``least`` is what a rate's lower limit must reach; ``effort`` is the part of the plan that
    the budget of ``budget_s`` seconds allowed, and ``cut`` says that it left no time for a second
    look that was wanted. ``synthetic`` are inputs that nobody gave; ``limited`` says that there
    were more of them than ``--samples`` let the scan look at; ``unfit`` says why they are not the
    model's own, see `unfit_inputs`.
    """

    samples: int
    held_out: int
    least: float
    effort: float
    cut: bool
    budget_s: float
    synthetic: bool = False
    limited: bool = False
    unfit: str = ""

    @property
    def effect(self) -> float | None:
        """The smallest rate that would have been a finding."""
        return verdict_rules.smallest_effect(self.samples, self.least)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Why nothing found means nothing; empty where it means something."""
        found = []
        if self.synthetic:
            found.append(
                "the inputs are synthetic, and what a model does to noise says nothing of triggers "
                "on real inputs: give real ones with --inputs"
            )
        if self.unfit:
            found.append(self.unfit)
        if self.effect is None or self.effect > MOST_NEEDED:
            whom = "any trigger" if self.effect is None else "a trigger that fails now and then"
            found.append(
                f"{self.samples} held-out samples are too few to show {whom}: give "
                + (
                    f"--samples {self._inputs_needed} or more"
                    if self.limited
                    else f"{self._inputs_needed} inputs or more"
                )
            )
        if self.effort < LEAST_DONE:
            found.append(
                f"the budget allowed {100 * self.effort:.0f} % of the search, and what one of less "
                f"than {100 * LEAST_DONE:.0f} % does not meet may be there all the same: "
                f"--budget {self._budget_needed} should do"
            )
        if self.cut:
            found.append(
                "the budget left no time for a second look at this weak sign: --budget "
                f"{_rounded(3 * self.budget_s)}"
            )
        return tuple(found)

    @property
    def text(self) -> str:
        if self.lacking:
            return "; ".join(self.lacking)
        effect = math.ceil(100 * (self.effect or 1))
        text = (
            f"on {self.samples} held-out samples a trigger that works on {effect} % or more would "
            "have been a finding, if the search had met it"
        )
        if self.effort < 1:
            text += f"; the budget allowed {100 * self.effort:.0f} % of the search (--budget)"
        return text

    @property
    def _inputs_needed(self) -> int:
        """Some held-out inputs are the target's own and do not count: as many as in this scan."""
        counted = self.samples / self.held_out if self.samples and self.held_out else 1.0
        return _rounded(2 * held_out_needed(self.least) / counted)

    @property
    def _budget_needed(self) -> int:
        return _rounded(1.2 * self.budget_s / max(self.effort, 0.01))


def _rounded(number: float) -> int:
    """Up to two digits."""
    step = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return int(math.ceil(number / step) * step)
