"""The bisection's section of the report on a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from devdiff.report import parts
from devdiff.report.parts import escape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from devdiff.report.model import BisectSection
    from devdiff.report.model.bisect import (
        Agreeing,
        CutComparison,
        FloatVariant,
        KeptInFloat,
        PartComparison,
        ProfileSection,
        SuspectRecord,
    )


def show(section: BisectSection, out: Console, path: Path) -> None:
    """Print what was found; ``path`` is where its JSON lies."""
    parts.headline(section.verdict, section.reason, out)
    out.print()
    if section.suspects:
        _operators("suspect", section.suspects, out)
    if section.walk:
        _operators("operator", section.walk, out)
    runs = section.runs
    if section.profile is not None:
        _profile(section.profile, path.parent, out)
    elif runs.search is not None:
        out.print(
            f"{section.operators} operators; the search took {runs.search.candidate} runs "
            f"of {escape(section.sides.candidate.name)} (2 log2 of the operators is "
            f"{runs.allowed:g}), {runs.all.candidate} in all",
            soft_wrap=True,
        )
    inputs = section.inputs
    out.print(f"inputs: {inputs.samples} samples of {escape(inputs.origin)}", soft_wrap=True)
    if section.repro:
        out.print(f"repro: {escape(str(path.parent / section.repro))}", soft_wrap=True)
    out.print(f"report: {escape(str(path))}", soft_wrap=True)


def _operators(title: str, rows: Sequence[SuspectRecord], out: Console) -> None:
    """A row for each operator: what it does to equal inputs, and what differs behind it."""
    table = parts.table(
        title, "kind", "alone", "relative", "in place", "relative", "the difference is"
    )
    for row in rows:
        table.add_row(
            str(row.index),
            row.kind,
            *figures(row.alone),
            *figures(row.in_place),
            whence(row),
        )
    out.print(table)
    out.print()


def whence(row: SuspectRecord) -> str:
    """Whether an operator makes a difference itself or has it from its inputs."""
    if row.born:
        return "born here"
    beyond = row.in_place is not None and row.in_place.beyond
    return "passed on" if beyond else "-"


def figures(seen: PartComparison | CutComparison | None) -> tuple[str, str]:
    """The largest error in steps (or as it is), and relative to the tensor's peak."""
    if seen is None:
        return "-", "-"
    if seen.failure:
        return "fails", "-"
    tensors = seen.tensors
    steps = [tensor.max_lsb for tensor in tensors if tensor.max_lsb is not None]
    errors = [tensor.max_abs for tensor in tensors if tensor.max_abs is not None]
    shares = [tensor.relative for tensor in tensors if tensor.relative is not None]
    largest = f"{max(steps):g} LSB" if steps else (f"{max(errors):.3g}" if errors else "-")
    return largest, f"{100 * max(shares):.3g} %" if shares else "-"


def _profile(profile: ProfileSection, folder: Path, out: Console) -> None:
    """A row for each layer, then what keeping some in float brings."""
    table = parts.table("operator", "kind", "alone dB", "in place dB", "clipped", "range used")
    for row in profile.layers:
        place = row.in_place
        mark = " *" if row.index in profile.costliest else ""
        table.add_row(
            f"{row.index}{mark}",
            row.kind,
            decibels(row.alone.sqnr_db if row.alone is not None else None),
            decibels(place.sqnr_db),
            f"{100 * place.saturated:.3g} %",
            "-" if place.range_used is None else f"{100 * place.range_used:.0f} %",
        )
    out.print(table)
    out.print("* the costliest by themselves")
    for name in profile.unpaired:
        out.print(f"note: {escape(name)} has no counterpart in the float file", soft_wrap=True)
    out.print()
    _kept(profile.kept_in_float, out)
    out.print(f"table: {escape(str(folder / profile.table))}", soft_wrap=True)
    out.print(f"plot: {escape(str(folder / profile.plot))}", soft_wrap=True)


def _kept(kept: KeptInFloat | None, out: Console) -> None:
    if kept is None:
        return
    if kept.skipped is not None:
        out.print(f"layers in float: {escape(kept.skipped)}", soft_wrap=True)
        return
    table = parts.table("in float", "output dB", "gain dB", "top-1 agreement", "size")
    plain = kept.variants[0]
    for variant in kept.variants:
        layers = ", ".join(map(str, variant.layers)) or "none"
        if variant.refused is not None:
            table.add_row(layers, escape(variant.refused), "", "", "")
            continue
        table.add_row(
            layers,
            decibels(variant.sqnr_db),
            gain(variant, plain),
            _agreement(variant.agreement),
            "-" if variant.bytes is None else f"{variant.bytes / 1e6:.2f} MB",
        )
    out.print(table)


def gain(variant: FloatVariant, plain: FloatVariant) -> str:
    """By how many dB the output is nearer to the float model's than without layers in float."""
    own, without = variant.sqnr_db, plain.sqnr_db
    if own is None or without is None or math.isinf(own) or math.isinf(without):
        return "-"
    return f"{own - without:+.2f}"


def decibels(value: float | None) -> str:
    if value is None:
        return "-"
    return "∞" if value == math.inf else f"{value:.1f}"


def _agreement(rate: Agreeing | None) -> str:
    if rate is None:
        return "-"
    low, high = 100 * rate.low, 100 * rate.high
    return f"{rate.successes}/{rate.trials} ({low:.1f}–{high:.1f} %)"
