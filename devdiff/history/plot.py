"""Agreement and latency over runs and devices, as a picture."""

from __future__ import annotations

import datetime
import io
import math
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import UsageError
from devdiff.history.record import NO_DEVICE, WHOLE_WAY, RunRecord, StepFigures
from devdiff.system.atomic_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

FORMATS: Final = (".svg", ".png")
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "devdiff",
    "font.size": 9,
    # Names come from outside, and may hold a dollar sign.
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_MARKERS: Final = {"pass": "o", "fail": "X", "inconclusive": "s", "error": "P", "finding": "D"}
_LINES_NAMED: Final = 12
_WIDE: Final = 20

Series = dict[str, list[tuple[datetime.datetime, float, str]]]


def check_format(path: Path) -> None:
    """Raises `UsageError` when a picture cannot be written there."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: name a file that ends in {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}")


def draw(runs: Sequence[RunRecord], path: Path) -> None:
    """Draw the runs into an SVG or PNG file.

    Panels are left out where nothing is known; a point's form is its run's verdict. Raises
    `UsageError` when there is nothing to draw, or the file cannot be such a picture.
    """
    import matplotlib
    from matplotlib.figure import Figure

    check_format(path)
    drawn = [(panel, title) for panel, title in _panels(runs) if panel]
    if not drawn:
        raise UsageError("there is nothing to plot: none of these runs compared or measured a rung")
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(8, 2.6 * len(drawn)), layout="constrained")
        grid = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)
        for axes, (series, title) in zip(grid[:, 0], drawn, strict=True):
            _lines(axes, series, title)
        grid[-1, 0].set_xlabel("run finished (UTC)")
        figure.autofmt_xdate()
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        picture = io.BytesIO()
        form = path.suffix.lower().removeprefix(".")
        figure.savefig(picture, format=form, dpi=150, metadata=metadata)
    write_whole(path, picture.getvalue())


def _panels(runs: Sequence[RunRecord]) -> list[tuple[Series, str]]:
    several = len({run.model for run in runs}) > 1
    recipes = len({run.compression for run in runs}) > 1

    def gather(figures: Callable[[RunRecord], list[tuple[str, float | None]]]) -> Series:
        series: Series = {}
        for run in sorted(runs, key=lambda run: run.finished):
            for name, value in figures(run):
                if value is not None and math.isfinite(value):
                    about = [run.model] * several + [run.compression] * recipes
                    label = ": ".join([" ".join(about), name] if about else [name])
                    finished = datetime.datetime.fromisoformat(run.finished)
                    series.setdefault(label, []).append((finished, value, run.verdict))
        return series

    def steps(value: Callable[[StepFigures], float | None]) -> Series:
        return gather(
            lambda run: [
                (f"{worst.reference} to {worst.candidate}{_on(run, worst.candidate)}", value(worst))
                for step in dict.fromkeys(figures.step for figures in run.steps)
                if step in (WHOLE_WAY, "compression") and (worst := run.worst(step)) is not None
            ]
        )

    return [
        (
            steps(lambda figures: None if figures.agreement is None else 100 * figures.agreement),
            "top-1 agreement, %",
        ),
        (steps(lambda figures: figures.snr_db if figures.agreement is None else None), "SNR, dB"),
        (
            gather(
                lambda run: [
                    (f"{rung.name}{_on(run, rung.name)}", rung.median_ms) for rung in run.rungs
                ]
            ),
            "median ms a sample",
        ),
    ]


def _on(run: RunRecord, rung: str) -> str:
    return f" ({run.device})" if rung == "device" and run.device != NO_DEVICE else ""


def _lines(axes: Axes, series: Series, title: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for label, points in series.items():
        times, heights, _ = zip(*points, strict=True)
        (line,) = axes.plot(times, heights, linewidth=1, label=label)
        for verdict, marker in _MARKERS.items():
            at = [(time, value) for time, value, found in points if found == verdict]
            if at:
                x, y = zip(*at, strict=True)
                axes.plot(x, y, linestyle="", color=line.get_color(), marker=marker, markersize=5)
    values = [value for points in series.values() for _, value, _ in points]
    if min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    # What matplotlib would write is an offset, or a formula that nothing sets here.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel(title)
    axes.margins(y=0.15)
    axes.legend(
        *(found[:_LINES_NAMED] for found in axes.get_legend_handles_labels()),
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
