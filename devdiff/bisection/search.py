"""Binary search for the operator behind which two sides differ.

First along the dominators of the target: tensors that all data on its way there passes, so that one
of them being equal on both sides clears everything before it. Then inside the part of the graph
between two neighbouring dominators, along an order of its operators; a cut there ends at every
tensor that is alive at that point, so that branches are cut all at once.

Whatever differences do (heal, and come back), what holds at the end is what matters: everything
that flows into the operator found is equal, and what flows out of it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from devdiff.bisection.graph import Flow

Differs = Callable[[tuple[int, ...]], bool]
_Point = TypeVar("_Point")


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """Where the sides part.

    ``operators`` stand between the last place where both sides were equal and the first where they
    were not: one, unless tensors between them cannot be looked at. ``target`` is the output that
    was followed; ``clean`` the tensors known to be equal before, ``differing`` those behind.
    """

    operators: tuple[int, ...]
    target: int
    clean: tuple[int, ...]
    differing: tuple[int, ...]


def first_divergence(flow: Flow, target: int, differs: Differs) -> SplitPoint:
    """The first operator on the way to ``target`` that both sides compute differently.

    ``differs`` runs the model cut off at some tensors and says whether any is beyond tolerance; it
    has been seen to be so at the target.
    """
    chain = flow.dominators(target)
    clean, dirty = _bisect([(tensor,) for tensor in chain], (target,), differs)
    order = flow.between(clean, dirty[0])
    cuts: list[tuple[int, tuple[int, ...]]] = []
    for count in range(1, len(order)):
        frontier = flow.frontier(order, count, dirty[0])
        # An operator that makes nothing else than is looked at already adds no place to cut.
        if frontier and all(flow.visible(tensor) for tensor in frontier):
            cuts.append((count, frontier))
    lower, upper = _bisect(cuts, (len(order), dirty), lambda cut: differs(cut[1]), (0, clean))
    return SplitPoint(order[lower[0] : upper[0]], target, lower[1], upper[1])


def _bisect(
    points: Sequence[_Point],
    last: _Point,
    differs: Callable[[_Point], bool],
    first: _Point = (),  # type: ignore[assignment]
) -> tuple[_Point, _Point]:
    """Two neighbours of ``first, *points, last`` with the left one equal and the right differing.

    The ends are known: ``first`` is equal, ``last`` differs.
    """
    low, high = -1, len(points)
    while high - low > 1:
        middle = (low + high) // 2
        if differs(points[middle]):
            high = middle
        else:
            low = middle
    return (points[low] if low >= 0 else first, points[high] if high < len(points) else last)
