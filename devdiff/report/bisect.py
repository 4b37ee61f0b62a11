"""The bisection's section of the report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from devdiff.report.parts import escape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

_STYLES: Final = {"fail": "bold red", "pass": "bold green"}


def show(section: Mapping[str, Any], out: Console, path: Path) -> None:
    """Print what was found; ``path`` is where its JSON lies."""
    verdict = section["verdict"]
    out.print(
        f"[{_STYLES[verdict]}]{verdict.upper()}[/]  {escape(section['reason'])}", soft_wrap=True
    )
    out.print()
    if section["suspects"]:
        _operators("suspect", section["suspects"], out)
    if section.get("walk"):
        _operators("operator", section["walk"], out)
    if "profile" in section:
        _profile(section["profile"], path.parent, out)
    else:
        runs = section["runs"]
        out.print(
            f"{section['operators']} operators; the search took {runs['search']['candidate']} runs "
            f"of {escape(section['sides']['candidate']['name'])} (2 log2 of the operators is "
            f"{runs['allowed']:g}), {runs['all']['candidate']} in all",
            soft_wrap=True,
        )
    inputs = section["inputs"]
    out.print(f"inputs: {inputs['samples']} samples of {escape(inputs['origin'])}", soft_wrap=True)
    if section["repro"]:
        out.print(f"repro: {escape(str(path.parent / section['repro']))}", soft_wrap=True)
    out.print(f"report: {escape(str(path))}", soft_wrap=True)


def _operators(title: str, rows: Any, out: Console) -> None:
    """A row for each operator: what it does to equal inputs, and what differs behind it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (title, "kind", "alone", "relative", "in place", "relative", "the difference is"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["index"]),
            row["kind"],
            *figures(row["alone"]),
            *figures(row["in_place"]),
            whence(row),
        )
    out.print(table)
    out.print()


def whence(row: Mapping[str, Any]) -> str:
    """Whether an operator makes a difference itself or has it from its inputs."""
    if row["born"]:
        return "born here"
    beyond = row["in_place"] is not None and row["in_place"]["beyond"]
    return "passed on" if beyond else "-"


def figures(seen: Mapping[str, Any] | None) -> tuple[str, str]:
    """The largest error in steps (or as it is), and relative to the tensor's peak."""
    if seen is None:
        return "-", "-"
    if seen["failure"]:
        return "fails", "-"
    tensors = seen["tensors"]
    steps = [tensor["max_lsb"] for tensor in tensors if tensor["max_lsb"] is not None]
    errors = [tensor["max_abs"] for tensor in tensors if tensor["max_abs"] is not None]
    shares = [tensor["relative"] for tensor in tensors if tensor["relative"] is not None]
    largest = f"{max(steps):g} LSB" if steps else (f"{max(errors):.3g}" if errors else "-")
    return largest, f"{100 * max(shares):.3g} %" if shares else "-"


def _profile(profile: Mapping[str, Any], folder: Path, out: Console) -> None:
    """A row for each layer, then what keeping some in float brings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("operator", "kind", "alone dB", "in place dB", "clipped", "range used"):
        table.add_column(column, overflow="fold")
    for row in profile["layers"]:
        place, alone = row["in_place"], row["alone"] or {"sqnr_db": None}
        mark = " *" if row["index"] in profile["costliest"] else ""
        table.add_row(
            f"{row['index']}{mark}",
            row["kind"],
            decibels(alone["sqnr_db"]),
            decibels(place["sqnr_db"]),
            f"{100 * place['saturated']:.3g} %",
            "-" if place["range_used"] is None else f"{100 * place['range_used']:.0f} %",
        )
    out.print(table)
    out.print("* the costliest by themselves")
    for name in profile["unpaired"]:
        out.print(f"note: {escape(name)} has no counterpart in the float file", soft_wrap=True)
    out.print()
    _kept(profile["kept_in_float"], out)
    out.print(f"table: {escape(str(folder / profile['table']))}", soft_wrap=True)
    out.print(f"plot: {escape(str(folder / profile['plot']))}", soft_wrap=True)


def _kept(kept: Mapping[str, Any] | None, out: Console) -> None:
    if kept is None:
        return
    if "skipped" in kept:
        out.print(f"layers in float: {escape(kept['skipped'])}", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("in float", "output dB", "gain dB", "top-1 agreement", "size"):
        table.add_column(column, overflow="fold")
    plain = kept["variants"][0]
    for variant in kept["variants"]:
        layers = ", ".join(map(str, variant["layers"])) or "none"
        if "refused" in variant:
            table.add_row(layers, escape(variant["refused"]))
            continue
        table.add_row(
            layers,
            decibels(variant["sqnr_db"]),
            gain(variant, plain),
            _agreement(variant["agreement"]),
            f"{variant['bytes'] / 1e6:.2f} MB",
        )
    out.print(table)


def gain(variant: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    """By how many dB the output is nearer to the float model's than without layers in float."""
    values = [one["sqnr_db"] for one in (variant, plain)]
    if None in values or "inf" in values:
        return "-"
    return f"{values[0] - values[1]:+.2f}"


def decibels(value: float | str | None) -> str:
    if value is None:
        return "-"
    return "∞" if value == "inf" else f"{float(value):.1f}"


def _agreement(rate: Mapping[str, Any] | None) -> str:
    if rate is None:
        return "-"
    low, high = 100 * rate["low"], 100 * rate["high"]
    return f"{rate['successes']}/{rate['trials']} ({low:.1f}–{high:.1f} %)"
