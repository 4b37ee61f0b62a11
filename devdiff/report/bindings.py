"""How tensors were paired, in the report's words: a line for the artifacts paired alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TENSORS_NAMED: Final = 6
_BY: Final = {
    "export": "by the export",
    "manifest": "by their manifest",
    "name": "by name",
    "order": "by order",
    "running": "by running",
}


def lines(report: Mapping[str, Any]) -> list[str]:
    """Of every artifact that has a source; empty for reports of an older devdiff."""
    found: dict[str, list[str]] = {}
    for one in report.get("bindings", ()):
        if one["by"] in _BY:
            found.setdefault(_how(one), []).append(one["file"])
    return [f"{', '.join(files)}: {how}" for how, files in found.items()]


def _how(pairing: Mapping[str, Any]) -> str:
    chosen = pairing["by"] in ("order", "running")
    named = []
    for one in (*pairing["inputs"], *pairing["outputs"]):
        permuted = one["axes"] != sorted(one["axes"])
        if chosen or permuted:
            axes = f" with its axes as {one['axes']}" if permuted else ""
            named.append(f"{one['source']} is {one['artifact']}{axes}")
    if len(named) > _TENSORS_NAMED:
        named = [*named[:_TENSORS_NAMED], f"{len(named) - _TENSORS_NAMED} more"]
    tensors = f"; {', '.join(named)}" if named else ""
    return f"tensors paired with the source's {_BY[pairing['by']]} ({pairing['reason']}){tensors}"
