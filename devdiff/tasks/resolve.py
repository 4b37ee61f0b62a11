"""From what was asked to the task itself and the true answers of each sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputSet
from devdiff.tasks import truth as truths
from devdiff.tasks.boxes import BoxReader
from devdiff.tasks.classification import Classification
from devdiff.tasks.detection import Detection
from devdiff.tasks.embedding import Embedding
from devdiff.tasks.frame import Frame
from devdiff.tasks.objects import TrueObjects
from devdiff.tasks.regression import Regression
from devdiff.tasks.request import CLASSIFICATION, TaskRequest
from devdiff.tasks.segmentation import Segmentation
from devdiff.tasks.sequence import Reading
from devdiff.tasks.task import Task, one_output


@dataclass(frozen=True, slots=True)
class ResolvedTask:
    """A task that fits the model and the data.

    ``truth`` gives the true answer of tested sample ``index``, None where there is none and the
    source's answers stand for it; ``origin`` says where it comes from.
    """

    request: TaskRequest
    task: Task
    truth: Callable[[int], Any] | None
    origin: str


def resolve_task(
    request: TaskRequest,
    outputs: Sequence[TensorSpec],
    inputs: tuple[TensorSpec, ...],
    samples: InputSet,
    classifiers: Collection[str],
) -> ResolvedTask:
    """Raises `UsageError` when outputs, truth and options do not go together."""
    maker = _MAKERS[request.kind]
    if request.truth is not None:
        if request.kind in (CLASSIFICATION, "embedding"):
            raise UsageError(f"--truth: the truth of {request.kind} are classes: give --labels")
        if not request.truth.exists():
            raise UsageError(f"{request.truth} does not exist")
    task, truth = maker(_Asked(request, outputs, inputs, samples, classifiers))
    if truth is None:
        return ResolvedTask(request, task, None, "the source rung's own answers")
    origin = str(request.truth) if request.truth is not None else "labels"
    return ResolvedTask(request, task, truth, origin)


def check_truth(request: TaskRequest, samples: InputSet) -> None:
    """Raises `UsageError` when a limit is given and nothing can be held to it."""
    known = samples.labels if request.kind in (CLASSIFICATION, "embedding") else request.truth
    if request.max_drop is not None and known is None:
        wanted = "--labels" if request.kind in (CLASSIFICATION, "embedding") else "--truth"
        raise UsageError(
            f"--max-drop: without the truth nothing can be judged: give {wanted}, or leave it out "
            "to see how far the rungs agree"
        )


_Made = tuple[Task, Callable[[int], Any] | None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """All that a task is made of."""

    request: TaskRequest
    outputs: Sequence[TensorSpec]
    inputs: tuple[TensorSpec, ...]
    samples: InputSet
    classifiers: Collection[str]

    @property
    def rows(self) -> int:
        """How many rows the inputs had before a part of them became the calibration set."""
        return len(next(iter(self.samples.arrays.values())))

    def output(self, fits: Callable[[TensorSpec], bool], usual: str | None = None) -> TensorSpec:
        """The output that is read: the one named, else ``usual``, else the only one that fits."""
        chosen = self.request.options.get("output", usual)
        return one_output(self.request.kind, chosen, self.outputs, fits)


def _classification(asked: _Asked) -> _Made:
    request, samples = asked.request, asked.samples
    spec = asked.output(_is_vector, next(iter(asked.classifiers), None))
    k = int(request.number("topk", 5))
    if "topk" not in request.options and k >= spec.elements:
        k = 1
    if not 1 <= k < spec.elements:
        raise UsageError(
            f"--task classification: topk={k} must be from 1 to one less than the "
            f"{spec.elements} classes of output {spec.name}"
        )
    labels = samples.labels
    if labels is None:
        return Classification(spec.name, k), None
    if len(labels) and int(labels.max()) >= spec.elements:
        raise UsageError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but output "
            f"{spec.describe()} has the classes 0 to {spec.elements - 1}"
        )
    return Classification(spec.name, k), lambda index: int(labels[index])


def _embedding(asked: _Asked) -> _Made:
    spec, labels = asked.output(_is_vector), asked.samples.labels
    if labels is None:
        return Embedding(spec.name, labelled=False), None
    return Embedding(spec.name, labelled=True), lambda index: int(labels[index])


def _regression(asked: _Asked) -> _Made:
    request, samples = asked.request, asked.samples
    spec = asked.output(lambda one: True)
    if request.truth is None:
        return Regression(spec.name), None
    values = truths.values(request.truth, samples, asked.rows, spec.elements)[samples.tested]
    return Regression(spec.name), lambda index: values[index]


def _segmentation(asked: _Asked) -> _Made:
    request, samples = asked.request, asked.samples
    spec = asked.output(lambda one: len(one.shape) == 4)
    frame = Frame.of(samples, asked.inputs)
    axis = int(request.number("axis", 0)) or None
    ignore = int(request.number("ignore", -1)) if "ignore" in request.options else None
    threshold = request.number("threshold", 0.5)
    task = Segmentation.of(spec, frame.size, axis, threshold, ignore)
    if request.truth is None:
        return task, None
    masks = truths.Masks(request.truth, samples, asked.rows)
    # What lies outside the image is not the model's to answer.
    outside = -1 if ignore is None else ignore
    made = Segmentation.of(spec, frame.size, axis, threshold, outside)

    def truth(index: int) -> Any:
        row = int(samples.tested[index])
        return frame.mask(row, masks.of(row), outside, task.size)

    return made, truth


def _detection(asked: _Asked) -> _Made:
    request, samples = asked.request, asked.samples
    frame = Frame.of(samples, asked.inputs)
    task = Detection(BoxReader.of(request, asked.outputs, frame.size))
    by_id = request.choice("categories", "order", "ids") == "ids"
    if request.truth is None:
        return task, None
    objects = TrueObjects(request.truth, frame, asked.rows, by_id)
    return task, lambda index: objects.of(int(samples.tested[index]))


def _sequence(asked: _Asked) -> _Made:
    request, samples = asked.request, asked.samples
    spec = asked.output(lambda one: len(one.shape) == 3)
    if len(spec.shape) != 3 or 1 not in spec.shape[:2]:
        raise UsageError(f"--task sequence: output {spec.describe()} has no steps with classes")
    classes_first = request.choice("layout", "TC", "CT") == "CT"
    classes = spec.shape[-2] if classes_first else spec.shape[-1]
    blank = request.options.get("blank", "0")
    if not (blank == "last" or (blank.isdigit() and int(blank) < classes)):
        raise UsageError(
            f"--task sequence: blank={blank} is neither 'last' nor one of the classes 0 to "
            f"{classes - 1}"
        )
    alphabet = None
    if "alphabet" in request.options:
        alphabet = _alphabet(Path(request.options["alphabet"]), classes)
    task = Reading(spec, classes - 1 if blank == "last" else int(blank), classes_first, alphabet)
    if request.truth is None:
        return task, None
    if alphabet is None:
        raise UsageError(
            "--task sequence: true texts need the classes' symbols, alphabet=FILE with one a line"
        )
    texts = truths.texts(request.truth, samples, asked.rows)
    return task, lambda index: texts[int(samples.tested[index])]


def _alphabet(path: Path, classes: int) -> tuple[str, ...]:
    """Symbols of all classes but the blank, in order."""
    try:
        # Not splitlines: an alphabet may hold characters that would end a line for it.
        symbols = tuple(path.read_text("utf-8").removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: {error}") from error
    if len(symbols) == classes - 2:
        symbols = (*symbols, " ")  # PaddleOCR's alphabets leave out their last symbol, the space
    if len(symbols) != classes - 1:
        raise UsageError(
            f"{path} has {len(symbols)} symbols, the output has {classes} classes: it needs one "
            "for each but the blank"
        )
    return symbols


def _is_vector(spec: TensorSpec) -> bool:
    return sum(size > 1 for size in spec.shape) == 1


_MAKERS = {
    CLASSIFICATION: _classification,
    "detection": _detection,
    "segmentation": _segmentation,
    "embedding": _embedding,
    "regression": _regression,
    "sequence": _sequence,
}
