"""What a verdict stands on: how many samples, of what sort, where, and what they could show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devdiff.comparison.intervals import CONFIDENCE, smallest_seen
from devdiff.comparison.wording import count, percent
from devdiff.report.model import BasisRecord
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.report.model import InputsRecord, PairRecord, Report, RungRecord
    from devdiff.report.model.places import DeviceRecord


@dataclass(frozen=True, slots=True)
class BasisFact:
    """One thing a verdict stands on; ``weak`` marks what lessens what it is worth."""

    term: str
    text: str
    weak: bool = False


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
        available=inputs.available,
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
    """``600 real labelled samples``, or how many of how many."""
    sort = f"{basis.inputs} {'labelled' if basis.labelled else 'unlabelled'} sample"
    if basis.inputs == "synthetic":
        sort = "synthetic sample"
    if basis.available is not None:
        return f"{basis.samples} of {count(basis.available, sort)} (--limit)"
    return count(basis.samples, sort)


def facts(report: Report) -> tuple[BasisFact, ...]:
    """The basis as terms: samples, inputs, labels, place, and the smallest fault it would show."""
    basis, scan = report.basis, report.scan
    synthetic = basis.inputs == "synthetic"
    limited = basis.available is not None
    samples = f"{basis.samples} of {basis.available} (--limit)" if limited else str(basis.samples)
    found = [
        BasisFact("Samples", samples, weak=limited or not basis.samples),
        BasisFact("Inputs", "synthetic: numerics only" if synthetic else "real", weak=synthetic),
        BasisFact("Labels", "yes" if basis.labelled else "none"),
        _place(report),
    ]
    if scan is not None and scan.samples is not None:
        held_out = scan.samples.held_out
        found.append(BasisFact("Scan", f"{held_out} inputs held out", weak=not held_out))
    if basis.samples and report.verdict is not Verdict.FINDING:
        share = percent(basis.smallest_fault_share)
        found.append(BasisFact("Would show", f"a fault in {share} of inputs"))
    return tuple(found)


def _place(report: Report) -> BasisFact:
    """Where the last rung ran: on a host, on a virtual phone, in an emulator or on a phone."""
    device = next((rung.identity.phone for rung in report.rungs if rung.name == "device"), None)
    if device is None:
        return BasisFact("Ran on", "host: this machine")
    kind = _kind(device)
    return BasisFact("Ran on", f"{kind}: {device.serial} ({device.model})", weak=kind != "phone")


def _kind(device: DeviceRecord) -> str:
    if device.virtual:
        return "virtual phone"
    return "emulator" if device.emulator else "phone"


def _where(rungs: Sequence[RungRecord]) -> str:
    device = next((rung.identity.phone for rung in rungs if rung.name == "device"), None)
    if device is None:
        return "this machine"
    virtual = "virtual phone " if device.virtual else ""
    return f"{virtual}{device.serial} ({device.model})"
