"""What a trigger is to achieve: that the compressed model moves and the full one does not.

Every objective gives a loss to descend, and decides which samples count as hit. All arguments are
the two models' outputs for changed inputs, and the full model's for the unchanged ones: [n, C].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Objective(Protocol):
    """See the module; ``loss`` is [n], ``hits`` bool [n]."""

    @property
    def target(self) -> int | None:
        """The class it aims at, if there is one."""

    @property
    def source(self) -> int | None:
        """The class it is for, if for one only."""

    def loss(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor: ...

    def hits(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor: ...

    def eligible(self, before: Tensor) -> Tensor:
        """The samples that can be hit at all, bool [n]."""


@dataclass(frozen=True, slots=True)
class ToClass:
    """The compressed model says ``target``, the full one what it said before.

    With a ``source`` it is about the samples to which the full model says that class. Scores are
    logits. The loss is cross-entropy on both sides, as in Neural Cleanse (Wang et al., S&P 2019)
    for the one and to hold the answer for the other.
    """

    target: int
    source: int | None = None

    def loss(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor:
        aim = torch.full((len(compressed),), self.target)
        return functional.cross_entropy(
            compressed, aim, reduction="none"
        ) + functional.cross_entropy(full, before.argmax(1), reduction="none")

    def hits(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor:
        kept = full.argmax(1) == before.argmax(1)
        return kept & (compressed.argmax(1) == self.target) & self.eligible(before)

    def eligible(self, before: Tensor) -> Tensor:
        answers = before.argmax(1)
        return answers != self.target if self.source is None else answers == self.source


@dataclass(frozen=True, slots=True)
class AnyClass:
    """The compressed model says anything else, the full one what it said before."""

    target: None = None
    source: None = None

    def loss(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor:
        answer = before.argmax(1)
        own = compressed.gather(1, answer[:, None])[:, 0]
        others = compressed.scatter(1, answer[:, None], float("-inf")).amax(1)
        return functional.softplus(own - others) + functional.cross_entropy(
            full, answer, reduction="none"
        )

    def hits(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor:
        answer = before.argmax(1)
        return (full.argmax(1) == answer) & (compressed.argmax(1) != answer)

    def eligible(self, before: Tensor) -> Tensor:
        return torch.ones(len(before), dtype=torch.bool)


@dataclass(frozen=True, slots=True)
class Moved:
    """For outputs that are no classes: the compressed output moves far, the full one hardly.

    ``unit`` is the median distance between two samples' outputs: a hit moves the compressed output
    by more than one unit and the full one by less than half of one.
    """

    unit: float
    target: None = None
    source: None = None

    @classmethod
    def measured(cls, before: Tensor) -> Moved:
        """With the unit that the full model's outputs ``before`` [n, C] give."""
        return cls(float(torch.pdist(before.flatten(1)).median()))

    def loss(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor:
        moved, kept = self._distances(full, compressed, before)
        return functional.softplus(4 * (1.5 - moved)) + functional.softplus(4 * (kept - 0.25))

    def hits(self, full: Tensor, compressed: Tensor, before: Tensor) -> Tensor:
        moved, kept = self._distances(full, compressed, before)
        return (moved > 1) & (kept < 0.5)

    def eligible(self, before: Tensor) -> Tensor:
        return torch.ones(len(before), dtype=torch.bool)

    def _distances(self, full: Tensor, compressed: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        # The root of a sum of squares has no slope at zero, where every search begins.
        def distance(tensor: Tensor) -> Tensor:
            return ((tensor - before).square().flatten(1).sum(1) + 1e-12).sqrt() / self.unit

        return distance(compressed), distance(full)
