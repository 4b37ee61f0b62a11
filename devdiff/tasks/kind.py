"""What a kind of task has to offer, and what it makes a task from.

A new kind is a module with a `TaskKind` called ``KIND``, and a line in `devdiff.tasks.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputSet
from devdiff.options import OWN_ANSWERS_MAX_DROP
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.task import Task, one_output


@dataclass(frozen=True, slots=True)
class MadeTask:
    """A task, and the true answer of a tested sample by its index; None where nothing tells it.

    ``assumed`` are options that were taken for granted, so that the report says them.
    """

    task: Task
    truth: Callable[[int], Any] | None = None
    assumed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskSetup:
    """All that a task is made of: what was asked, the model's tensors, and the samples."""

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


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A kind of task: its name and options on the command line, and how one is made.

    ``make`` raises `UsageError` where outputs, truth and options do not go together.
    ``own_answers_max_drop`` is the drop that is allowed beside the source's own answers;
    ``truth_is_labels`` says that the truth are class labels, and no file of its own.
    """

    name: str
    options: tuple[str, ...]
    make: Callable[[TaskSetup], MadeTask]
    own_answers_max_drop: float = OWN_ANSWERS_MAX_DROP
    truth_is_labels: bool = False


def is_vector(spec: TensorSpec) -> bool:
    """Whether an output has one axis that is longer than one."""
    return sum(size > 1 for size in spec.shape) == 1
