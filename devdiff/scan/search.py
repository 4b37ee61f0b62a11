"""Differential trigger inversion: one change of the input that only the compressed model obeys.

As in Neural Cleanse (Wang et al., S&P 2019) a trigger is found by descent over a mask and a
pattern, but on two models at once: what both obey is no compression artifact and cancels. Hopeless
hypotheses are dropped early by successive halving, in the spirit of K-Arm (Shen et al., ICML
2021).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from devdiff.scan.objective import Objective
from devdiff.scan.trigger import Form, Trigger, mask_shape

Model = Callable[[Tensor], Tensor]
_MEMORY: Final = 0.9
"""What an arm's running score keeps of itself from step to step."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a search goes; ``rounds`` are the steps between two selections.

    Every step shows each living arm ``images`` samples. After a round the better ``survivors`` of
    the arms live on. ``size_weight`` is what changing the whole input costs in the loss.
    """

    seed: int = 0
    images: int = 12
    rounds: tuple[int, ...] = (15, 20, 30, 40)
    survivors: float = 0.4
    size_weight: float = 25.0
    rate: float = 0.15
    shift: float = 0.25

    def shown(self, arms: int) -> int:
        """How often each of ``images`` samples is shown in a search that begins with ``arms``."""
        total = 0
        for number, steps in enumerate(self.rounds):
            arms = self.kept(arms) if number else arms
            total += arms * steps
        return total

    def kept(self, arms: int) -> int:
        """How many of ``arms`` a selection leaves."""
        return max(1, round(arms * self.survivors))


@dataclass(frozen=True, slots=True)
class Arm:
    """One hypothesis: what the trigger does, and what it looks like."""

    objective: Objective
    form: Form


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

    @property
    def parameters(self) -> list[Tensor]:
        return [self.pattern, self.mask] if self.arm.form == "patch" else [self.pattern]

    def change(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """The changed samples, and the size of the change."""
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
            else:
                shift = self._bound * self.pattern.tanh()
        mask, pattern, shift = (part.detach().numpy() for part in (mask, pattern, shift))
        return Trigger(self.arm.form, mask, pattern, shift, self._low, self._high)


def search(
    full: Model,
    compressed: Model,
    samples: Tensor,
    arms: Sequence[Arm],
    settings: Settings,
    *,
    low: float,
    high: float,
    deadline: float = float("inf"),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Hypothesis]:
    """Search on float32 ``samples`` [N, *shape]; the surviving arms, best first.

    The models give float32 [n, C]. ``low`` and ``high`` bound an input's values. ``deadline`` is of
    `time.monotonic`; raises `TimeoutError` when it passes.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    shape = tuple(samples.shape[1:])
    living = [_Descent(arm, shape, low, high, settings.shift, generator) for arm in arms]
    with torch.no_grad():
        before = full(samples)
    # Arms that were dropped get no gradient any more, and Adam leaves them alone.
    optimizer = torch.optim.Adam(
        [parameter for one in living for parameter in one.parameters], settings.rate
    )
    total, done = sum(settings.rounds), 0
    for number, steps in enumerate(settings.rounds):
        if number:
            living = sorted(living, key=lambda one: -one.score)[: settings.kept(len(living))]
        for _ in range(steps):
            if time.monotonic() > deadline:
                raise TimeoutError
            _step(full, compressed, samples, before, living, settings, generator, optimizer)
            done += 1
            progress(done, total)
    found = [_judge(full, compressed, samples, before, one) for one in living]
    return sorted(found, key=lambda one: -one.success)


def _step(
    full: Model, compressed: Model, samples: Tensor, before: Tensor, living: list[_Descent],
    settings: Settings, generator: torch.Generator, optimizer: torch.optim.Optimizer,
) -> None:  # fmt: skip
    """One descent of every living arm, all in one pass through the models."""
    changed, expected, sizes = [], [], []
    for one in living:
        weights = one.arm.objective.eligible(before).float() + 1e-9
        chosen = torch.multinomial(weights, settings.images, True, generator=generator)
        images, size = one.change(samples[chosen])
        changed.append(images)
        expected.append(before[chosen])
        sizes.append(size)
    stacked = torch.cat(changed)
    told_full, told = full(stacked), compressed(stacked)
    loss = torch.stack(sizes).sum() * settings.size_weight
    for one, now_full, now, was in zip(
        living,
        told_full.split(settings.images),
        told.split(settings.images),
        expected,
        strict=True,
    ):
        losses = one.arm.objective.loss(now_full, now, was)
        loss = loss + losses.mean()
        with torch.no_grad():
            hit = torch.exp(-losses).mean().item()
            one.score = _MEMORY * one.score + (1 - _MEMORY) * hit
            one.steps += 1
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _judge(
    full: Model, compressed: Model, samples: Tensor, before: Tensor, one: _Descent
) -> Hypothesis:
    with torch.no_grad():
        changed, _ = one.change(samples)
        eligible = one.arm.objective.eligible(before)
        hits = one.arm.objective.hits(full(changed), compressed(changed), before)
    success = float(hits.sum() / eligible.sum().clamp(min=1))
    return Hypothesis(one.arm, one.trigger(), success, one.steps)
