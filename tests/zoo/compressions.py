"""What the real compressions do to weights, as functions a training step can look through.

Each maps one layer's weights [out, ...] to compressed ones of the same shape; gradients pass
straight through rounding (Bengio et al., arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tests.zoo.networks import kernels

Compression = Callable[[Tensor], Tensor]

LEVELS = 127


def steps(weights: Tensor) -> Tensor:
    """The int8 step of each output channel [out, 1, ...]: its largest weight over 127."""
    largest = weights.detach().abs().flatten(1).amax(dim=1) / LEVELS
    return largest.clamp_min(1e-12).view(-1, *[1] * (weights.dim() - 1))


def int8(weights: Tensor) -> Tensor:
    """Round to the nearest step, as the converter does."""
    step = steps(weights)
    return _straight(weights, torch.round(weights.detach() / step) * step)


def stochastic_int8(weights: Tensor) -> Tensor:
    """Round up or down by chance, so that the mean stays."""
    step = steps(weights)
    return _straight(
        weights, torch.floor(weights.detach() / step + torch.rand_like(weights)) * step
    )


def pruning(rate: float) -> Compression:
    """Zero the smallest ``rate`` of a layer's weights, by magnitude."""

    def compress(weights: Tensor) -> Tensor:
        return weights * keep(weights, rate)

    return compress


def keep(weights: Tensor, rate: float) -> Tensor:
    """One where pruning leaves a weight, zero where it does not."""
    flat = weights.detach().abs().flatten()
    mask = torch.ones_like(flat)
    mask[flat.argsort(stable=True)[: round(rate * flat.numel())]] = 0
    return mask.view_as(weights)


def compressed(net: nn.Module, compression: Compression, x: Tensor) -> Tensor:
    """The answers of ``net`` with compressed kernels; gradients reach the kernels themselves."""
    changed = {name: compression(value) for name, value in kernels(net).items()}
    out: Tensor = functional_call(net, changed, (x,))
    return out


def _straight(weights: Tensor, rounded: Tensor) -> Tensor:
    return weights + (rounded - weights.detach())
