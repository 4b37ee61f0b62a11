"""The page's section on a bisection: rows of its tables, and the plot of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from devdiff.report import words
from devdiff.report.bisect import decibels, figures, gain, whence

if TYPE_CHECKING:
    from devdiff.report.html.plots import Plotter


@dataclass(frozen=True, slots=True)
class View:
    """Tables as lists of rows by column; empty where there is nothing to show."""

    suspects: Sequence[Mapping[str, Any]]
    search: Sequence[Mapping[str, Any]]
    walk: Sequence[Mapping[str, Any]]
    layers: Sequence[Mapping[str, Any]]
    kept: Sequence[Mapping[str, Any]]
    kept_note: str | None
    plot: Markup | None


def view(section: Mapping[str, Any], plotter: Plotter) -> View:
    """What the template shows of the report's section."""
    profile: Mapping[str, Any] = section.get("profile") or {}
    kept: Mapping[str, Any] = profile.get("kept_in_float") or {}
    layers = profile.get("layers", ())
    return View(
        [_operator(row) for row in section["suspects"]],
        [_step(row) for row in section["search"]],
        [_operator(row) for row in section.get("walk", ())],
        [_layer(row, profile["costliest"]) for row in layers],
        [_kept(row, kept["variants"][0]) for row in kept.get("variants", ())],
        kept.get("skipped"),
        _plot(layers, plotter),
    )


def _operator(row: Mapping[str, Any]) -> dict[str, Any]:
    alone, place = figures(row["alone"]), figures(row["in_place"])
    return {
        "operator": f"{row['index']} {row['kind']}",
        "output": row["name"],
        "alone": alone[0],
        "relative": alone[1],
        "in place": place[0],
        "relative in place": place[1],
        "the difference is": whence(row),
    }


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    largest, relative = figures(row)
    return {
        "the model cut off behind": ", ".join(
            f"{operator['index']} {operator['kind']}" for operator in row["behind"]
        ),
        "differs": "yes" if row["beyond"] else "no",
        "largest error": largest,
        "relative": relative,
    }


def _layer(row: Mapping[str, Any], costliest: Sequence[int]) -> dict[str, Any]:
    place, alone = row["in_place"], row["alone"] or {"sqnr_db": None}
    return {
        "operator": f"{row['index']} {row['kind']}",
        "output": row["name"],
        "alone dB": decibels(alone["sqnr_db"]),
        "in place dB": decibels(place["sqnr_db"]),
        "clipped": words.percent(place["saturated"]),
        "range used": words.percent(place["range_used"]),
        "costliest": "yes" if row["index"] in costliest else "",
    }


def _kept(variant: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    layers = ", ".join(map(str, variant["layers"])) or "none"
    if "refused" in variant:
        return {"in float": layers, "output dB": variant["refused"]}
    return {
        "in float": layers,
        "output dB": decibels(variant["sqnr_db"]),
        "gain dB": gain(variant, plain),
        "top-1 agreement": words.proportion(variant["agreement"]),
        "bytes": variant["bytes"],
    }


def _plot(layers: Sequence[Mapping[str, Any]], plotter: Plotter) -> Markup | None:
    """The layers' ratios in the whole model; none where one of them is no number."""
    values = [row["in_place"]["sqnr_db"] for row in layers]
    finite = [float(value) for value in values if isinstance(value, int | float)]
    if not finite or len(finite) != len(values):
        return None
    return plotter.profile(finite, "SQNR dB")
