"""Size against agreement, a point a compression, as one SVG file."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any, Final

from devdiff.compare.intervals import Proportion
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SIZE: Final = (7.0, 4.2)
# Points of like size and agreement lie on each other.
_MARKERS: Final = "osD^vX*"
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "devdiff",
    "text.parse_math": False,
}


def write(record: Mapping[str, Any], path: Path) -> bool:
    """Draw a trial's record into ``path``; False when it has nothing that could be drawn.

    The vertical axis is the top-1 agreement of the whole way with its exact 95 % interval, or
    where there are no class scores the signal-to-noise ratio in dB, where it is finite. Raises
    `OSError`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [row for row in record["compressions"] if "bytes" in row]
    by_agreement = all(row["agreement"] for row in rows)
    rows = rows if by_agreement else [row for row in rows if isinstance(row["snr_db"], float)]
    if not rows:
        return False
    with rc_context(_SETTINGS):
        figure = Figure(_SIZE, layout="constrained")
        axes = figure.add_subplot()
        for row, marker in zip(rows, itertools.cycle(_MARKERS), strict=False):
            size = row["bytes"] / 1e3
            middle, below, above = _height(row) if by_agreement else (row["snr_db"], 0.0, 0.0)
            axes.errorbar(
                [size],
                [middle],
                yerr=[[below], [above]],
                fmt=marker,
                capsize=3,
                label=row["compression"],
            )
        axes.margins(0.2)
        axes.set_xlabel("size of the artifact in kB")
        axes.set_ylabel(
            "top-1 agreement with the source in %" if by_agreement else "SNR to the source in dB"
        )
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper", frameon=False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Title": "Recipes compared"})
    with whole_file(path) as stream:
        stream.write(drawn.getvalue())
    return True


def _height(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Agreement in per cent, and how far its interval reaches below and above."""
    found = Proportion.of(row["agreement"]["agreed"], row["agreement"]["samples"])
    rate = found.successes / found.trials
    return 100 * rate, 100 * (rate - found.low), 100 * (found.high - rate)
