"""Checked evidence on a terminal: for each statement its verdict, then whose word it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.report import parts
from devdiff.system.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import Console

    from devdiff.attestation.check import Attested
    from devdiff.gate.requirements import Requirements


def show(
    attested: Sequence[Attested], files: Iterable[Path], required: Requirements, out: Console
) -> None:
    """Print what the statements say, and the files that were held against them."""
    for statement in attested:
        verdict, refusal = statement.verdict_by(required), statement.refusal(required)
        parts.headline(
            verdict.value, f"{statement.name}: {refusal or statement.excerpt.summary}", out
        )
        names = {rung.model.sha256: rung.model.file for rung in statement.excerpt.rungs}
        for sha256, model in statement.tested.models.items():
            where = ", ".join(model.devices)
            out.print(
                f"tested: {printable(names[sha256])} (sha256 {sha256[:12]}) on {printable(where)}, "
                f"{statement.excerpt.finished}",
                markup=False,
                soft_wrap=True,
            )
        out.print(f"signed with: {statement.keyid}", markup=False, soft_wrap=True)
    for file in files:
        out.print(f"as it was signed: {printable(str(file))}", markup=False, soft_wrap=True)
