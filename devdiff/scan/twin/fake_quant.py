"""Rounding to an integer grid with a straight-through gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _RoundToRange(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, steps: Tensor, low: float, high: float) -> Tensor:
        context.save_for_backward(steps)
        context.bounds = (low - 0.5, high + 0.5)
        return torch.round(steps).clamp_(low, high)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (steps,) = context.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, steps, *context.bounds), None, None


def round_to_range(steps: Tensor, low: float, high: float) -> Tensor:
    """``steps`` rounded to the nearest integer (ties to even) and clamped to ``[low, high]``.

    The gradient is the straight-through estimator (Bengio et al., arXiv 1308.3432): rounding counts
    as the identity. Where the value is clamped it is zero, which is the kernel's true slope there:
    an input that drives a tensor further into saturation changes nothing on the device, and a
    search must not believe that it does. What rounds to a bound without being clamped keeps its
    gradient, so that a search can leave the bound again.
    """
    rounded: Tensor = _RoundToRange.apply(steps, low, high)
    return rounded
