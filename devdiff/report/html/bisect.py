"""The page's section on a bisection: rows of its tables, and the plot of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from devdiff.report import words
from devdiff.report.bisect import decibels, figures, gain, whence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.report.html.plots import Plotter
    from devdiff.report.model import BisectSection
    from devdiff.report.model.bisect import (
        CutComparison,
        FloatVariant,
        LayerRecord,
        ProfileSection,
        SuspectRecord,
    )


Row = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class View:
    """Tables as lists of rows by column; empty where there is nothing to show."""

    suspects: Sequence[Row]
    search: Sequence[Row]
    walk: Sequence[Row]
    layers: Sequence[Row]
    kept: Sequence[Row]
    kept_note: str | None
    error: Markup | None
    ranges: Markup | None


def view(section: BisectSection, plotter: Plotter) -> View:
    """What the template shows of the report's section."""
    profile = section.profile
    kept = profile.kept_in_float if profile is not None else None
    variants = kept.variants if kept is not None else ()
    return View(
        suspects=[_operator(row) for row in section.suspects],
        search=[_step(row) for row in section.search],
        walk=[_operator(row) for row in section.walk or ()],
        layers=list(_layers(profile)) if profile is not None else [],
        kept=[_kept(row, variants[0]) for row in variants],
        kept_note=kept.skipped if kept is not None else None,
        error=plotter.layers(profile.layers, section.limits.min_snr_db) if profile else None,
        ranges=plotter.ranges(profile.layers) if profile else None,
    )


def _operator(row: SuspectRecord) -> Row:
    alone, place = figures(row.alone), figures(row.in_place)
    return {
        "operator": f"{row.index} {row.kind}",
        "output": row.name,
        "alone": alone[0],
        "relative": alone[1],
        "in place": place[0],
        "relative in place": place[1],
        "the difference is": whence(row),
    }


def _step(row: CutComparison) -> Row:
    largest, relative = figures(row)
    return {
        "the model cut off behind": ", ".join(
            f"{operator.index} {operator.kind}" for operator in row.behind
        ),
        "differs": "yes" if row.beyond else "no",
        "largest error": largest,
        "relative": relative,
    }


def _layers(profile: ProfileSection) -> Iterator[Row]:
    return (_layer(row, profile.costliest) for row in profile.layers)


def _layer(row: LayerRecord, costliest: Sequence[int]) -> Row:
    place = row.in_place
    return {
        "operator": f"{row.index} {row.kind}",
        "output": row.name,
        "alone dB": decibels(row.alone.sqnr_db if row.alone is not None else None),
        "in place dB": decibels(place.sqnr_db),
        "clipped": words.percent(place.saturated),
        "range used": words.percent(place.range_used),
        "costliest": "yes" if row.index in costliest else "",
    }


def _kept(variant: FloatVariant, plain: FloatVariant) -> Row:
    layers = ", ".join(map(str, variant.layers)) or "none"
    if variant.refused is not None:
        return {"in float": layers, "output dB": variant.refused}
    return {
        "in float": layers,
        "output dB": decibels(variant.sqnr_db),
        "gain dB": gain(variant, plain),
        "top-1 agreement": words.proportion(variant.agreement),
        "size": words.size(variant.bytes) if variant.bytes is not None else None,
    }
