"""The error profile as a picture: each layer's signal-to-noise ratio, alone and in place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.report.model.bisect import LayerNoise, LayerRecord

_MOST_DB: Final = 80.0
"""Ratios beyond this, infinite ones among them, are drawn here."""


def write(path: Path, rows: Sequence[LayerRecord]) -> Path:
    """Write an SVG of ``rows``, the layers of the report's profile."""
    # Its own classes instead of pyplot, which keeps state and looks for a display.
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.0, 0.16 * len(rows) + 2), 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    places = [row.index for row in rows]
    alone = [_height(row.alone) for row in rows]
    axes.bar(places, alone, color="#9ecae1", label="alone, with the float model's inputs")
    axes.plot(
        places,
        [_height(row.in_place) for row in rows],
        color="#d84315",
        marker=".",
        label="in the whole model",
    )
    axes.set_xlabel("operator")
    axes.set_ylabel("signal to quantization noise, dB")
    axes.legend()
    # No date, so that equal profiles are equal files.
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def _height(errors: LayerNoise | None) -> float:
    if errors is None or errors.sqnr_db is None:
        return math.nan
    return min(_MOST_DB, errors.sqnr_db)
