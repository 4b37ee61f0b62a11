"""From what was asked to the task itself and the true answers of each sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputSet
from devdiff.tasks import truth as truths
from devdiff.tasks.boxes import BoxReader
from devdiff.tasks.classification import Classification
from devdiff.tasks.detection import TRUTH_SCORE, Detection
from devdiff.tasks.embedding import Embedding
from devdiff.tasks.frame import Frame
from devdiff.tasks.objects import TrueObjects
from devdiff.tasks.regression import Regression
from devdiff.tasks.request import CLASSIFICATION, TaskRequest
from devdiff.tasks.segmentation import USUAL_NUMBERS, Segmentation, is_class_map
from devdiff.tasks.sequence import Reading, Tokens, is_tokens
from devdiff.tasks.task import Task, one_output

OWN_ANSWERS: Final = "the source's own answers"


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

    @property
    def allowed(self) -> float:
        """By how much a step may make the first metric worse."""
        return self.request.allowed(own_answers=self.truth is None)


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
    if isinstance(task, Detection) and task.reader.columns:
        # What is taken for granted is said.
        columns = ":".join(task.reader.columns)
        request = replace(request, options={**request.options, "columns": columns})
    if truth is None:
        return ResolvedTask(request, task, None, OWN_ANSWERS)
    origin = str(request.truth) if request.truth is not None else "labels"
    return ResolvedTask(request, task, truth, origin)


def check_truth(request: TaskRequest, samples: InputSet) -> None:
    """Raises `UsageError` when a limit is given alone and there are no labels to hold it to."""
    if request.implied and samples.labels is None:
        raise UsageError(
            "--max-drop: there are no labels to judge by: give --labels, or say with --task what "
            "the model is for, to be judged against the source's own answers"
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
        return self.samples.rows

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
    spec = asked.output(lambda one: len(one.shape) == 4 or is_class_map(one))
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
        return task, None
    masks = truths.Masks(request.truth, samples, asked.rows)
    # What lies outside the image is not the model's to answer.
    outside = -1 if ignore is None else ignore
    made = Segmentation.of(spec, frame.size, axis, threshold, outside, numbers)

    def truth(index: int) -> Any:
        row = int(samples.tested[index])
        return frame.mask(row, masks.of(row), outside, task.size)

    return made, truth


def _detection(asked: _Asked) -> _Made:
    request, samples = asked.request, asked.samples
    frame = Frame.of(samples, asked.inputs)
    score = request.number("truth_score", TRUTH_SCORE)
    reader = BoxReader.of(request, asked.outputs, frame.size)
    task = Detection(reader, score)
    by_id = request.choice("categories", "order", "ids") == "ids"
    if request.truth is None:
        return task, None
    objects = TrueObjects(request.truth, frame, asked.rows, by_id)
    return task, lambda index: objects.of(int(samples.tested[index]))


def _sequence(asked: _Asked) -> _Made:
    request = asked.request
    spec = asked.output(lambda one: len(one.shape) == 3 or is_tokens(one))
    decode = request.choice("decode", *(("tokens",) if is_tokens(spec) else ("ctc", "tokens")))
    odd = {"ctc": ("end", "pad"), "tokens": ("blank",)}[decode]
    if is_tokens(spec):
        odd = (*odd, "layout")
    wrong = next((key for key in odd if key in request.options), None)
    if wrong is not None:
        raise UsageError(
            f"--task sequence: {wrong}= means nothing where output {spec.describe()} is read with "
            f"decode={decode}"
        )
    if not is_tokens(spec) and (len(spec.shape) != 3 or 1 not in spec.shape[:2]):
        raise UsageError(
            f"--task sequence: output {spec.describe()} has no steps with classes, nor is it a row "
            "of tokens, which are integers [1,T]"
        )
    return _tokens(asked, spec) if decode == "tokens" else _reading(asked, spec)


def _tokens(asked: _Asked, spec: TensorSpec) -> _Made:
    request = asked.request
    if not is_tokens(spec) and spec.shape[0] != 1:
        raise UsageError(f"--task sequence: output {spec.describe()} must be [1,T,V] or [1,V,T]")
    alphabet = None
    if "alphabet" in request.options:
        alphabet = _symbols(Path(request.options["alphabet"]))
    ends = [
        int(request.number(key, 0)) if key in request.options else None for key in ("end", "pad")
    ]
    turned = request.choice("layout", "TC", "CT") == "CT"
    task = Tokens(spec, turned, ends[0], ends[1], alphabet)
    if request.truth is None:
        return task, None
    texts = truths.texts(request.truth, asked.samples, asked.rows)
    if alphabet is not None:
        return task, lambda index: texts[int(asked.samples.tested[index])]
    numbers = [task.cut(_numbers(request.truth, line)) for line in texts]
    return task, lambda index: numbers[int(asked.samples.tested[index])]


def _numbers(path: Path, line: str) -> list[int]:
    try:
        return [int(word) for word in line.split()]
    except ValueError as error:
        raise UsageError(
            f"{path}: true tokens are whole numbers with spaces between, a sample a line (or "
            f"texts, with alphabet=FILE): {error}"
        ) from error


def _reading(asked: _Asked, spec: TensorSpec) -> _Made:
    request, samples = asked.request, asked.samples
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
    symbols = _symbols(path)
    if len(symbols) == classes - 2:
        symbols = (*symbols, " ")  # PaddleOCR's alphabets leave out their last symbol, the space
    if len(symbols) != classes - 1:
        raise UsageError(
            f"{path} has {len(symbols)} symbols, the output has {classes} classes: it needs one "
            "for each but the blank"
        )
    return symbols


def _symbols(path: Path) -> tuple[str, ...]:
    try:
        # Not splitlines: an alphabet may hold characters that would end a line for it.
        return tuple(path.read_text("utf-8").removesuffix("\n").split("\n"))
    except OSError as error:
        raise UsageError(f"--task sequence: alphabet={path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: {error}") from error


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
