"""How tensors were paired, in the report's words: a line for the artifacts paired alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from devdiff.report.model import PairingRecord, Report

_TENSORS_NAMED: Final = 6
_BY: Final = {
    "export": "by the export",
    "manifest": "by their manifest",
    "name": "by name",
    "order": "by order",
    "running": "by running",
}


def lines(report: Report) -> list[str]:
    """Of every artifact that has a source."""
    found: dict[str, list[str]] = {}
    for pairing in report.bindings:
        if pairing.by in _BY:
            found.setdefault(_how(pairing), []).append(pairing.file)
    return [f"{', '.join(files)}: {how}" for how, files in found.items()]


def _how(pairing: PairingRecord) -> str:
    chosen = pairing.by in ("order", "running")
    named = []
    for tensor in (*pairing.inputs, *pairing.outputs):
        permuted = tensor.axes != tuple(sorted(tensor.axes))
        if chosen or permuted:
            axes = f" with its axes as {list(tensor.axes)}" if permuted else ""
            named.append(f"{tensor.source} is {tensor.artifact}{axes}")
    if len(named) > _TENSORS_NAMED:
        named = [*named[:_TENSORS_NAMED], f"{len(named) - _TENSORS_NAMED} more"]
    tensors = f"; {', '.join(named)}" if named else ""
    return f"tensors paired with the source's {_BY[pairing.by]} ({pairing.reason}){tensors}"
