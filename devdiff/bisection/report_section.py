"""What a bisection found, as the report's section, with its reason in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from devdiff.bisection.side_by_side import Bench, Role, short
from devdiff.report.model import BisectSection, InputsRecord
from devdiff.report.model.bisect import (
    BisectCost,
    CutComparison,
    Limits,
    Operator,
    PartComparison,
    Runs,
    SideRuns,
    SidesRecord,
    SuspectRecord,
)
from devdiff.system.typed_json import converted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.bisection.divergence import Divergence
    from devdiff.bisection.isolate import Isolated, Suspect
    from devdiff.bisection.search import SplitPoint
    from devdiff.comparison import DeploymentExpectation
    from devdiff.report.model.bisect import Difference

EXPLORER_NAME: Final = "model-explorer.json"


def section(
    bench: Bench,
    limits: DeploymentExpectation,
    finding: Divergence,
    walk: Sequence[Suspect] | None,
    repro: str | None,
) -> BisectSection:
    """The section but for what it cost; ``repro`` is the folder of the cut-out part."""
    whole, found, isolated = finding.whole, finding.found, finding.isolated
    operators = len(bench.flow.operators)
    return BisectSection(
        verdict="fail" if whole.beyond else "pass",
        kind=isolated.kind if isolated else "none",
        reason=reason(bench, whole, found, isolated),
        sides=SidesRecord(
            reference=bench.sides["reference"].ran(bench.results["reference"]),
            candidate=bench.sides["candidate"].ran(bench.results["candidate"]),
        ),
        limits=Limits(
            max_lsb=0 if limits.exact else limits.max_lsb,
            atol=limits.tolerances.default.atol,
            rtol=limits.tolerances.default.rtol,
        ),
        inputs=converted(InputsRecord, bench.samples.to_json()),
        operators=operators,
        runs=Runs(
            all=_runs(bench.runs),
            search=_runs(finding.searched),
            allowed=round(_allowed(operators), 1),
        ),
        found=tuple(_operator(bench, index) for index in (found.operators if found else ())),
        guilty=tuple(_operator(bench, index) for index in (isolated.guilty if isolated else ())),
        search=tuple(_cut(bench, tensors, seen) for tensors, seen in finding.cuts.items()),
        suspects=tuple(
            _suspect(bench, suspect) for suspect in (isolated.suspects if isolated else ())
        ),
        repro=repro,
        model_explorer=EXPLORER_NAME,
        cost=BisectCost(0.0),
        whole=whole,
        walk=tuple(_suspect(bench, suspect) for suspect in walk) if walk is not None else None,
    )


def _runs(counted: Mapping[Role, int]) -> SideRuns:
    return SideRuns(reference=counted["reference"], candidate=counted["candidate"])


def _allowed(operators: int) -> float:
    """2 log2(operators): what the search for one operator among them may cost in runs."""
    return 2 * math.log2(max(2, operators))


def reason(
    bench: Bench, whole: PartComparison, found: SplitPoint | None, isolated: Isolated | None
) -> str:
    """One sentence for the first line of every format."""
    reference, candidate = (side.name for side in bench.sides.values())
    if found is None or isolated is None:
        count = len(bench.samples)
        extent = f" ({whole.differing} elements differ within it)" if whole.differing else ""
        return (
            f"{reference} and {candidate} agree on {count} samples within what is allowed{extent}"
        )
    first = " or ".join(describe(bench, index) for index in found.operators)
    guilty = ", ".join(describe(bench, index) for index in isolated.guilty)
    if isolated.kind == "born":
        (culprit,) = (
            suspect for suspect in isolated.suspects if suspect.operator == isolated.guilty[0]
        )
        return f"{guilty} is the first to differ, and does so alone: {_figures(culprit.alone)}"
    if isolated.kind == "accumulated":
        most = f"; {guilty} adds most of those looked at" if guilty else ""
        return (
            f"{first} is the first to differ beyond what is allowed, but adds no more than that "
            f"itself: its inputs differ already, small differences add up{most}"
        )
    if isolated.kind == "context":
        count = len(isolated.guilty)
        return (
            f"{first} is the first to differ, but alone it does not: cutting it out makes the "
            f"fault vanish; it shows in {count} operators together, {_range(bench, isolated)}"
        )
    return (
        f"{first} is the first to differ where the model is cut, but no part of the model shows it "
        "when it is fed by itself: the cut makes the fault vanish, or the fault comes and goes"
    )


def _range(bench: Bench, isolated: Isolated) -> str:
    first, last = isolated.guilty[0], isolated.guilty[-1]
    return f"{describe(bench, first)} to {describe(bench, last)}"


def describe(bench: Bench, index: int) -> str:
    """``operator 17, CONV_2D 'relu_3'``."""
    operator = bench.flow.operator(index)
    name = short(bench.flow.tensor(operator.outputs[0]).name)
    return f"operator {index}, {operator.kind} {name!r}"


def _figures(seen: PartComparison) -> str:
    worst = seen.worst
    if seen.failure is not None or worst is None:
        return seen.failure or "nothing to compare"
    return f"{worst.differing} of {worst.elements} elements, by up to {size(worst)}"


def size(difference: Difference) -> str:
    """The largest error of a tensor: ``3 LSB (2.4 % of its peak)``."""
    share = (
        f"{100 * difference.relative:.2g} % of its peak" if difference.relative is not None else ""
    )
    if difference.max_lsb is not None:
        return f"{difference.max_lsb:g} LSB" + (f" ({share})" if share else "")
    return share or (
        f"{difference.max_abs:.3g}" if difference.max_abs is not None else "NaN or infinities"
    )


def _operator(bench: Bench, index: int) -> Operator:
    operator = bench.flow.operator(index)
    return Operator(index, operator.kind, bench.flow.tensor(operator.outputs[0]).name)


def _suspect(bench: Bench, suspect: Suspect) -> SuspectRecord:
    operator = _operator(bench, suspect.operator)
    return SuspectRecord(
        index=operator.index,
        kind=operator.kind,
        name=operator.name,
        born=suspect.born,
        alone=suspect.alone,
        in_place=suspect.in_place,
    )


def _cut(bench: Bench, tensors: Sequence[int], seen: PartComparison) -> CutComparison:
    behind = [bench.flow.made_by(tensor) for tensor in tensors]
    return CutComparison(
        behind=tuple(_operator(bench, index) for index in behind if index is not None),
        beyond=seen.beyond,
        operators=seen.operators,
        tensors=seen.tensors,
        failure=seen.failure,
    )


def by_name(section: BisectSection) -> dict[str, float | None]:
    """What is known of each tensor for the graph: its error in steps, else relative to its peak.

    Errors of operators alone count before those of the model cut off behind them.
    """
    found: dict[str, float | None] = {}
    rows = [*section.suspects, *(section.walk or ())]
    looked: list[PartComparison | CutComparison] = [*section.search]
    if section.whole is not None:
        looked.insert(0, section.whole)
    looked += [row.in_place for row in rows if row.in_place is not None]
    looked += [row.alone for row in rows]
    for seen in looked:
        for tensor in seen.tensors:
            steps = tensor.max_lsb
            found[tensor.name] = tensor.relative if steps is None else steps
    return found
