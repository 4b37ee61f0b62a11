"""Detections as outputs hold them: boxes, scores and classes, or the raw head of a YOLO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.task import finite

FORMATS: Final = ("xyxy", "xywh", "cxcywh", "yxyx")
_YOLO: Final = ("yolo", "yolo-objectness")


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes float64 [n, 4] as x0, y0, x1, y1 in pixels of the input; the highest score first."""

    boxes: Array
    scores: Array
    classes: Array

    def best(self, count: int) -> Detections:
        return self.take(np.arange(min(count, len(self.scores))))

    def take(self, rows: Array) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])


@dataclass(frozen=True, slots=True)
class BoxReader:
    """How outputs are read; ``size`` is the input's (height, width)."""

    boxes: str
    scores: str | None
    classes: str | None
    form: str
    normalized: bool
    min_score: float
    nms: float | None
    most: int
    size: tuple[int, int]

    @classmethod
    def of(
        cls, request: TaskRequest, specs: Sequence[TensorSpec], size: tuple[int, int]
    ) -> BoxReader:
        """The reader that options describe. Raises `UsageError` naming the one that is missing."""
        names, given = {spec.name: spec for spec in specs}, request.options
        for key in ("boxes", "scores", "classes", "head"):
            if key in given and given[key] not in names:
                raise UsageError(
                    f"--task detection: {key}={given[key]}: there is no such output; there are "
                    f"{', '.join(names)}"
                )
        form = request.choice("format", *FORMATS, *_YOLO)
        yolo = form in _YOLO
        if yolo and "head" not in given and len(names) > 1:
            raise UsageError(
                f"--task detection: name the output with the head, head=NAME; there are "
                f"{', '.join(names)}"
            )
        if not yolo and not {"boxes", "scores"} <= set(given):
            raise UsageError(
                "--task detection: say which outputs hold what, boxes=NAME,scores=NAME (and "
                "classes=NAME), or format=yolo for a raw head; there are "
                f"{', '.join(spec.describe() for spec in specs)}"
            )
        boxes = given.get("head", next(iter(names))) if yolo else given["boxes"]
        if yolo and (len(names[boxes].shape) != 3 or names[boxes].shape[0] != 1):
            raise UsageError(
                f"--task detection: output {names[boxes].describe()} is no YOLO head "
                "[1,4+classes,places]"
            )
        nms = request.number("nms", 0.7) if yolo or "nms" in given else None
        return cls(
            boxes=boxes,
            scores=None if yolo else given["scores"],
            classes=None if yolo else given.get("classes"),
            form=form,
            normalized=request.choice("coords", "pixels", "normalized") == "normalized",
            min_score=request.number("min_score", 0.001 if yolo else 0.0),
            nms=nms,
            most=int(request.number("max", 300)),
            size=size,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.boxes, self.scores, self.classes)))

    def read(self, outputs: Mapping[str, Array]) -> Detections:
        """One sample's detections. Raises `ComparisonError` for NaN."""
        values = {name: finite(outputs[name].astype(np.float64), name) for name in self.outputs}
        boxes, table, classes = self._parts(values)
        if classes is None:
            # A place whose second class is likely too counts for both, as in COCO's evaluation.
            rows, classes = np.nonzero(table >= self.min_score)
            scores = table[rows, classes]
            boxes = boxes[rows]
        else:
            kept = table[:, 0] >= self.min_score
            boxes, scores, classes = boxes[kept], table[kept, 0], classes[kept]
        order = np.argsort(-scores, kind="stable")
        found = Detections(self._corners(boxes)[order], scores[order], classes[order])
        if self.nms is not None:
            found = suppress(found, self.nms, self.most)
        return found.best(self.most)

    def _parts(self, values: Mapping[str, Array]) -> tuple[Array, Array, Array | None]:
        """Boxes [n, 4], scores [n, 1 or classes], and class numbers [n] if an output has them."""
        if self.form in _YOLO:
            head = values[self.boxes][0]
            # There are more places than numbers a place.
            head = head.T if head.shape[0] < head.shape[1] else head
            if self.form == "yolo":
                return head[:, :4], head[:, 4:], None
            return head[:, :4], head[:, 4:5] * head[:, 5:], None
        assert self.scores is not None
        boxes = values[self.boxes].reshape(-1, 4)
        table = values[self.scores].reshape(len(boxes), -1)
        if self.classes is None:
            return boxes, table, None
        return boxes, table[:, :1], np.rint(values[self.classes].ravel()).astype(np.int64)

    def _corners(self, boxes: Array) -> Array:
        first, second = boxes[:, :2], boxes[:, 2:]
        if self.form == "xywh":
            second = first + second
        elif self.form in ("cxcywh", *_YOLO):
            first, second = first - second / 2, first + second / 2
        elif self.form == "yxyx":
            first, second = first[:, ::-1], second[:, ::-1]
        corners: Array = np.concatenate([first, second], axis=1)
        if self.normalized:
            height, width = self.size
            corners *= np.array([width, height, width, height])
        return corners


def suppress(found: Detections, overlap: float, most: int) -> Detections:
    """Non-maximum suppression within each class: of two boxes whose intersection over union is
    above ``overlap`` the one with the lower score goes.

    Written out because OpenCV, which has it, needs a graphics library on the machine for it.
    """
    boxes = found.boxes
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    left = np.arange(len(boxes))
    kept: list[int] = []
    while left.size and len(kept) < most:
        first, rest = left[0], left[1:]
        kept.append(int(first))
        corner = np.minimum(boxes[rest, 2:], boxes[first, 2:])
        sides = np.maximum(corner - np.maximum(boxes[rest, :2], boxes[first, :2]), 0)
        shared = sides[:, 0] * sides[:, 1]
        union = areas[first] + areas[rest] - shared
        same = found.classes[rest] == found.classes[first]
        left = rest[~(same & (shared > overlap * union))]
    return found.take(np.array(kept, np.int64))
