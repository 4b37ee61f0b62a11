"""What a task's answers look like: boxes and masks on the input, texts beside each other.

Rungs that answer alike share a picture. What differs from the first rung (of texts: from the true
one, if there is one) is marked.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup

from devdiff.report.html.pictures import CLASS_COLOURS, Picture, mask_png, small_mask
from devdiff.report.html.svg import Drawing
from devdiff.report.words import number, percent
from devdiff.system.errors import DevdiffError
from devdiff.tasks.boxes import Detections
from devdiff.tasks.detection import Detection
from devdiff.tasks.kind import TaskSetup
from devdiff.tasks.kinds import KINDS
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.segmentation import Segmentation
from devdiff.tasks.sequence import Reading, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from devdiff.exporter.artifact import Array
    from devdiff.report.class_words import ClassWords
    from devdiff.report.html.run_files import RunFiles
    from devdiff.report.model import Report
    from devdiff.tasks.task import Task

_MOST_BOXES: Final = 30
_NAMED_BOXES: Final = 4
_NAMED_CLASSES: Final = 5
_OVERLAP: Final = 0.5
_MOST_SYMBOLS: Final = 400


@dataclass(frozen=True, slots=True)
class DrawnAnswer:
    """An input with what ``rungs`` found on it."""

    rungs: str
    drawing: Markup
    caption: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a text; ``kind`` is "same", "other" or "missing"."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class ReadText:
    """What ``rungs`` read."""

    rungs: str
    passages: tuple[Passage, ...]

    @property
    def changed(self) -> bool:
        return any(passage.kind != "same" for passage in self.passages)


class TaskAnswers:
    """The answers of every rung to ``samples``; empty where the task draws none, or the run
    directory lacks what it needs."""

    def __init__(
        self, report: Report, beside: RunFiles, samples: Iterable[int], words: ClassWords
    ) -> None:
        self._words = words
        self._task = _task(report, beside)
        self._found: dict[str, dict[int, Any]] = {}
        self._size = (0, 0)
        if self._task is not None:
            read = _reader(self._task)
            self._found = beside.answers(self._task.outputs, samples, read)
            if isinstance(self._task, Detection):
                self._size = self._task.reader.size

    def drawn(
        self, sample: int, picture: Picture, spent: Callable[[int], bool]
    ) -> tuple[DrawnAnswer, ...]:
        """The input, then the answers on it; ``spent`` says whether the page has room for so many
        more bytes."""
        groups = _groups(self._of(sample))
        if not groups or isinstance(groups[0][1], tuple):
            return ()
        name = f"input-{sample}"
        first = groups[0][1]
        kind = "answer coarse" if picture.coarse else "answer"
        plain = Drawing(picture.width, picture.height, kind)
        plain.image(picture.uri, picture.width, picture.height, name)
        found = [DrawnAnswer("input", plain.markup(), "", False)]
        for rungs, answer in groups:
            drawing = Drawing(picture.width, picture.height, kind)
            drawing.use(name)
            if isinstance(answer, Detections):
                if self._size != (picture.height, picture.width):
                    return ()
                caption = self._boxes(drawing, answer, first)
            else:
                mask = mask_png(answer)
                if not spent(len(mask.uri)):
                    return ()
                drawing.image(mask.uri, picture.width, picture.height, f"{name}-{len(found)}")
                caption = self._mask(answer, first)
            changed = answer is not first
            found.append(DrawnAnswer(rungs, drawing.markup(), caption, changed))
        return tuple(found)

    def texts(self, sample: int, truth: str | None) -> tuple[ReadText, ...]:
        """What each rung read, the true text first; of regressions the numbers."""
        groups = [
            (rungs, self._text(answer))
            for rungs, answer in _groups(self._of(sample))
            if isinstance(answer, tuple)
        ]
        if not groups:
            return ()
        reference = groups[0][1] if truth is None else truth
        read = [ReadText(rungs, _compared(reference, text)) for rungs, text in groups]
        if truth is not None:
            read.insert(0, ReadText("truth", (Passage(truth[:_MOST_SYMBOLS], "same"),)))
        return tuple(read)

    def _of(self, sample: int) -> list[tuple[str, Any]]:
        return [
            (rung, answers[sample]) for rung, answers in self._found.items() if sample in answers
        ]

    def _text(self, answer: tuple[Any, ...]) -> str:
        if answer and isinstance(answer[0], float):
            return ", ".join(map(number, answer))
        text = self._words.symbols(answer)
        return " ".join(map(str, answer)) if text is None else text

    def _called(self, index: int) -> str:
        return self._words.name(index) or f"class {index}"

    def _boxes(self, drawing: Drawing, found: Detections, first: Detections) -> str:
        kept, gone = (True,) * len(found.scores), 0
        if found is not first:
            kept, lost = _matched(found, first)
            gone = len(lost)
            for box in first.boxes[lost]:
                _box(drawing, box, "box gone", "not found any more")
        for box, index, score, known in zip(
            found.boxes, found.classes.tolist(), found.scores.tolist(), kept, strict=True
        ):
            kind = f"box c{index % CLASS_COLOURS}" if known else "box new"
            _box(drawing, box, kind, f"{self._called(index)}, {score:.2f}")
        count = len(found.scores)
        named = ", ".join(
            f"{self._called(index)} {score:.2f}"
            for index, score in zip(
                found.classes[:_NAMED_BOXES].tolist(),
                found.scores[:_NAMED_BOXES].tolist(),
                strict=True,
            )
        )
        more = f" and {count - _NAMED_BOXES} more" if count > _NAMED_BOXES else ""
        parts = [f"{named}{more}" if count else "nothing found"]
        if gone:
            parts.append(f"{gone} lost (dashed)")
        if not all(kept):
            parts.append(f"{sum(not known for known in kept)} new (bold)")
        return "; ".join(parts)

    def _mask(self, found: Array, first: Array) -> str:
        numbers, counts = np.unique(found, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_NAMED_CLASSES]
        shares = ", ".join(
            f"{self._called(int(numbers[place]))} {percent(counts[place] / found.size)}"
            for place in order
        )
        if found is first:
            return shares
        return f"{shares}; {percent(float((found == first).mean()))} of the pixels as before"


def _task(report: Report, beside: RunFiles) -> Task | None:
    """The task as the run read its outputs; None of classification, which has its own cards."""
    section = report.task
    if section is None or section.kind in ("classification", "embedding"):
        return None
    samples, outputs = beside.samples(), beside.output_specs()
    if samples is None or not outputs:
        return None
    # The symbols are the report's classes: nothing outside the run directory is read.
    options = {key: value for key, value in section.options.items() if key != "alphabet"}
    request = TaskRequest(section.kind, options, gated=False)
    classifiers = report.options.classifiers or ()
    setup = TaskSetup(request, outputs, beside.input_specs(), samples, classifiers)
    try:
        return KINDS[section.kind].make(setup).task
    except (DevdiffError, ValueError, TypeError, KeyError):
        return None


def _reader(task: Task) -> Callable[[Mapping[str, Array]], Any]:
    """What is kept of an answer, which is small: a page holds dozens."""

    def read(outputs: Mapping[str, Array]) -> Any:
        answer = task.answer(outputs)
        if isinstance(task, Detection):
            drawn = answer.take(np.flatnonzero(answer.scores >= task.truth_score))
            return drawn.best(_MOST_BOXES)
        if isinstance(task, Segmentation):
            return small_mask(answer).copy()
        if isinstance(task, Reading | Tokens):
            return tuple(answer[:_MOST_SYMBOLS])
        return tuple(float(value) for value in np.ravel(answer)[:8])

    return read


def _groups(answers: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Neighbouring rungs with the same answer as one."""
    groups: list[tuple[list[str], Any]] = []
    for rung, answer in answers:
        if groups and _alike(groups[-1][1], answer):
            groups[-1][0].append(rung)
        else:
            groups.append(([rung], answer))
    return [(", ".join(rungs), answer) for rungs, answer in groups]


