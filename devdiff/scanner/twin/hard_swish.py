"""Hard swish on int8, which the builtin kernel computes in 16-bit fixed point.

Its result is off the rounded real one for up to one step in twenty, and MobileNetV3-like nets have
dozens of such layers in a row; a table of all 256 inputs follows the kernel bit by bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.twin.site import Run, Site, builds, is_quantized, scaled

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

_LEAST, _MOST = -32768, 32767


@builds("HARD_SWISH")
def hard_swish(site: Site) -> Run:
    scale, factor, finish = site.scale(0), 1 / site.out_scale(), site.finish()
    if site.input(0).dtype != "int8" or not is_quantized(site.input(0)):
        return lambda value: finish(scaled(functional.hardswish(scaled(value, scale)), factor))
    least = -128 - int(site.zero_point(0))
    steps = np.arange(least, least + 256)
    table = torch.from_numpy(_fixed_point(steps, scale, site.out_scale()))

    def run(value: Tensor) -> Tensor:
        smooth = functional.hardswish(value * scale) * factor
        places = (value.detach() - least).to(torch.int64)
        exact = table[places.clamp(0, 255)]
        # In a wider range than the artifact's there is more than the table holds.
        exact = torch.where((places >= 0) & (places <= 255), exact, smooth)
        # The table's value with the smooth function's slope.
        return finish(smooth + (exact - smooth).detach())

    return run


def _fixed_point(steps: Array, scale: float, out_scale: float) -> Array:
    """Output steps float32 [256] for input steps, as the builtin int8 kernel computes them.

    The value and the gate ``(x + 3) / 6`` are both held in 16 bits, the gate with 3 as full scale.
    """
    fine = np.float32(scale) / np.float32(128)
    value_factor, value_shift = _multiplier(float(fine / np.float32(out_scale)))
    gate_factor, gate_shift = _multiplier(float(fine / (np.float32(3) / np.float32(32768))))
    wide = steps.astype(np.int64) * 128
    value = _rounding_high(wide, value_factor)
    gate = wide
    if gate_shift > 0:
        gate = np.clip(gate << (gate_shift - 1), _LEAST, _MOST)
    gate = _rounding_high(gate, gate_factor)
    if gate_shift > 0:
        gate = np.clip(gate << 1, _LEAST, _MOST)
    elif gate_shift < 0:
        gate = _divide(gate, -gate_shift)
    gate = (gate + 32768) >> 1
    product = np.clip(_toward_zero(gate * value), _LEAST, _MOST)
    return _divide(product, -value_shift).astype(np.float32)


def _multiplier(real: float) -> tuple[int, int]:
    """``real`` as ``multiplier * 2**(shift - 15)`` with a 16-bit multiplier."""
    mantissa, shift = math.frexp(real)
    whole = math.floor(mantissa * 2**31 + 0.5)
    if whole == 2**31:
        whole, shift = whole // 2, shift + 1
    return (min(whole + (1 << 15), 2**31 - 1) >> 16), shift


def _rounding_high(left: Array, right: int) -> Array:
    """The upper half of a doubled 16-bit product, halves away from zero."""
    product = left * right
    nudge = np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.clip(_toward_zero(product + nudge), _LEAST, _MOST)


def _toward_zero(product: Array) -> Array:
    """The upper half of a doubled 16-bit product, the rest cut off."""
    cut: Array = np.sign(product) * (np.abs(product) >> 15)
    return cut


def _divide(value: Array, exponent: int) -> Array:
    """``value / 2**exponent``, halves away from zero."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (value < 0)
    rounded: Array = (value >> exponent) + ((value & mask) > threshold)
    return rounded
