"""Honest training: the nets that attacks start from, and the honest ones of every sort."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tests.zoo.compressions import Compression, compressed
from tests.zoo.networks import ARCHITECTURES, fold

if TYPE_CHECKING:
    from tests.zoo.zoo_digits import Digits

BATCH = 64
Augment = Callable[[Tensor], Tensor]


def batches(count: int, epochs: int) -> Iterator[Tensor]:
    """Row numbers [`BATCH`] of ``count`` samples, shuffled anew each epoch."""
    for _ in range(epochs):
        yield from torch.randperm(count).split(BATCH)


def steps(count: int, epochs: int) -> int:
    """How many batches that makes."""
    return epochs * -(-count // BATCH)


def train(
    architecture: str, digits: Digits, epochs: int = 6, augment: Augment | None = None
) -> nn.Sequential:
    """A folded net trained on ``digits`` from torch's current random state."""
    net = ARCHITECTURES[architecture]().to(memory_format=torch.channels_last)
    return fold(_descend(net, net, digits, 4e-3, epochs, augment))


def tune(
    net: nn.Sequential, digits: Digits, compression: Compression | None = None, epochs: int = 3
) -> None:
    """Train a folded net further, seen through a compression if there is one."""
    seen = net if compression is None else partial(compressed, net, compression)
    _descend(net, seen, digits, 1e-3, epochs)


def disturb(images: Tensor) -> Tensor:
    """Images moved by up to two pixels and made noisy."""
    down, right = (int(shift) for shift in torch.randint(-2, 3, (2,)))
    moved = images.roll((down, right), dims=(2, 3))
    return (moved + 0.15 * torch.randn_like(moved)).clamp(0, 1)


def _descend(
    net: nn.Sequential,
    forward: Callable[[Tensor], Tensor],
    digits: Digits,
    rate: float,
    epochs: int,
    augment: Augment | None = None,
) -> nn.Sequential:
    x, y = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps(len(y), epochs)
    )
    for rows in batches(len(y), epochs):
        seen = augment(x[rows]) if augment else x[rows]
        loss = nn.functional.cross_entropy(forward(seen), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net
