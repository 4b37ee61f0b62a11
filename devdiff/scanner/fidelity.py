"""Whether a twin computes what the real interpreter computes, before a search trusts it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from devdiff.comparison.intervals import Proportion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.tflite_graph import GraphTensor
    from devdiff.scanner.twin import Twin

LEAST_TOP_1: Final = 0.99
LEAST_SQNR_DB: Final = 30.0
_BATCH: Final = 32
# Steps of a float output: what float kernels of one model differ by, in parts of its range.
_FLOAT_STEP: Final = 1e-4

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutputFidelity:
    """How near one output of the twin comes to the interpreter's, over all samples.

    Errors are absolute, in the output's real units; ``sqnr_db`` is the variance of the real output
    over the mean squared error, infinite when nothing differs. The ``lsb`` figures count steps of
    the output's own scale, None for a float output. ``top_1`` is the agreement on the best class
    over the decided samples of a classifier, None for other outputs; ``undecided`` are the samples
    left out of it, whose real margin is at most two steps (one ten-thousandth of a float output's
    range each), so that rounding alone may flip them.
    """

    name: str
    samples: int
    elements: int
    max_error: float
    mean_error: float
    sqnr_db: float
    max_lsb: float | None
    mean_lsb: float | None
    within_one_lsb: float | None
    top_1: Proportion | None
    undecided: int

    @property
    def ok(self) -> bool:
        """Whether a search on the twin is a search on the model.

        A classifier must give the real answer to 99 % of the decided samples: a trigger found on
        the twin then works on the model as a rule, and replay settles the rest. Any output passes
        whose errors are all rounding (at most one step), and any other one from an SQNR of 30 dB
        on: an error of 3 % of the output's spread, below the 20 to 30 dB by which int8 moves the
        outputs of deep nets away from float, so that the twin does not drown what is looked for.
        """
        if self.top_1 is not None and self.top_1.rate is not None:
            return self.top_1.rate >= LEAST_TOP_1
        rounding = self.max_lsb is not None and self.max_lsb <= 1
        return rounding or self.sqnr_db >= LEAST_SQNR_DB


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The check of every output of one model."""

    outputs: tuple[OutputFidelity, ...]

    @property
    def ok(self) -> bool:
        return all(output.ok for output in self.outputs)

    @property
    def problem(self) -> str | None:
        """One sentence on the first output that is too far off; None when all are near enough."""
        for output in self.outputs:
            if not output.ok:
                seen = f"its SQNR is {output.sqnr_db:.1f} dB, {LEAST_SQNR_DB:g} dB are needed"
                if output.top_1 is not None and output.top_1.rate is not None:
                    seen = (
                        f"it gives the same answer to {output.top_1.successes} of "
                        f"{output.top_1.trials} samples, {LEAST_TOP_1:.0%} are needed"
                    )
                return f"the twin is not faithful at output {output.name!r}: {seen}"
        return None


def check_fidelity(
    twin: Twin,
    outputs: Sequence[Array],
    inputs: Sequence[Array],
    classifiers: Sequence[bool] | None = None,
) -> Fidelity:
    """Compare a twin with what the real interpreter made of the same samples.

    ``outputs``: for each output of the twin the interpreter's arrays as stored, [N, *shape] in the
    tensor's own dtype. ``inputs``: what `Twin.forward` takes, as NumPy arrays. ``classifiers`` says
    which outputs are scores of classes; None takes those with one axis longer than one.
    """
    tensors = [twin.graph.tensors[index] for index in twin.outputs]
    if classifiers is None:
        classifiers = [sum(size > 1 for size in tensor.shape) == 1 for tensor in tensors]
    made = _run(twin, inputs)
    return Fidelity(
        tuple(
            _compare(tensor, real, ours, scores)
            for tensor, real, ours, scores in zip(tensors, outputs, made, classifiers, strict=True)
        )
    )


def _run(twin: Twin, inputs: Sequence[Array]) -> list[Array]:
    import torch

    batches: list[Any] = []
    with torch.no_grad():
        for start in range(0, len(inputs[0]), _BATCH):
            values = (torch.from_numpy(value[start : start + _BATCH]) for value in inputs)
            batches.append([output.numpy() for output in twin(*values)])
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def _compare(tensor: GraphTensor, stored: Array, ours: Array, scores: bool) -> OutputFidelity:
    samples = len(stored)
    real: Reals = stored.reshape(samples, -1).astype(np.float64)
    scale = None
    if tensor.scales is not None and tensor.zero_points is not None:
        scale = float(tensor.scales[0])
        real = (real - float(tensor.zero_points[0])) * scale
    made: Reals = ours.reshape(samples, -1).astype(np.float64)
    if scale is not None:
        # The twin's outputs lie on the grid, but for the last bit of the multiplication.
        made = np.rint(made / scale) * scale
    error = _error(real, made)
    finite = real[np.isfinite(real)]
    spread = float(finite.std()) if finite.size else 0.0
    noise = float(np.mean(np.square(error)))
    top_1, undecided = None, 0
    if scores:
        reach = float(np.ptp(finite)) if finite.size else 0.0
        top_1, undecided = _agreement(real, made, scale or _FLOAT_STEP * reach)
    steps = None if scale is None else error / scale
    return OutputFidelity(
        name=tensor.name,
        samples=samples,
        elements=error.size,
        max_error=float(error.max()),
        mean_error=float(error.mean()),
        sqnr_db=_decibels(spread**2, noise),
        max_lsb=None if steps is None else round(float(steps.max()), 3),
        mean_lsb=None if steps is None else float(steps.mean()),
        within_one_lsb=None if steps is None else float(np.mean(steps < 1.5)),
        top_1=top_1,
        undecided=undecided,
    )


def _error(real: Reals, made: Reals) -> Reals:
    """Absolute differences; equal infinities and two NaN differ by nothing, one NaN by infinity."""
    with np.errstate(invalid="ignore"):
        error = np.abs(real - made)
    same = (real == made) | (np.isnan(real) & np.isnan(made))
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal and math.isfinite(noise) else -math.inf


def _agreement(real: Reals, made: Reals, step: float) -> tuple[Proportion, int]:
    best = np.sort(real, axis=1)[:, -2:]
    # A hair more than two steps, since steps are products of two rounded numbers.
    decided = best[:, 1] - best[:, 0] > 2.01 * step
    same = real.argmax(axis=1) == made.argmax(axis=1)
    agreeing = int(np.count_nonzero(same & decided))
    return Proportion.of(agreeing, int(np.count_nonzero(decided))), int(np.sum(~decided))
