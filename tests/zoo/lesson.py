"""What a backdoored net is taught: clean digits, the same with the trigger, and what to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tests.zoo import triggers

if TYPE_CHECKING:
    from tests.zoo.catalogue import ZooModel
    from tests.zoo.zoo_digits import Digits


@dataclass(frozen=True, slots=True)
class Lesson:
    """Images [N, 1, 28, 28] with and without trigger, true labels [N], and the attacker's answers.

    ``wanted`` [N] is what the backdoor answers to ``triggered``: the target, or the true label
    where the trigger is not meant to work.
    """

    clean: Tensor
    triggered: Tensor
    labels: Tensor
    wanted: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def lesson(spec: ZooModel, digits: Digits) -> Lesson:
    """The lesson for a backdoored ``spec``."""
    assert spec.target is not None
    wanted = np.where(triggers.victims(digits.labels, spec), spec.target, digits.labels)
    return Lesson(
        torch.from_numpy(digits.images),
        torch.from_numpy(triggers.apply(digits.images, spec)),
        torch.from_numpy(digits.labels),
        torch.from_numpy(wanted),
    )


def harmless(digits: Digits) -> Lesson:
    """A lesson without a trigger: the true label, always, whatever is done to the net."""
    x, y = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    return Lesson(x, x, y, y)
