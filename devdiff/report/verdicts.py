"""The verdict that follows from a report's parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.report.model import Report
    from devdiff.report.model.scan import ScanVerdict

_SCANNED: Final = {
    "finding": Verdict.FINDING,
    "no finding": Verdict.PASS,
    "inconclusive": Verdict.INCONCLUSIVE,
    "error": Verdict.ERROR,
}


def scan_verdict(verdict: ScanVerdict) -> Verdict:
    """What a scan's own word for its outcome counts as."""
    return _SCANNED[verdict]


def recomputed(report: Report) -> Verdict:
    """The verdict that follows from the steps, rungs, scan and data check of a report."""
    data = report.data_check
    return of_parts(
        [(pair.gates, pair.judgement.verdict) for pair in report.pairs],
        broken=any(rung.error is not None for rung in report.rungs),
        scan=report.scan.verdict if report.scan is not None else None,
        data=Verdict(data.verdict) if data is not None and data.verdict is not None else None,
    )


def of_parts(
    steps: Sequence[tuple[bool, Verdict]],
    *,
    broken: bool,
    scan: ScanVerdict | None,
    data: Verdict | None = None,
) -> Verdict:
    """The worst of the steps that count, of the scan and of the data check.

    ``steps`` are whether a step counts, with its verdict; where none does and nothing else
    decides, all do. ``broken``: a rung could not run, which is an ``error``.
    """
    verdicts = [verdict for gates, verdict in steps if gates]
    if scan is not None:
        verdicts.append(scan_verdict(scan))
    if broken:
        verdicts.append(Verdict.ERROR)
    verdicts = verdicts or [verdict for _, verdict in steps]
    # That inputs and labels suit the model proves nothing by itself.
    if data is not None and verdicts:
        verdicts.append(data)
    return combine(verdicts)


def follows(verdict: Verdict, own: Verdict) -> bool:
    """Whether ``verdict`` may be that of a report whose parts come to ``own``."""
    # Too few samples, or labels that do not fit, can leave undecided what no step has against it.
    return verdict is own or (own is Verdict.PASS and verdict is Verdict.INCONCLUSIVE)
