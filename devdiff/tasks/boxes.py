"""Detections as outputs hold them: boxes, scores and classes, the raw head of a YOLO, or finished
detections whose columns have names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import ComparisonError, UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.task import finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.tasks.request import TaskRequest

FORMATS: Final = ("xyxy", "xywh", "cxcywh", "yxyx")
_YOLO: Final = ("yolo", "yolo-objectness")
# Columns of a box by what they mean, and the format they make together.
_CORNERS: Final[Mapping[tuple[str, ...], str]] = {
    ("x1", "y1", "x2", "y2"): "xyxy",
    ("x1", "y1", "w", "h"): "xywh",
    ("cx", "cy", "w", "h"): "cxcywh",
}
# What end-to-end detectors give, among them Ultralytics' models since YOLOv10.
USUAL_COLUMNS: Final = "x1:y1:x2:y2:score:class"
_OTHER: Final = "_"
_MOST_SCORE: Final = 1.5


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
    """How outputs are read; ``size`` is the input's (height, width). With ``columns``, output
    ``boxes`` holds a detection a row, and ``box_columns`` are the box's in the order of ``form``.
    """

    boxes: str
    scores: str | None
    classes: str | None
    form: str
    normalized: bool
    min_score: float
    nms: float | None
    most: int
    size: tuple[int, int]
    columns: tuple[str, ...] = ()
    box_columns: tuple[int, ...] = ()

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
        if "columns" in given or _end_to_end(request, specs):
            return cls._of_columns(request, names, size)
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
                "classes=NAME), format=yolo for a raw head, or "
                f"columns={USUAL_COLUMNS} for a detection a row; there are "
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

    @classmethod
    def _of_columns(
        cls, request: TaskRequest, names: Mapping[str, TensorSpec], size: tuple[int, int]
    ) -> BoxReader:
        """A reader of detections that are a row each."""
        given = request.options
        wrong = [key for key in ("boxes", "scores", "classes", "format") if key in given]
        if wrong:
            raise UsageError(
                f"--task detection: {wrong[0]}= does not go with columns=, which says where boxes, "
                "scores and classes are"
            )
        if "head" not in given and len(names) > 1:
            raise UsageError(
                "--task detection: name the output that columns= speaks of, head=NAME; there are "
                f"{', '.join(names)}"
            )
        spec = names[given.get("head", next(iter(names)))]
        columns = tuple(given.get("columns", USUAL_COLUMNS).split(":"))
        form = next((form for box, form in _CORNERS.items() if set(box) <= set(columns)), None)
        known = {name for box in _CORNERS for name in box} | {"score", "class"}
        named = [column for column in columns if column != _OTHER]
        if form is None or "score" not in named or len(set(named)) < len(named):
            raise UsageError(
                f"--task detection: columns={':'.join(columns)} must name x1:y1:x2:y2, x1:y1:w:h "
                f"or cx:cy:w:h, score and, if there is one, class, each once, and {_OTHER} for "
                "others"
            )
        box = next(box for box, made in _CORNERS.items() if made == form)
        if not set(named) <= {*box, "score", "class"}:
            odd = next(name for name in named if name not in {*box, "score", "class"})
            fault = "goes not with the others" if odd in known else "is no column"
            raise UsageError(
                f"--task detection: columns=: {odd!r} {fault}; {_OTHER} stands for columns that do "
                "not matter"
            )
        if len(columns) not in spec.shape[-2:] or spec.elements != math.prod(spec.shape[-2:]):
            raise UsageError(
                f"--task detection: columns= names {len(columns)} columns, output "
                f"{spec.describe()} has no axis of so many"
            )
        return cls(
            boxes=spec.name,
            scores=None,
            classes=None,
            form=form,
            normalized=request.choice("coords", "pixels", "normalized") == "normalized",
            min_score=request.number("min_score", 0.001),
            nms=request.number("nms", 0.7) if "nms" in given else None,
            most=int(request.number("max", 300)),
            size=size,
            columns=columns,
            box_columns=tuple(columns.index(name) for name in box),
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
        if self.columns:
            return self._rows(values[self.boxes])
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

    def _rows(self, head: Array) -> tuple[Array, Array, Array]:
        """The same of detections that are a row each."""
        rows = head.reshape(head.shape[-2:])
        rows = rows if rows.shape[1] == len(self.columns) else rows.T
        scores = rows[:, self.columns.index("score")]
        classes = np.zeros(len(rows))
        if "class" in self.columns:
            classes = np.rint(rows[:, self.columns.index("class")])
        # With some room for scores that share an int8 scale with pixels.
        likely = scores.size == 0 or (scores.max() <= _MOST_SCORE and scores.min() >= -_MOST_SCORE)
        if not likely or (classes[scores >= self.min_score] < 0).any():
            raise ComparisonError(
                f"output {self.boxes} does not hold columns {':'.join(self.columns)}: scores are "
                f"{scores.min():.3g} to {scores.max():.3g}, classes {classes.min():.0f} to "
                f"{classes.max():.0f}; name its columns as they are, columns={USUAL_COLUMNS}"
            )
        return rows[:, self.box_columns], scores[:, None], classes.astype(np.int64)

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


def _end_to_end(request: TaskRequest, specs: Sequence[TensorSpec]) -> bool:
    """Whether nothing is said of a single output that has the six columns of `USUAL_COLUMNS`."""
    layout = {"boxes", "scores", "classes", "format"} & set(request.options)
    return not layout and len(specs) == 1 and len(specs[0].shape) == 3 and specs[0].shape[2] == 6


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
