"""The scan's section of the report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from devdiff.report.parts import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

_STYLES: Final = {
    "finding": "bold red",
    "no finding": "green",
    "inconclusive": "bold yellow",
    "error": "bold magenta",
}


def show(scan: Mapping[str, Any], out: Console) -> None:
    """Print what was found, how it was measured, and what the evidence beside it says."""
    verdict = scan["verdict"]
    out.print(f"scan: [{_STYLES[verdict]}]{verdict}[/]  {escape(scan['reason'])}", soft_wrap=True)
    if "trigger" in scan:
        _trigger(scan, out)
        _placebo(scan["placebo"], out)
        _transfer(scan["placebo"], out)
    for name, found in scan.get("evidence", {}).items():
        text = found.get("error") or found.get("skipped") or found["status"]
        out.print(f"  {name}: {escape(str(text))}", soft_wrap=True)
    for entry in scan.get("taxonomy", ()):
        out.print(f"  {entry['id']}: {escape(entry['name'])}", soft_wrap=True)
    out.print()


def _trigger(scan: Mapping[str, Any], out: Console) -> None:
    trigger = scan["trigger"]
    where = f"moved by {100 * trigger['size']:.1f} % of the side on average"
    if trigger["form"] != "warp":
        where = f"{100 * trigger['size']:.1f} % of the input"
    aim = "another answer" if trigger["target"] is None else f"class {trigger['target']}"
    out.print(
        f"  trigger: {trigger['form']}, {where}, towards {aim} ({trigger['file']})",
        soft_wrap=True,
    )
    for rung in scan["replay"]["rungs"]:
        clean, triggered = rung["clean"], rung["triggered"]
        out.print(
            f"  {rung['rung']}: {aim} on {_rate(triggered)} with the trigger, "
            f"{clean['successes']} of {clean['trials']} without",
            soft_wrap=True,
        )


def _placebo(placebo: Mapping[str, Any], out: Console) -> None:
    if not placebo["searched"]:
        return
    rates = ", ".join(f"{rate:.2f}" for rate in placebo["searched"])
    text = (
        f"  placebos ({placebo['what']}): {rates}, the model itself {placebo['own']:.2f}; "
        f"p = {placebo['p_value']:.2g}, the least so few can give is {placebo['smallest_p']:.2g}"
    )
    if "p_beats" in placebo:
        text += f"; against all together p = {placebo['p_beats']:.2g}"
    if "benign" in placebo:
        text += f"; they change {100 * placebo['benign']:.1f} % of the answers to clean inputs"
    out.print(text, soft_wrap=True)


def _transfer(placebo: Mapping[str, Any], out: Console) -> None:
    others = placebo.get("transfer")
    if not others:
        return
    reach = sum(other >= placebo["transfer_own"] for other in others)
    out.print(
        f"  this very trigger in {len(others)} more of them: at most {max(others):.2f}, this model "
        f"{placebo['transfer_own']:.2f}; reached by {reach}, p = {placebo['transfer_p']:.2g}",
        soft_wrap=True,
    )


def _rate(rate: Mapping[str, Any]) -> str:
    """``41 of 45 (95 %: 0.79 to 0.98)``."""
    confidence = f"{100 * rate['confidence']:g} %"
    return (
        f"{rate['successes']} of {rate['trials']} "
        f"({confidence}: {rate['low']:.2f} to {rate['high']:.2f})"
    )
