"""Detection: COCO's mean average precision, matched by pycocotools, for any weights of images.

pycocotools matches detections with objects image by image; that is kept. Its accumulation is done
here once more, for a thousand resamples at a time (`Matches.values`), since resampling through it
would take minutes; with all weights one the two agree to the last digit, which the tests hold.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from devdiff.errors import UnmeasurableError
from devdiff.exporter.artifact import Array
from devdiff.options import OWN_BOXES_MAX_DROP
from devdiff.tasks.boxes import BoxReader, Detections
from devdiff.tasks.frame import Frame
from devdiff.tasks.kind import MadeTask, TaskKind, TaskSetup
from devdiff.tasks.task import Figure

IOUS: Final = np.linspace(0.5, 0.95, 10)
RECALLS: Final = np.linspace(0, 1, 101)
_DETECTIONS: Final = 100  # an image and class, as COCO counts them
_IMAGES: Final = 64
_CELLS: Final = 4_000_000
# An answer that is taken for the truth holds what one would draw, not every faint guess.
TRUTH_SCORE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Objects:
    """What is on an image: boxes float64 [n, 4] as corners in pixels of the input, class numbers;
    ``crowd`` marks boxes around many, which match nothing and blame nobody."""

    boxes: Array
    classes: Array
    crowd: Array


@dataclass(frozen=True, slots=True)
class Detection:
    """Boxes as ``reader`` reads them. An answer taken for the truth holds those with a score of
    ``truth_score`` or more, as many of a class as a rung is asked for."""

    reader: BoxReader
    truth_score: float = TRUTH_SCORE

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.reader.outputs

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (Figure("mAP"), Figure("AP50"))

    def answer(self, outputs: Mapping[str, Array]) -> Detections:
        return self.reader.read(outputs)

    def as_truth(self, answer: Detections) -> Objects:
        drawn = answer.take(np.flatnonzero(answer.scores >= self.truth_score))
        places = np.arange(len(drawn.scores))
        for number in np.unique(drawn.classes):
            more = np.flatnonzero(drawn.classes == number)[_DETECTIONS:]
            places = np.setdiff1d(places, more)
        drawn = drawn.take(places)
        return Objects(drawn.boxes, drawn.classes, np.zeros(len(drawn.boxes), np.bool_))

    def scorer(self) -> Matcher:
        return Matcher(self.truth_score)


class Matcher:
    """Matches answers with objects, a few images at a time, and keeps what came of it."""

    def __init__(self, drawn_score: float = TRUTH_SCORE) -> None:
        self._drawn_score = drawn_score
        self._waiting: list[tuple[Detections, Objects]] = []
        self._images = 0
        self._found: dict[int, list[tuple[int, Array, Array, Array]]] = {}
        self._objects: dict[int, list[tuple[int, int]]] = {}

    def add(self, answer: Detections, truth: Objects, source: object) -> None:
        self._waiting.append((answer, truth))
        if len(self._waiting) == _IMAGES:
            self._match()

    def scores(self) -> Matches:
        if self._waiting:
            self._match()
        if not any(count for found in self._objects.values() for _, count in found):
            raise UnmeasurableError(
                "there is no object on any image, so that no precision can be told: give samples "
                "with objects"
            )
        classes = {}
        for number in sorted(self._objects):
            parts = self._found.get(number, [])
            image = np.concatenate([np.full(len(p[1]), p[0]) for p in parts] or [np.zeros(0, int)])
            scores = np.concatenate([p[1] for p in parts] or [np.zeros(0)])
            matched = np.concatenate([p[2] for p in parts] or [np.zeros((len(IOUS), 0), bool)], 1)
            ignored = np.concatenate([p[3] for p in parts] or [np.zeros((len(IOUS), 0), bool)], 1)
            order = np.argsort(-scores, kind="mergesort")
            objects = np.zeros(self._images)
            for place, count in self._objects[number]:
                objects[place] = count
            classes[number] = ClassMatches(
                image[order], scores[order], matched[:, order], ignored[:, order], objects
            )
        return Matches(self._images, classes, self._drawn_score)

    def _match(self) -> None:
        first, batch = self._images, self._waiting
        self._images, self._waiting = first + len(batch), []
        for result in _evaluated(batch):
            number, place = result["category_id"], first + result["image_id"] - 1
            ignored = np.asarray(result["dtIgnore"], np.bool_)
            matched = np.asarray(result["dtMatches"]) > 0
            scores = np.asarray(result["dtScores"], np.float64)
            objects = int(np.count_nonzero(np.asarray(result["gtIgnore"]) == 0))
            if objects:
                self._objects.setdefault(number, []).append((place, objects))
            if len(scores):
                self._found.setdefault(number, []).append((place, scores, matched, ignored))


def _evaluated(batch: list[tuple[Detections, Objects]]) -> list[Any]:
    """What pycocotools says of each image and class."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    true: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image, (answer, truth) in enumerate(batch, 1):
        for box, number, crowd in zip(truth.boxes, truth.classes, truth.crowd, strict=True):
            true.append(_annotation(len(true) + 1, image, box, number) | {"iscrowd": int(crowd)})
        for box, number, score in zip(answer.boxes, answer.classes, answer.scores, strict=True):
            detections.append(
                _annotation(len(detections) + 1, image, box, number) | {"score": float(score)}
            )
    images = [{"id": image} for image in range(1, len(batch) + 1)]
    numbers = sorted({a["category_id"] for a in (*true, *detections)})
    sides: list[Any] = []
    # It tells of its progress on standard output, which is the report's.
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (true, detections):
            side: Any = COCO()
            side.dataset = {
                "images": images,
                "annotations": annotations,
                "categories": [{"id": number} for number in numbers],
            }
            side.createIndex()
            sides.append(side)
        evaluation: Any = COCOeval(sides[0], sides[1], "bbox")
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [_DETECTIONS]
        evaluation.params.iouThrs = IOUS
        evaluation.evaluate()
    return [result for result in evaluation.evalImgs if result is not None]


