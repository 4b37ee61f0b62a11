"""Size against agreement, a point a compression, as one SVG file."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devdiff.comparison.intervals import Proportion
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.recipes.record import RecipesRecord, RowRecord

_SIZE: Final = (7.0, 4.2)
# Points of like size and agreement lie on each other.
_MARKERS: Final = "osD^vX*"
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "devdiff",
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class _Point:
    """A compression; its interval reaches ``below`` and ``above`` its ``middle``."""

    label: str
    kilobytes: float
    middle: float
    below: float = 0.0
    above: float = 0.0


def write(record: RecipesRecord, path: Path) -> bool:
    """Draw a trial's record into ``path``; False when it has nothing that could be drawn.

    The vertical axis is the top-1 agreement of the whole way with its exact 95 % interval, or
    where there are no class scores the signal-to-noise ratio in dB, where it is finite. Raises
    `OSError`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [row for row in record.compressions if row.bytes is not None]
    by_agreement = all(row.agreement for row in rows)
    points = [point for point in map(_height if by_agreement else _level, rows) if point]
    if not points:
        return False
    with rc_context(_SETTINGS):
        figure = Figure(_SIZE, layout="constrained")
        axes = figure.add_subplot()
        for point, marker in zip(points, itertools.cycle(_MARKERS), strict=False):
            axes.errorbar(
                [point.kilobytes],
                [point.middle],
                yerr=[[point.below], [point.above]],
                fmt=marker,
                capsize=3,
                label=point.label,
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


def _height(row: RowRecord) -> _Point | None:
    """Agreement in per cent with its interval."""
    if row.agreement is None or row.bytes is None:
        return None
    found = Proportion.of(row.agreement.agreed, row.agreement.samples)
    rate = found.successes / found.trials
    below, above = 100 * (rate - found.low), 100 * (found.high - rate)
    return _Point(row.compression, row.bytes / 1e3, 100 * rate, below, above)


def _level(row: RowRecord) -> _Point | None:
    """The signal-to-noise ratio, where it is finite."""
    if row.snr_db is None or row.bytes is None or not math.isfinite(row.snr_db):
        return None
    return _Point(row.compression, row.bytes / 1e3, row.snr_db)
