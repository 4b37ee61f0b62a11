"""Segmentation: the intersection over union of each class, over all samples, averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.errors import ComparisonError, UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks import truth as truths
from devdiff.tasks.frame import Frame
from devdiff.tasks.kind import MadeTask, TaskKind, TaskSetup
from devdiff.tasks.task import Figure, Sums, SumScorer, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

# What fits into the byte that masks are kept in.
USUAL_NUMBERS: Final = 256


def is_class_map(spec: TensorSpec) -> bool:
    """Whether an output holds a class number for each pixel and no scores, as ArgMax gives them."""
    shape = spec.shape
    if spec.numpy_dtype.kind not in "iu" or spec.quantization is not None or shape[:1] != (1,):
        return False
    return len(shape) == 3 or (len(shape) == 4 and 1 in (shape[1], shape[3]))


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Scores [1, C, H, W] or [1, H, W, C] (``axis`` is the classes'), of two classes by a
    ``threshold`` where C is one; or, with ``numbers`` classes, the class numbers themselves, as
    whole numbers [1, H, W], [1, 1, H, W] or [1, H, W, 1]. Truths are integers [H, W], ``ignore``
    marks pixels that do not count.
    """

    spec: TensorSpec
    axis: int
    threshold: float
    ignore: int | None
    numbers: int | None = None

    @classmethod
    def of(
        cls,
        spec: TensorSpec,
        size: tuple[int, int],
        axis: int | None,
        threshold: float,
        ignore: int | None,
        numbers: int = USUAL_NUMBERS,
    ) -> Segmentation:
        """``size`` is the input's (height, width): left open, ``axis`` is such that the map has its
        proportions. ``numbers`` is how many classes a map of class numbers may have. Raises
        `UsageError` when the output is no map of class scores or numbers."""
        shape = spec.shape
        if is_class_map(spec):
            if axis is not None:
                raise UsageError(
                    f"--task segmentation: output {spec.describe()} holds class numbers, so it has "
                    f"no axis of scores: leave axis={axis} out"
                )
            # The axis without classes, wherever it stands, is the batch's in three dimensions.
            return cls(spec, 3 if shape[-1] == 1 and len(shape) == 4 else 1, 0.0, ignore, numbers)
        if len(shape) != 4 or shape[0] != 1 or axis not in (None, 1, 3):
            raise UsageError(
                f"--task segmentation: output {spec.describe()} is no map of scores [1,C,H,W] or "
                "[1,H,W,C] (axis=1 or axis=3), nor one of class numbers, which are integers [1,H,W]"
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
        if self.numbers is not None and len(self.spec.shape) == 3:
            return self.spec.shape[1], self.spec.shape[2]
        shape = [size for axis, size in enumerate(self.spec.shape[1:], 1) if axis != self.axis]
        return shape[0], shape[1]

    @property
    def classes(self) -> int:
        return self.numbers or max(2, self.spec.shape[self.axis])

    def answer(self, outputs: Mapping[str, Array]) -> Array:
        scores = finite(outputs[self.spec.name], self.spec.name)
        if self.numbers is not None:
            found: Array = scores.reshape(self.size).astype(np.int64)
            if found.size and not 0 <= int(found.min()) <= int(found.max()) < self.numbers:
                raise ComparisonError(
                    f"output {self.spec.name} holds class numbers {found.min()} to {found.max()}, "
                    f"and there are {self.numbers}: give as many as there are, classes=NUMBER"
                )
            return found
        scores = np.moveaxis(scores, self.axis, 1)[0]
        if len(scores) == 1:
            chosen: Array = (scores[0] > self.threshold).astype(np.int64)
        else:
            chosen = scores.argmax(axis=0)
        return chosen

    def as_truth(self, answer: Array) -> Array:
        return answer

    def scorer(self) -> SumScorer:
        return _Scorer(self)

    def counts(self, truth: Array) -> Array:
        """Which pixels of a truth count."""
        return np.ones(truth.shape, np.bool_) if self.ignore is None else truth != self.ignore

    def score(self, answer: Array, truth: Array, source: object) -> Array:
        """Pixels of each class in both maps, in either, right ones, and all that count."""
        counts = self.counts(truth)
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

    def figures_of(self, totals: Array) -> Array:
        """Mean intersection over union, and the share of pixels that are right."""
        both, either = totals[:, : self.classes], totals[:, self.classes : 2 * self.classes]
        present = either > 0
        share = np.where(present, both / np.where(present, either, 1.0), 0.0)
        mean = share.sum(axis=1) / present.sum(axis=1)
        return np.stack([mean, totals[:, -2] / totals[:, -1]], axis=1)


class _Scorer(SumScorer):
    """The samples with a pixel of a class that is not the set's most frequent one are the figures'
    support."""

    def __init__(self, task: Segmentation) -> None:
        super().__init__(task.score, task.figures_of)
        self._task = task
        self._pixels = np.zeros(task.classes, np.int64)
        self._present: list[Array] = []

    def add(self, answer: Any, truth: Any, source: Any) -> None:
        super().add(answer, truth, source)
        pixels = np.bincount(truth[self._task.counts(truth)], minlength=self._task.classes)
        self._pixels += pixels
        self._present.append(pixels > 0)

    def scores(self) -> Sums:
        others = np.stack(self._present)
        others[:, self._pixels.argmax()] = False
        return replace(
            super().scores(),
            supported=int(others.any(axis=1).sum()),
            single=lambda columns: self._task.figures_of(columns)[:, 0],
        )


def _make(asked: TaskSetup) -> MadeTask:
    request, samples = asked.request, asked.samples
    spec = asked.output(lambda tensor: len(tensor.shape) == 4 or is_class_map(tensor))
    frame = Frame.of(samples, asked.inputs)
    axis = int(request.number("axis", 0)) or None
    ignore = int(request.number("ignore", -1)) if "ignore" in request.options else None
    threshold = request.number("threshold", 0.5)
    numbers = int(request.number("classes", USUAL_NUMBERS))
    if "classes" in request.options and not (is_class_map(spec) and numbers > 1):
        raise UsageError(
            f"--task segmentation: classes={numbers} is for outputs that hold class numbers, and "
            f"must be 2 or more; {spec.describe()} is read"
        )
    task = Segmentation.of(spec, frame.size, axis, threshold, ignore, numbers)
    if request.truth is None:
        return MadeTask(task)
    masks = truths.Masks(request.truth, samples, asked.rows)
    # What lies outside the image is not the model's to answer.
    outside = -1 if ignore is None else ignore
    made = Segmentation.of(spec, frame.size, axis, threshold, outside, numbers)

    def truth(index: int) -> Any:
        row = int(samples.tested[index])
        return frame.mask(row, masks.of(row), outside, task.size)

    return MadeTask(made, truth)


KIND: Final = TaskKind(
    "segmentation",
    options=("output", "axis", "ignore", "threshold", "classes"),
    make=_make,
)
