"""From what was asked to the task itself and the true answers of each sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import UsageError
from devdiff.tasks.kind import TaskSetup
from devdiff.tasks.kinds import KINDS
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.task import Task

if TYPE_CHECKING:
    from devdiff.exporter.artifact import TensorSpec
    from devdiff.inputs.input_set import InputSet

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
    kind = KINDS[request.kind]
    if request.truth is not None:
        if kind.truth_is_labels:
            raise UsageError(f"--truth: the truth of {request.kind} are classes: give --labels")
        if not request.truth.exists():
            raise UsageError(f"{request.truth} does not exist")
    made = kind.make(TaskSetup(request, outputs, inputs, samples, classifiers))
    request = replace(request, options={**request.options, **made.assumed})
    if made.truth is None:
        return ResolvedTask(request, made.task, None, OWN_ANSWERS)
    origin = str(request.truth) if request.truth is not None else "labels"
    return ResolvedTask(request, made.task, made.truth, origin)


def check_truth(request: TaskRequest, samples: InputSet) -> None:
    """Raises `UsageError` when a limit is given alone and there are no labels to hold it to."""
    if request.implied and samples.labels is None:
        raise UsageError(
            "--max-drop: there are no labels to judge by: give --labels, or say with --task what "
            "the model is for, to be judged against the source's own answers"
        )
