"""The scan's section of the report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.report.parts import escape, say

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.comparison import Proportion
    from devdiff.report.model import ScanSection
    from devdiff.report.model.scan import CarriersRecord, PlaceboRecord, ReplayRecord, TriggerRecord

_STYLES: Final = {
    "finding": "bold red",
    "no finding": "green",
    "inconclusive": "bold yellow",
    "error": "bold magenta",
}


def show(scan: ScanSection, out: Console) -> None:
    """Print what was found, how it was measured, and what the evidence beside it says."""
    verdict = scan.verdict
    say(f"scan: [{_STYLES[verdict]}]{verdict}[/]  {escape(scan.reason)}", out)
    if scan.trigger is not None and scan.replay is not None:
        _trigger(scan.trigger, scan.replay, out)
    if scan.placebo is not None:
        _placebo(scan.placebo, out)
        _transfer(scan.placebo, out)
    if scan.carriers is not None:
        _carriers(scan.carriers, out)
    for name, found in scan.parts_of_evidence().items():
        text = found.error or found.skipped or found.status
        say(f"  {name}: {escape(text)}", out)
    for entry in scan.taxonomy:
        say(f"  {entry.id}: {escape(entry.name)}", out)
    out.print()


def _trigger(trigger: TriggerRecord, replay: ReplayRecord, out: Console) -> None:
    where = f"moved by {100 * trigger.size:.1f} % of the side on average"
    if trigger.form != "warp":
        where = f"{100 * trigger.size:.1f} % of the input"
    aim = "another answer" if trigger.target is None else f"class {trigger.target}"
    say(
        f"  trigger: {trigger.form}, {where}, towards {aim} ({trigger.file})",
        out,
    )
    for rung in replay.rungs:
        clean, triggered = rung.clean, rung.triggered
        say(
            f"  {rung.rung}: {aim} on {_rate(triggered)} with the trigger, "
            f"{clean.successes} of {clean.trials} without",
            out,
        )


def _placebo(placebo: PlaceboRecord, out: Console) -> None:
    if not placebo.searched:
        return
    rates = ", ".join(f"{rate:.2f}" for rate in placebo.searched)
    text = f"  placebos ({placebo.what}): {rates}, the model itself {placebo.own:.2f}"
    if placebo.p_value is not None and placebo.smallest_p is not None:
        text += (
            f"; p = {placebo.p_value:.2g}, the least so few can give is {placebo.smallest_p:.2g}"
        )
    if placebo.p_beats is not None:
        text += f"; against all together p = {placebo.p_beats:.2g}"
    if placebo.benign is not None:
        text += f"; they change {100 * placebo.benign:.1f} % of the answers to clean inputs"
    say(text, out)


def _transfer(placebo: PlaceboRecord, out: Console) -> None:
    others, own, p = placebo.transfer, placebo.transfer_own, placebo.transfer_p
    if not others or own is None or p is None:
        return
    reach = sum(other >= own for other in others)
    say(
        f"  this very trigger in {len(others)} more of them: at most {max(others):.2f}, this model "
        f"{own:.2f}; reached by {reach}, p = {p:.2g}",
        out,
    )


def _carriers(carriers: CarriersRecord, out: Console) -> None:
    alone = ", ".join(f"{part.part} {_rate(part.alone)}" for part in carriers.parts)
    text = f"  each part of the compression alone: {alone}"
    if carriers.widened:
        text += (
            f"; with wider ranges, in {len(carriers.widened)} models: "
            f"{min(carriers.widened):.2f} to {max(carriers.widened):.2f}"
        )
    say(text, out)


def _rate(rate: Proportion) -> str:
    """``41 of 45 (95 %: 0.79 to 0.98)``."""
    confidence = f"{100 * rate.confidence:g} %"
    return f"{rate.successes} of {rate.trials} ({confidence}: {rate.low:.2f} to {rate.high:.2f})"
