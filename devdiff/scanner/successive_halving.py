"""Differential trigger inversion: one change of the input that only the compressed model obeys.

As in Neural Cleanse (Wang et al., S&P 2019) a trigger is found by descent over a mask and a
pattern, but on two models at once: what both obey is no compression artifact and cancels. Hopeless
hypotheses are dropped early by successive halving, in the spirit of K-Arm (Shen et al., ICML
2021).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from devdiff.scanner.objective import Objective
from devdiff.scanner.pace import Pace, Round, fitted, plan, shown
from devdiff.scanner.trigger import Form, Trigger, mask_shape
from devdiff.scanner.warp import Warp
from devdiff.scanner.window import Square
from devdiff.scanner.window_places import Place

if TYPE_CHECKING:
    from devdiff.scanner.search_job import SearchSettings

Model = Callable[[Tensor, Tensor], Tensor]
"""Changed samples [n, *shape] and the numbers [n] of the samples they were: outputs [n, C]."""
_MEMORY: Final = 0.9
"""What an arm's running score keeps of itself from step to step."""
_AT_ONCE: Final = 2**19
_FEWEST_AT_ONCE: Final = 8
"""So many values of the changed input pass through the models together, but of so many samples at
least: what the descent has to remember of a large picture would not fit into memory otherwise."""
_COSTS: Final[Mapping[Form, float]] = {"patch": 1.0, "additive": 1.0, "warp": 0.4}
"""What a form pays for its size, which each counts in its own way: planted warps move pixels by a
tenth of the picture's side, where planted patches cover a fiftieth of it."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One hypothesis: what the trigger does, and what it looks like.

    ``shown`` are the places of the samples it is searched on; None means all. A patch with a
    ``window`` covers that, instead of a mask of its own.
    """

    objective: Objective
    form: Form
    shown: tuple[int, ...] | None = None
    window: Place | None = None

    def eligible(self, before: Tensor) -> Tensor:
        """The samples that it is shown and could hit, bool [N]."""
        eligible = self.objective.eligible(before)
        if self.shown is None:
            return eligible
        shown = torch.zeros(len(before), dtype=torch.bool)
        shown[list(self.shown)] = True
        return eligible & shown


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An arm after the search, with the share of the search samples that its trigger hit."""

    arm: Arm
    trigger: Trigger
    success: float
    steps: int


class _Descent:
    """The parameters of one arm and how they make a trigger."""

    def __init__(
        self, arm: Arm, shape: tuple[int, ...], low: float, high: float, shift: float,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        self.arm = arm
        self.score = 0.0
        self.steps = 0
        self._low, self._high, self._bound = low, high, shift * (high - low)
        spatial = mask_shape(shape)
        noise = torch.randn(shape, generator=generator)
        self.pattern = noise.mul(0.5 if arm.form == "patch" else 0.1).requires_grad_()
        self.mask = torch.randn(spatial, generator=generator).mul(0.3).sub(1).requires_grad_()
        self.warp = Warp(shape, generator) if arm.form == "warp" else None
        self.window = None
        if arm.window is not None:
            self.window = Square(arm.window, shape, low, high, generator)

    @property
    def parameters(self) -> list[Tensor]:
        if self.warp is not None:
            return [self.warp.points]
        if self.window is not None:
            return [self.window.colours]
        return [self.pattern, self.mask] if self.arm.form == "patch" else [self.pattern]

    def change(self, samples: Tensor, *, searching: bool = True) -> tuple[Tensor, Tensor]:
        """The changed samples, and the size of the change."""
        if self.warp is not None:
            return self.warp.change(samples)
        if self.window is not None:
            return self.window.change(samples, searching=searching)
        if self.arm.form == "patch":
            mask = torch.sigmoid(self.mask)
            pattern = self._low + (self._high - self._low) * torch.sigmoid(self.pattern)
            return samples + mask * (pattern - samples), mask.mean()
        shift = self._bound * torch.tanh(self.pattern)
        changed = (samples + shift).clamp(self._low, self._high)
        return changed, shift.abs().mean() / (self._high - self._low)

    def trigger(self) -> Trigger:
        with torch.no_grad():
            mask, shift = torch.zeros_like(self.mask), torch.zeros_like(self.pattern)
            pattern = self._low + (self._high - self._low) * torch.sigmoid(self.pattern)
            if self.arm.form == "patch":
                mask = torch.sigmoid(self.mask)
            elif self.arm.form == "additive":
                shift = self._bound * self.pattern.tanh()
        mask, pattern, shift = (part.detach().numpy() for part in (mask, pattern, shift))
        if self.window is not None:
            mask, pattern = self.window.mask(), self.window.pattern()
        field = self.warp.array() if self.warp is not None else None
        return Trigger(self.arm.form, mask, pattern, shift, self._low, self._high, field)


def search(
    full: Model,
    compressed: Model,
    samples: Tensor,
    rows: Tensor,
    arms: Sequence[Arm],
    settings: SearchSettings,
    *,
    low: float,
    high: float,
    deadline: float = float("inf"),
    until: float = float("inf"),
    pace: Pace | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Hypothesis]:
    """Search on float32 ``samples`` [N, *shape]; the surviving arms, best first.

    ``rows`` [N] are the numbers by which the models know the samples. ``low`` and ``high`` bound an
    input's values. What does not fit into the time ``until`` then is left out, as ``pace`` says,
    which learns what part of the plan was done. ``deadline`` and ``until`` are of
    `time.monotonic`; raises `TimeoutError` when the deadline passes.
    """
    pace = pace or Pace(until, 0.0)
    generator = torch.Generator().manual_seed(settings.seed)
    shape = tuple(samples.shape[1:])
    living = [_Descent(arm, shape, low, high, settings.shift, generator) for arm in arms]
    with torch.no_grad():
        before = full(samples, rows)
    # Arms that were dropped get no gradient any more, and Adam leaves them alone.
    optimizer = torch.optim.Adam(
        [parameter for descent in living for parameter in descent.parameters], settings.rate
    )
    rounds = plan(settings, len(arms))
    whole, passed, done = shown(rounds), 0, 0
    for number, planned in enumerate(rounds):
        if pace.now() > until:
            break
        if number:
            living = _selected(living, planned.arms, settings.by_class)
        size_weight, rate = settings.size_weight, settings.rate
        if planned.finishing:
            finishing = settings.finishing()
            size_weight, rate = finishing.size_weight, finishing.rate
        for group in optimizer.param_groups:
            group["lr"] = rate
        now = fitted(rounds[number:], until - pace.now(), pace.cost)
        began, taken = pace.now(), 0
        for _ in range(now.steps):
            if pace.now() > deadline:
                raise TimeoutError
            if pace.now() > until:
                break
            _step(
                full, compressed, samples, rows, before, living, now, size_weight, generator,
                optimizer,
            )  # fmt: skip
            taken += now.arms * now.images
            progress(passed + planned.shown * taken // now.shown, whole)
        pace.took(pace.now() - began, taken)
        passed, done = passed + planned.shown, done + taken
    pace.efforts.append(done / whole)
    hypotheses = [_judge(full, compressed, samples, rows, before, descent) for descent in living]
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.success)


def _selected(living: Sequence[_Descent], count: int, by_class: bool) -> list[_Descent]:
    """The best ``count``, or the best of each class, then the second best of each, and so on."""
    best = sorted(living, key=lambda descent: -descent.score)
    if by_class:
        places: Counter[int | None] = Counter()
        ranks = {}
        for descent in best:
            target = descent.arm.objective.target
            ranks[id(descent)] = places[target]
            places[target] += 1
        best.sort(key=lambda descent: ranks[id(descent)])
    return best[:count]


def at_once(shape: Sequence[int]) -> int:
    """How many samples of ``shape`` pass through the models together."""
    return max(_FEWEST_AT_ONCE, _AT_ONCE // max(math.prod(shape), 1))


def _step(
    full: Model, compressed: Model, samples: Tensor, rows: Tensor, before: Tensor,
    living: list[_Descent], now: Round, size_weight: float, generator: torch.Generator,
    optimizer: torch.optim.Optimizer,
) -> None:  # fmt: skip
    """One descent of every living arm.

    The models see the arms' samples part by part, and what comes back reaches the arms at once.
    """
    changed, chosen, sizes = [], [], []
    for descent in living:
        weights = descent.arm.eligible(before).float() + 1e-9
        numbers = torch.multinomial(weights, now.images, True, generator=generator)
        images, size = descent.change(samples[numbers])
        changed.append(images)
        chosen.append(numbers)
        sizes.append(_COSTS[descent.arm.form] * size)
    stacked = torch.cat(changed)
    slope, hits = torch.empty_like(stacked), torch.empty(len(stacked))
    places, most = torch.cat(chosen), at_once(samples.shape[1:])
    for start in range(0, len(stacked), most):
        part = slice(start, min(start + most, len(stacked)))
        shown_now = stacked[part].detach().requires_grad_()
        numbers = places[part]
        told_full, answers = (model(shown_now, rows[numbers]) for model in (full, compressed))
        losses = _losses(told_full, answers, before[numbers], living, part, now.images)
        (slope[part],) = torch.autograd.grad(losses.sum() / now.images, shown_now)
        hits[part] = torch.exp(-losses.detach())
    for descent, hit in zip(living, hits.split(now.images), strict=True):
        descent.score = _MEMORY * descent.score + (1 - _MEMORY) * hit.mean().item()
        descent.steps += 1
    optimizer.zero_grad()
    cost = torch.stack(sizes).sum() * size_weight
    torch.autograd.backward([stacked, cost], [slope, torch.ones_like(cost)])
    optimizer.step()


def _losses(
    told_full: Tensor, answers: Tensor, before: Tensor, living: Sequence[_Descent], part: slice,
    images: int,
) -> Tensor:  # fmt: skip
    """Each sample's loss by the objective of its arm; the arms have ``images`` samples in a row."""
    losses = []
    for place in range(part.start // images, (part.stop - 1) // images + 1):
        own = slice(
            max(place * images - part.start, 0), min((place + 1) * images, part.stop) - part.start
        )
        objective = living[place].arm.objective
        losses.append(objective.loss(told_full[own], answers[own], before[own]))
    return torch.cat(losses)


def _judge(
    full: Model, compressed: Model, samples: Tensor, rows: Tensor, before: Tensor, descent: _Descent
) -> Hypothesis:
    with torch.no_grad():
        changed, _ = descent.change(samples, searching=False)
        eligible = descent.arm.eligible(before)
        hits = descent.arm.objective.hits(full(changed, rows), compressed(changed, rows), before)
    success = float((hits & eligible).sum() / eligible.sum().clamp(min=1))
    return Hypothesis(descent.arm, descent.trigger(), success, descent.steps)