def _alike(answer: Any, other: Any) -> bool:
    if isinstance(answer, Detections):
        return (
            len(answer.scores) == len(other.scores)
            and bool((answer.classes == other.classes).all())
            and np.allclose(answer.boxes, other.boxes, atol=1.0)
            and np.allclose(answer.scores, other.scores, atol=0.01)
        )
    if isinstance(answer, tuple):
        return bool(answer == other)
    return answer.shape == other.shape and bool((answer == other).all())


def _matched(found: Detections, first: Detections) -> tuple[tuple[bool, ...], list[int]]:
    """Whether each box found has one of the first rung's class and place; those left over."""
    left = list(range(len(first.scores)))
    known = []
    for box, index in zip(found.boxes, found.classes, strict=True):
        near = [
            (_overlap(box, first.boxes[place]), place)
            for place in left
            if first.classes[place] == index
        ]
        overlap, place = max(near, default=(0.0, -1))
        known.append(overlap >= _OVERLAP)
        if overlap >= _OVERLAP:
            left.remove(place)
    return tuple(known), left


def _overlap(box: Array, other: Array) -> float:
    """Intersection over union of two boxes as corners."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(np.maximum(b[2:] - b[:2], 0))) for b in (box, other)]
    whole = sum(areas) - shared
    return shared / whole if whole > 0 else 0.0


def _box(drawing: Drawing, box: Array, kind: str, name: str) -> None:
    x, y = max(0.0, float(box[0])), max(0.0, float(box[1]))
    right, bottom = min(drawing.width, float(box[2])), min(drawing.height, float(box[3]))
    drawing.rect(x, y, right - x, bottom - y, kind, name)


def _compared(reference: str, text: str) -> tuple[Passage, ...]:
    """``text`` in passages that are as in ``reference``, others, or missing."""
    reference, text = reference[:_MOST_SYMBOLS], text[:_MOST_SYMBOLS]
    matcher = difflib.SequenceMatcher(None, reference, text, autojunk=False)
    passages = []
    for change, begin, end, start, stop in matcher.get_opcodes():
        if change == "equal":
            passages.append(Passage(text[start:stop], "same"))
            continue
        if end > begin:
            passages.append(Passage(reference[begin:end], "missing"))
        if stop > start:
            passages.append(Passage(text[start:stop], "other"))
    return tuple(passages)
