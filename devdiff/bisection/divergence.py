"""A whole bisection on a bench: both sides as they are, the search, and the operators alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devdiff.bisection import isolate, search
from devdiff.bisection.isolate import SUSPECTS, Isolated
from devdiff.bisection.search import SplitPoint
from devdiff.bisection.side_by_side import Bench, Role
from devdiff.report.model.bisect import PartComparison


@dataclass(frozen=True, slots=True)
class Divergence:
    """What came of it; ``found`` and ``isolated`` are None where both sides agree.

    ``cuts`` is what the search saw, in its order, by the tensors each cut ended at. ``searched`` is
    how many runs of each side there were until then, those of the whole model among them.
    """

    whole: PartComparison
    cuts: Mapping[tuple[int, ...], PartComparison]
    found: SplitPoint | None
    isolated: Isolated | None
    searched: Mapping[Role, int]


def find(bench: Bench, suspects: int = SUSPECTS) -> Divergence:
    """Follow the first output that differs beyond what is allowed to the operator behind it.

    ``suspects`` operators are run alone. Raises `RunnerError` when a side cannot run.
    """
    whole = bench.whole()
    cuts: dict[tuple[int, ...], PartComparison] = {}
    if not whole.beyond:
        return Divergence(whole, cuts, None, None, dict(bench.runs))

    def differs(tensors: tuple[int, ...]) -> bool:
        cuts[tensors] = bench.cut(tensors)
        return cuts[tensors].beyond

    # Where samples fail on one side there may be none that differs: any output will do.
    outputs = [tensor.tensor for tensor in whole.tensors if tensor.beyond] or list(bench.outputs())
    found = search.first_divergence(bench.flow, outputs[0], differs)
    searched = dict(bench.runs)
    isolated = isolate.isolate(bench, found, whole, cuts, suspects)
    return Divergence(whole, cuts, found, isolated, searched)
