"""Segmentation: the intersection over union of each class, over all samples, averaged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.task import Figure, SumScorer, finite


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Scores [1, C, H, W] or [1, H, W, C] (``axis`` is the classes'), of two classes by a
    ``threshold`` where C is one; truths are integers [H, W], ``ignore`` marks pixels that do not
    count.
    """

    spec: TensorSpec
    axis: int
    threshold: float
    ignore: int | None

    @classmethod
    def of(
        cls,
        spec: TensorSpec,
        size: tuple[int, int],
        axis: int | None,
        threshold: float,
        ignore: int | None,
    ) -> Segmentation:
        """``size`` is the input's (height, width): left open, ``axis`` is such that the map has its
        proportions. Raises `UsageError` when the output is no map of class scores."""
        shape = spec.shape
        if len(shape) != 4 or shape[0] != 1 or axis not in (None, 1, 3):
            raise UsageError(
                f"--task segmentation: output {spec.describe()} is no map of scores [1,C,H,W] or "
                "[1,H,W,C] (axis=1 or axis=3)"
            )
        if axis is None:
            first, last = (
                abs(math.log(height / width * size[1] / size[0]))
                for height, width in (shape[2:], shape[1:3])
            )
            axis = 1 if (first, shape[1]) <= (last, shape[3]) else 3
        return cls(spec, axis, threshold, ignore)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.spec.name,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (Figure("mean IoU"), Figure("pixel accuracy"))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the map."""
        shape = [size for axis, size in enumerate(self.spec.shape[1:], 1) if axis != self.axis]
        return shape[0], shape[1]

    @property
    def classes(self) -> int:
        return max(2, self.spec.shape[self.axis])

    def answer(self, outputs: Mapping[str, Array]) -> Array:
        scores = finite(outputs[self.spec.name], self.spec.name)
        scores = np.moveaxis(scores, self.axis, 1)[0]
        if len(scores) == 1:
            chosen: Array = (scores[0] > self.threshold).astype(np.int64)
        else:
            chosen = scores.argmax(axis=0)
        return chosen

    def as_truth(self, answer: Array) -> Array:
        return answer

    def scorer(self) -> SumScorer:
        return SumScorer(self._score, self._figures)

    def _score(self, answer: Array, truth: Array, source: object) -> Array:
        counts = np.ones(truth.shape, np.bool_) if self.ignore is None else truth != self.ignore
        predicted, true = answer[counts], truth[counts]
        if true.size and not 0 <= int(true.min()) <= int(true.max()) < self.classes:
            raise UsageError(
                f"a mask holds classes {true.min()} to {true.max()}, output "
                f"{self.spec.describe()} has the classes 0 to {self.classes - 1}: mark pixels that "
                "do not count with ignore=NUMBER"
            )
        both = np.bincount(true[predicted == true], minlength=self.classes)
        either = np.bincount(predicted, minlength=self.classes)
        either += np.bincount(true, minlength=self.classes) - both
        return np.concatenate([both, either, [both.sum(), true.size]]).astype(np.float64)

    def _figures(self, totals: Array) -> Array:
        both, either = totals[:, : self.classes], totals[:, self.classes : 2 * self.classes]
        present = either > 0
        share = np.where(present, both / np.where(present, either, 1.0), 0.0)
        mean = share.sum(axis=1) / present.sum(axis=1)
        return np.stack([mean, totals[:, -2] / totals[:, -1]], axis=1)