def _annotation(number: int, image: int, box: Array, category: Any) -> dict[str, Any]:
    x, y, right, bottom = (float(value) for value in box)
    width, height = max(0.0, right - x), max(0.0, bottom - y)
    return {
        "id": number,
        "image_id": image,
        "category_id": int(category),
        "bbox": [x, y, width, height],
        "area": width * height,
    }


@dataclass(frozen=True, slots=True, eq=False)
class ClassMatches:
    """Detections of one class over all images, highest score first: their ``image``, whether they
    ``matched`` an object and are to be ``ignored`` at each of `IOUS` [10, D]; ``objects`` [N]."""

    image: Array
    scores: Array
    matched: Array
    ignored: Array
    objects: Array

    def precision(self, weights: Array) -> Array:
        """Average precision [R, 10] with images counted ``weights`` [R, N] times; NaN where no
        object is left."""
        objects = weights @ self.objects
        out = np.full((len(weights), len(IOUS)), np.nan)
        counted = weights[:, self.image]
        all_said = np.cumsum(counted, axis=1) if not self.ignored.any() else None
        for place in range(len(IOUS)):
            hits = np.flatnonzero(self.matched[place] & ~self.ignored[place])
            claimed = all_said
            if claimed is None:
                claimed = np.cumsum(counted * ~self.ignored[place], axis=1)
            right = np.cumsum(counted[:, hits], axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                precision = np.nan_to_num(right / claimed[:, hits])
                recall = np.nan_to_num(right / objects[:, None])
            # The best precision at this recall or beyond; only hits can be such points.
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            reached = np.searchsorted(RECALLS, recall, side="right")
            gained = np.diff(reached, axis=1, prepend=0)
            out[:, place] = (best * gained).sum(axis=1) / len(RECALLS)
        out[objects == 0] = np.nan
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Scores of a detector: what every detection of every image came to. One would draw those with
    a score of ``drawn_score`` or more."""

    samples: int
    classes: Mapping[int, ClassMatches]
    drawn_score: float = TRUTH_SCORE

    @property
    def support(self) -> int:
        """Images with an object."""
        objects = sum(c.objects for c in self.classes.values())
        return int(np.count_nonzero(objects))

    def values(self, weights: Array) -> Array:
        most = max((len(c.scores) for c in self.classes.values()), default=0)
        step = max(1, _CELLS // max(1, most))
        parts = []
        for start in range(0, len(weights), step):
            block = weights[start : start + step]
            parts.append(np.stack([c.precision(block) for c in self.classes.values()]))
        precision = np.concatenate(parts, axis=1)
        present = ~np.isnan(precision[:, :, 0])
        totals = np.nansum(precision, axis=0) / np.maximum(1, present.sum(axis=0))[:, None]
        return np.stack([totals.mean(axis=1), totals[:, 0]], axis=1)

    def changed(self, other: Matches) -> int:
        """Images with other matches, scores or number of detections of any class."""
        odd = np.zeros(self.samples, np.bool_)
        for number in self.classes.keys() | other.classes.keys():
            mine, theirs = (
                _by_image(side.classes.get(number), self.samples) for side in (self, other)
            )
            odd |= np.array([a != b for a, b in zip(mine, theirs, strict=True)])
        return int(odd.sum())

    def by_sample(self) -> Array:
        """F1 of each image at an overlap of 0.5, of detections that one would draw."""
        right, claimed, objects = np.zeros((3, self.samples))
        for matches in self.classes.values():
            drawn = (matches.scores >= self.drawn_score) & ~matches.ignored[0]
            claimed += np.bincount(matches.image[drawn], minlength=self.samples)
            hits = matches.image[drawn & matches.matched[0]]
            right += np.bincount(hits, minlength=self.samples)
            objects += matches.objects
        with np.errstate(divide="ignore", invalid="ignore"):
            scores: Array = 2 * right / (claimed + objects)
        return scores


def _by_image(matches: ClassMatches | None, images: int) -> list[tuple[bytes, ...]]:
    if matches is None:
        return [()] * images
    order = np.argsort(matches.image, kind="stable")
    ends = np.searchsorted(matches.image[order], np.arange(images + 1))
    return [
        (
            matches.scores[order[a:b]].tobytes(),
            matches.matched[:, order[a:b]].tobytes(),
        )
        for a, b in itertools.pairwise(ends)
    ]


def _make(asked: TaskSetup) -> MadeTask:
    request, samples = asked.request, asked.samples
    frame = Frame.of(samples, asked.inputs)
    score = request.number("truth_score", TRUTH_SCORE)
    reader = BoxReader.of(request, asked.outputs, frame.size)
    task = Detection(reader, score)
    by_id = request.choice("categories", "order", "ids") == "ids"
    assumed = {"columns": ":".join(reader.columns)} if reader.columns else {}
    if request.truth is None:
        return MadeTask(task, assumed=assumed)
    from devdiff.tasks.objects import TrueObjects

    objects = TrueObjects(request.truth, frame, asked.rows, by_id)
    return MadeTask(task, lambda index: objects.of(int(samples.tested[index])), assumed)


KIND: Final = TaskKind(
    "detection",
    options=(
        "boxes",
        "scores",
        "classes",
        "head",
        "format",
        "columns",
        "coords",
        "min_score",
        "nms",
        "max",
        "categories",
        "truth_score",
    ),
    make=_make,
    own_answers_max_drop=OWN_BOXES_MAX_DROP,
)
