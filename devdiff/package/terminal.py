"""The check of a package on a terminal: the verdict first, then models, libraries, warnings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.report import parts
from devdiff.report.parts import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from devdiff.package.check import PackageCheck
    from devdiff.package.libraries import PackagedLibrary
    from devdiff.package.models import PackagedModel


def show(check: PackageCheck, out: Console) -> None:
    """Print what was found."""
    parts.headline(check.verdict.value, f"{check.name}: {check.summary}", out)
    out.print()
    _models(check.models, out)
    for model in check.models:
        if model.note:
            parts.say(f"{escape(model.place)}: {escape(model.note)}", out)
    running = [library for library in check.libraries if library.role is not None]
    if running:
        out.print()
        _libraries(running, out)
    others = len(check.libraries) - len(running)
    if others:
        out.print(f"{others} other native librar{'y' if others == 1 else 'ies'}")
    if check.remarks:
        out.print()
    for remark in check.remarks:
        mark = "[bold red]fail[/]" if remark.fails else "[yellow]warning[/]"
        parts.say(f"{mark} {escape(str(remark))}", out)
    out.print(
        f"package: {check.kind}, {check.bytes / 1e6:.1f} MB, sha256 {check.sha256[:12]}",
        soft_wrap=True,
    )


def _models(models: Sequence[PackagedModel], out: Console) -> None:
    table = parts.table(
        "model", "kind", "size", "stored", "tested on", "report", "sha256", "verdict"
    )
    for model in models:
        verdict = model.verdict.value
        shown = "untested" if model.untested else verdict
        if model.untested and model.allowed is not None:
            shown = "allowed"
        tested = None if model.untested else model.tested
        table.add_row(
            escape(model.place),
            "-".join((model.form, *model.packings)),
            f"{model.bytes / 1e6:.2f} MB",
            _stored(model),
            escape(", ".join(tested.devices)) if tested else "-",
            escape(", ".join(map(_short, tested.evidence))) if tested else "-",
            model.sha256[:12],
            f"[{parts.STYLES[verdict]}]{shown}[/]",
        )
    out.print(table)


def _stored(model: PackagedModel) -> str:
    """How it is stored where that is what gets installed."""
    if model.kind != "apk":
        return "-"
    return "compressed" if model.compressed else "as it is"


def _short(evidence: str) -> str:
    """A report's path by its last two parts, which tell runs apart."""
    return str(Path(*Path(evidence).parts[-2:]))


def _libraries(libraries: Sequence[PackagedLibrary], out: Console) -> None:
    table = parts.table("library", "ABI", "what it is", "tested with", "largest page", "sha256")
    for library in libraries:
        table.add_row(
            escape(library.place),
            escape(library.abi),
            library.other.name if library.other else library.role or "",
            "yes" if library.tested else "no",
            "damaged" if library.page is None else f"{library.page // 1024} KiB",
            (library.sha256 or "")[:12],
        )
    out.print(table)
