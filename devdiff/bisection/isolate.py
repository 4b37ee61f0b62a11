"""Born here or passed on: operators alone, fed with the same on both sides.

What an operator does to equal inputs is its own doing. What it does no more once it stands alone
needs its neighbours: runtimes fuse, reorder and share memory. Then the smallest part that still
shows the difference is looked for, doubling what stands before the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from devdiff.report.model.bisect import PartComparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.bisection.search import SplitPoint
    from devdiff.bisection.side_by_side import Bench

Kind = Literal["born", "context", "accumulated", "unexplained"]
SUSPECTS: Final = 3


@dataclass(frozen=True, slots=True)
class Suspect:
    """One operator. ``alone`` is what it came to with the reference's inputs on both sides.

    ``in_place`` is what its outputs came to in the model cut off behind it, None where no cut of
    the search ended there.
    """

    operator: int
    alone: PartComparison
    in_place: PartComparison | None

    @property
    def born(self) -> bool:
        """Whether the operator itself makes a difference that is not allowed."""
        return self.alone.beyond


@dataclass(frozen=True, slots=True)
class Isolated:
    """What became of the operator that a search found.

    ``born``: alone it differs, beyond what is allowed. ``accumulated``: its inputs differ already,
    each by no more than is allowed, and it is not the one that adds too much; ``guilty`` is then
    the suspect that adds most. ``context``: alone it computes the same on both sides, and the
    smallest part that does not leads from the tensors ``window`` to ``outputs``. ``unexplained``:
    not even that was found. ``guilty`` are the operators of the repro, empty where there is none
    to make.
    """

    kind: Kind
    suspects: tuple[Suspect, ...]
    guilty: tuple[int, ...]
    window: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


def isolate(
    bench: Bench,
    found: SplitPoint,
    whole: PartComparison,
    cuts: dict[tuple[int, ...], PartComparison],
    suspects: int = SUSPECTS,
) -> Isolated:
    """Run the operators found and their neighbours alone.

    ``cuts`` is what the search saw, by the tensors the cut ended at.
    """
    flow = bench.flow
    looked = [_alone(bench, operator, cuts, whole) for operator in found.operators]
    born = next((suspect for suspect in looked if suspect.born), None)
    if born is not None:
        more = flow.behind(born.operator, found.target)[: max(0, suspects - len(looked))]
        looked += [_alone(bench, operator, cuts, whole) for operator in more]
        return Isolated("born", tuple(looked), (born.operator,))
    before = cuts.get(found.clean)
    if before is not None and before.differing:
        upstream = [i for i in sorted(flow.ancestors(found.clean[0])) if i not in found.operators]
        for operator in reversed(upstream[-max(1, suspects - len(looked)) :]):
            looked.append(_alone(bench, operator, cuts, whole))
        most = max(looked, key=lambda suspect: suspect.alone.differing)
        guilty = (most.operator,) if most.alone.differing else ()
        return Isolated("accumulated", tuple(looked), guilty)
    return _in_context(bench, found, tuple(looked))


def walk(bench: Bench) -> list[Suspect]:
    """Every operator, in the model cut off behind it and alone: what a search spares."""
    found = []
    for operator in bench.flow.operators:
        outputs = bench.flow.outputs_of(operator)
        if outputs:
            found.append(Suspect(operator, alone(bench, operator), bench.cut(outputs)))
    return found


def alone(bench: Bench, operator: int) -> PartComparison:
    """One operator with the reference's inputs on both sides."""
    flow = bench.flow
    return bench.part(flow.inputs_of(operator), flow.outputs_of(operator))


def _alone(
    bench: Bench, operator: int, cuts: dict[tuple[int, ...], PartComparison], whole: PartComparison
) -> Suspect:
    outputs = bench.flow.outputs_of(operator)
    places = (_of(seen, outputs) for seen in (*cuts.values(), whole))
    return Suspect(operator, alone(bench, operator), next(filter(None, places), None))


def _of(seen: PartComparison, outputs: Sequence[int]) -> PartComparison | None:
    """What a run came to for ``outputs``, if it ended there, among others perhaps."""
    tensors = tuple(tensor for tensor in seen.tensors if tensor.tensor in outputs)
    if len(tensors) != len(outputs):
        return None
    beyond = seen.failure is not None or any(tensor.beyond for tensor in tensors)
    return PartComparison(beyond, seen.operators, tensors, seen.failure)


def _in_context(bench: Bench, found: SplitPoint, suspects: tuple[Suspect, ...]) -> Isolated:
    """The smallest part in front of what was found that shows the difference; parts are doubled."""
    flow = bench.flow
    outputs = found.differing
    starts = flow.dominators(outputs[0])
    length = 1
    while True:
        inputs = (starts[-length],) if length <= len(starts) else flow.graph.inputs
        seen = bench.part(inputs, outputs)
        if seen.beyond:
            operators = bench.sides["reference"].whole.part(inputs, outputs).operators
            return Isolated("context", suspects, operators, inputs, outputs)
        if length > len(starts):
            return Isolated("unexplained", suspects, ())
        length *= 2
