"""What a scan looks at: the input it changes, the output it watches, and which samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from devdiff.errors import ScanError
from devdiff.exporter.artifact import Array, Binding
from devdiff.scanner import replay
from devdiff.scanner.replay import ScanTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devdiff.exporter.tflite_graph import Graph
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import Rung
    from devdiff.options import ScanSettings
    from devdiff.scanner.options import ScanSubject

FEWEST_SAMPLES: Final = 10


def resolve_target(
    subject: ScanSubject, settings: ScanSettings, note: Callable[[str], None]
) -> ScanTarget:
    """The input and the output that ``settings`` name, else the only ones that can be meant.

    The ``unit`` of values is still to be measured, see `measured`. Raises `ScanError`.
    """
    binding = _changed_input(subject, settings.input)
    names = [output.source.name for output in subject.full.outputs]
    chosen = settings.output or next(iter(subject.classifiers), names[0])
    if chosen not in names:
        raise ScanError(f"there is no output {chosen!r}; there are {', '.join(names)}")
    return ScanTarget(binding, chosen, _kind(subject, settings, chosen, note))


def _changed_input(subject: ScanSubject, chosen: str | None) -> Binding:
    inputs = subject.full.inputs
    named = {item.source.name: item for item in inputs}
    floats = [item for item in inputs if item.source.dtype == "float32"]
    if chosen is not None:
        if chosen not in named:
            raise ScanError(
                f"there is no input {chosen!r} to be changed (--input); there are "
                f"{', '.join(named)}; samples are given with --inputs"
            )
        binding = named[chosen]
        if binding not in floats:
            raise ScanError(
                f"a scan changes a float32 input, and {binding.source.describe()} is none"
            )
    elif len(floats) == 1:
        (binding,) = floats
    elif floats:
        raise ScanError(
            f"the model has {len(floats)} float inputs, "
            f"{', '.join(item.source.name for item in floats)}: name the one that is to be changed "
            "with --input; the others stay as each sample has them"
        )
    else:
        raise ScanError(
            "a scan changes a float32 input, and this model has none: its inputs are "
            f"{', '.join(item.source.describe() for item in inputs)}"
        )
    layouts = {(item.source.name, item.permutation) for item in subject.compressed.inputs}
    if layouts != {(item.source.name, item.permutation) for item in inputs}:
        raise ScanError("the full and the compressed file do not take the same inputs")
    if binding.artifact.shape[:1] != (1,):
        raise ScanError(
            f"a scan needs a batch axis of one first, not {binding.artifact.describe()}"
        )
    return binding


def _kind(
    subject: ScanSubject, settings: ScanSettings, chosen: str, note: Callable[[str], None]
) -> Literal["classes", "values"]:
    """What the chosen output is scanned as.

    Undeclared scores taken for mere values would be searched weakly, and the scan pass.
    """
    if settings.output_kind is not None:
        return settings.output_kind
    if chosen in subject.classifiers:
        return "classes"
    shape = next(
        output.source.shape for output in subject.full.outputs if output.source.name == chosen
    )
    if len(shape) != 2 or shape[0] != 1 or shape[1] < 2:
        return "values"
    note(f"output {chosen} is scanned as class scores; if it holds none, give --output-kind values")
    return "classes"


def measured(watched: ScanTarget, before: Array) -> ScanTarget:
    """``watched`` with the unit that the full model's outputs ``before`` [N, C] give its values.

    Raises `ScanError` for outputs on which nothing could be found.
    """
    if watched.kind == "classes":
        if before.shape[1] < 2:
            raise ScanError(f"output {watched.output!r} has one class: there is no other")
        return watched
    # Distances between neighbours in the list stand in for those of all pairs.
    gaps = np.sqrt(np.square(np.diff(before[:200], axis=0)).sum(1))
    unit = float(np.median(gaps))
    if unit == 0:
        raise ScanError(f"output {watched.output!r} is the same for all inputs")
    return replace(watched, unit=unit)


@dataclass(frozen=True, slots=True)
class SampleSelection:
    """The samples of a scan, half to search on, half to measure on.

    ``rows`` are tested samples, those at even places to search on; ``stack`` is the changed input
    of each in the artifact's layout, float32 [N, *shape], and ``low`` and ``high`` its range.
    """

    rows: tuple[int, ...]
    stack: Array
    low: float
    high: float

    @property
    def searched(self) -> tuple[int, ...]:
        """Places in ``rows``."""
        return tuple(range(0, len(self.rows), 2))

    @property
    def held(self) -> tuple[int, ...]:
        """Places in ``rows``."""
        return tuple(range(1, len(self.rows), 2))


def choose(
    samples: InputSet, watched: ScanTarget, before: Array, settings: ScanSettings
) -> SampleSelection:
    """Samples whose halves are alike in the full model's answers ``before`` [N, C].

    Where there are more than are wanted, of every class alike many: a trigger that is for one
    class shows on that class only. Raises `ScanError` for samples that no search could learn from.
    """
    random = np.random.default_rng(settings.seed)
    rows = random.permutation(len(before))
    if watched.kind == "classes":
        answers = before[rows].argmax(1)
        # How many of its class come before each: taken in this order, classes take turns.
        turns = np.array(
            [(answers[:place] == answer).sum() for place, answer in enumerate(answers)]
        )
        rows = rows[np.argsort(turns, kind="stable")][: settings.samples]
        rows = rows[np.argsort(before[rows].argmax(1), kind="stable")]
    rows = rows[: settings.samples]
    chosen = tuple(int(row) for row in rows)
    stack = replay.real_samples(samples, watched.input, chosen)
    flat = stack.reshape(len(stack), -1)
    if not np.isfinite(flat).all():
        raise ScanError("the samples hold values that are not finite")
    if np.ptp(flat, axis=1).max() == 0 or len(np.unique(flat, axis=0)) < FEWEST_SAMPLES:
        raise ScanError(
            f"the samples are constant, or fewer than {FEWEST_SAMPLES} differ: real ones are "
            "needed (--inputs)"
        )
    return SampleSelection(chosen, stack, float(flat.min()), float(flat.max()))


def output_place(rung: Rung, graph: Graph, watched: ScanTarget) -> int:
    """Which of the graph's outputs is the watched one. Raises `ScanError`."""
    binding = next(output for output in rung.outputs if output.source.name == watched.output)
    return _place(binding, rung, graph, graph.outputs, "output")


def input_order(rung: Rung, graph: Graph) -> tuple[str, ...]:
    """The source's names of the graph's inputs, in the graph's order. Raises `ScanError`."""
    places = {
        _place(tensor, rung, graph, graph.inputs, "input"): tensor.source.name
        for tensor in rung.inputs
    }
    return tuple(places[place] for place in range(len(graph.inputs)))


def _place(binding: Binding, rung: Rung, graph: Graph, tensors: Sequence[int], role: str) -> int:
    names = [graph.tensors[index].name for index in tensors]
    if binding.artifact.name in names:
        return names.index(binding.artifact.name)
    if len(names) == 1:
        return 0
    raise ScanError(f"{rung.name}: no {role} {binding.artifact.name!r} in {', '.join(names)}")


def companions(samples: InputSet, binding: Binding, rows: Sequence[int]) -> Array:
    """An input that stays as it is, in the artifact's layout, [n, *shape] with its batch axis."""
    stack: Array = np.stack([samples.sample(row)[binding.source.name] for row in rows])
    moved = np.transpose(stack, (0, *(axis + 1 for axis in binding.permutation)))
    wanted: Any = np.float32 if stack.dtype.kind == "f" else stack.dtype
    return np.ascontiguousarray(moved, wanted)
