"""What a verdict stands on: how many samples, of what sort, where, and what they could show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.comparison.intervals import CONFIDENCE, smallest_seen
from devdiff.comparison.wording import count, percent
from devdiff.report.model import BasisRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.report.model import InputsRecord, PairRecord, RungRecord


def make(
    inputs: InputsRecord, pairs: Sequence[PairRecord], rungs: Sequence[RungRecord]
) -> BasisRecord:
    """The report's ``basis``, from its own ``inputs``, ``pairs`` and ``rungs``.

    ``samples`` are those of the step that was compared on the fewest, 0 where one that counts was
    not compared at all.
    """
    counting = [pair for pair in pairs if pair.gates] or list(pairs)
    samples = min(
        (pair.comparison.compared if pair.comparison else 0 for pair in counting), default=0
    )
    return BasisRecord(
        samples=samples,
        inputs="synthetic" if inputs.synthetic else "real",
        labelled=inputs.labelled,
        smallest_fault_share=smallest_seen(samples),
        confidence=CONFIDENCE,
        where=_where(rungs),
    )


def sentence(basis: BasisRecord) -> str:
    """The basis in one line, to stand beside the verdict."""
    line = f"on {samples_of(basis)}, {basis.where}"
    if not basis.samples:
        return f"{line}; nothing was compared"
    return (
        f"{line}; a fault in {percent(basis.smallest_fault_share)} of inputs would have been seen"
    )


def samples_of(basis: BasisRecord) -> str:
    """``600 real labelled samples``."""
    if basis.inputs == "synthetic":
        return count(basis.samples, "synthetic sample")
    sort = "labelled" if basis.labelled else "unlabelled"
    return count(basis.samples, f"{basis.inputs} {sort} sample")


def _where(rungs: Sequence[RungRecord]) -> str:
    device = next((rung.identity.phone for rung in rungs if rung.name == "device"), None)
    if device is None:
        return "this machine"
    virtual = "virtual phone " if device.virtual else ""
    return f"{virtual}{device.serial} ({device.model})"
