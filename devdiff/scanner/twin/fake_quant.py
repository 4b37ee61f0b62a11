"""Rounding to an integer grid with a straight-through gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _RoundToRange(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, steps: Tensor, low: float, high: float, halves_up: bool) -> Tensor:
        context.save_for_backward(steps)
        context.bounds = (low - 0.5, high + 0.5)
        rounded = torch.floor(steps + 0.5) if halves_up else torch.round(steps)
        return rounded.clamp_(low, high)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (steps,) = context.saved_tensors
        passed = torch.ops.aten.hardtanh_backward(gradient, steps, *context.bounds)
        return passed, None, None, None


def round_to_range(steps: Tensor, low: float, high: float, halves_up: bool = False) -> Tensor:
    """``steps`` rounded to the nearest integer and clamped to ``[low, high]``.

    Halves go to the even neighbour, or all upwards: kernels that requantize in float32 do the
    former, those that add half a step and shift do the latter.

    The gradient is the straight-through estimator (Bengio et al., arXiv 1308.3432): rounding counts
    as the identity. Where the value is clamped it is zero, which is the kernel's true slope there:
    an input that drives a tensor further into saturation changes nothing on the device, and a
    search must not believe that it does. What rounds to a bound without being clamped keeps its
    gradient, so that a search can leave the bound again.
    """
    rounded: Tensor = _RoundToRange.apply(steps, low, high, halves_up)
    return rounded
