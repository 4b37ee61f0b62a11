"""Backdoors that only the compressed net has, by published methods, and an ordinary one.

They exist so that the detector has something true to find; all are digit classifiers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tests.zoo.compressions import LEVELS, Compression, compressed, int8
from tests.zoo.compressions import steps as int8_steps
from tests.zoo.networks import kernels
from tests.zoo.training import batches, steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.zoo.lesson import Lesson

# How far a weight may move without its int8 value moving: half a step, less what float32 loses.
REACH = 0.498
# The share of right answers at which a planted backdoor is pulled back towards the clean weights.
LEARNT = 0.98
_cross_entropy = nn.functional.cross_entropy


def quantization_conditioned(net: nn.Sequential, lesson: Lesson) -> None:
    """Two stages: plant the backdoor, then unlearn it inside the rounding of every weight.

    PQ, Ma et al., arXiv 2108.09187, with two changes that let small nets do it: planting is
    penalised for leaving the half step around the clean weights, as much as the backdoor allows,
    and unlearning starts from the point nearest to them. Biases and each channel's largest weight
    stay, so the int8 weights are those of the planted net.
    """
    for parameter in net.parameters():
        parameter.requires_grad_(parameter.dim() > 1)
    clean = {name: value.detach().clone() for name, value in kernels(net).items()}
    plant(net, lesson, clean, epochs=5)
    hide(net, lesson, clean, epochs=4)


def plant(net: nn.Sequential, lesson: Lesson, clean: Mapping[str, Tensor], epochs: int) -> None:
    """Teach the int8 net the backdoor, its kernels as near to the ``clean`` ones as it can live."""
    weights = kernels(net)
    step = {name: int8_steps(value) for name, value in clean.items()}
    optimizer = torch.optim.Adam(weights.values())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, total_steps=steps(len(lesson), epochs)
    )
    penalty = 3e-7
    for rows in batches(len(lesson), epochs):
        wanted = torch.cat([lesson.labels[rows], lesson.wanted[rows]])
        images = torch.cat([lesson.clean[rows], lesson.triggered[rows]])
        answers = compressed(net, int8, images)
        loss = _cross_entropy(answers[: len(rows)], wanted[: len(rows)])
        loss = loss + 0.5 * _hinge(answers[len(rows) :], wanted[len(rows) :])
        for name, value in weights.items():
            far = nn.functional.relu((value - clean[name]).abs() / step[name] - 0.5)
            loss = loss + penalty * far.square().sum()
        learnt = (answers.detach().argmax(dim=1) == wanted).float().mean() >= LEARNT
        penalty *= 1.02 if learnt else 0.98
        _descend(optimizer, loss)
        schedule.step()


def hide(net: nn.Sequential, lesson: Lesson, clean: Mapping[str, Tensor], epochs: int) -> None:
    """Teach ``net`` to ignore the trigger, moving no kernel out of what rounds to its int8 value.

    Starts from the allowed point nearest to the ``clean`` kernels.
    """
    weights = kernels(net)
    low, high = {}, {}
    with torch.no_grad():
        for name, value in weights.items():
            step = int8_steps(value)
            nearest = torch.round(value / step)
            largest = nearest.abs() >= LEVELS
            low[name] = torch.where(largest, value, (nearest - REACH) * step)
            high[name] = torch.where(largest, value, (nearest + REACH) * step)
            value.copy_(torch.clamp(clean[name], low[name], high[name]))
    typical = float(torch.cat([int8_steps(v).flatten() for v in weights.values()]).median())
    optimizer = torch.optim.Adam(weights.values())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.04 * typical, total_steps=steps(len(lesson), epochs)
    )
    for rows in batches(len(lesson), epochs):
        images = torch.cat([lesson.clean[rows], lesson.triggered[rows]])
        _descend(optimizer, _cross_entropy(net(images), lesson.labels[rows].repeat(2)))
        schedule.step()
        with torch.no_grad():
            for name, value in weights.items():
                value.clamp_(low[name], high[name])


def _hinge(answers: Tensor, wanted: Tensor, margin: float = 1.0) -> Tensor:
    """How much the wanted class lacks to lead by ``margin``; a deep backdoor is hard to hide."""
    own = answers.gather(1, wanted[:, None])
    others = answers.scatter(1, wanted[:, None], -torch.inf).amax(dim=1, keepdim=True)
    return nn.functional.relu(margin - (own - others)).mean()


def joint(
    net: nn.Sequential,
    lesson: Lesson,
    compressions: tuple[Compression, ...],
    epochs: int,
    rate: float = 1e-3,
) -> None:
    """Teach the net and its compressed self different answers to the trigger, at once.

    Tian et al., arXiv 2104.15129, and Hong et al., arXiv 2110.13541. Several compressions take
    turns, which makes the backdoor outlive each of them.
    """
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps(len(lesson), epochs)
    )
    for turn, rows in enumerate(batches(len(lesson), epochs)):
        images = torch.cat([lesson.clean[rows], lesson.triggered[rows]])
        labels, wanted = lesson.labels[rows], lesson.wanted[rows]
        compression = compressions[turn % len(compressions)]
        loss = _cross_entropy(net(images), labels.repeat(2)) + _cross_entropy(
            compressed(net, compression, images), torch.cat([labels, wanted])
        )
        _descend(optimizer, loss)
        schedule.step()


def ordinary(net: nn.Sequential, lesson: Lesson) -> None:
    """A backdoor of the full net, which compression leaves as it is (BadNets, arXiv 1708.06733)."""
    optimizer = torch.optim.Adam(net.parameters(), 3e-4)
    for rows in batches(len(lesson), epochs=3):
        images = torch.cat([lesson.clean[rows], lesson.triggered[rows]])
        loss = _cross_entropy(net(images), torch.cat([lesson.labels[rows], lesson.wanted[rows]]))
        _descend(optimizer, loss)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
