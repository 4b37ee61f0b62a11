"""The history as one page for people: how each model went over time, and every run."""

from __future__ import annotations

import math
import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.history.record import NO_DEVICE, WHOLE_WAY, RunRecord
from devdiff.history.terminal import local_time, wording
from devdiff.ladder.ladder import on_the_way
from devdiff.report.html import document
from devdiff.report.html.page import PAGE_NAME as RUN_PAGE
from devdiff.report.words import number
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH: Final = 340
HEIGHT: Final = 74
_LEFT: Final = 8.0
_RIGHT: Final = 300.0
_TOP: Final = 12.0
_BOTTOM: Final = 62.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A run in a trend; ``verdict`` is its own, ``title`` what it says when pointed at."""

    x: float
    y: float
    verdict: str
    title: str


@dataclass(frozen=True, slots=True)
class Trend:
    """A figure over time: a line through dots, between the least and the largest value."""

    label: str
    path: str
    dots: tuple[Dot, ...]
    low: str
    high: str
    latest: str


@dataclass(frozen=True, slots=True)
class Series:
    """The runs of one model, compressed in one way, on one device; the earliest first."""

    model: str
    compression: str
    device: str
    runs: tuple[RunRecord, ...]
    trends: tuple[Trend, ...]

    @property
    def latest(self) -> RunRecord:
        return self.runs[-1]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A run in the table; ``page`` is None where there is none to link to."""

    run: RunRecord
    finished: str
    whole: str
    ms: str
    page: str | None


def write(runs: Sequence[RunRecord], path: Path, title: str) -> None:
    """Write the page of runs, the latest first, to ``path``, whole or not at all."""
    text = render(runs, path.parent, title)
    with whole_file(path) as stream:
        stream.write(text)


def render(runs: Sequence[RunRecord], folder: Path, title: str) -> str:
    """The page as text; ``folder`` is where it is to lie, from which it links to the runs."""
    return document.render(
        "history.html.j2",
        {},
        title=title,
        series=list(_series(runs)),
        rows=[_row(run, folder) for run in runs],
        width=WIDTH,
        height=HEIGHT,
    )


def _series(runs: Sequence[RunRecord]) -> Iterator[Series]:
    """Those that ran last come first."""
    grouped: dict[tuple[str, str, str], list[RunRecord]] = {}
    for run in runs:
        device = "the host alone" if run.device == NO_DEVICE else run.device
        grouped.setdefault((run.model, run.compression, device), []).append(run)
    for (model, compression, device), own in grouped.items():
        ordered = tuple(sorted(own, key=lambda run: run.finished))
        yield Series(model, compression, device, ordered, tuple(_trends(ordered)))


def _trends(runs: Sequence[RunRecord]) -> Iterator[Trend]:
    agreement = [_agreement(run) for run in runs]
    if any(value is not None for value in agreement):
        yield _trend("Agreement with the source", runs, agreement, " %")
    else:
        levels = [_level(run) for run in runs]
        if any(value is not None for value in levels):
            yield _trend("SNR beside the source", runs, levels, " dB")
    times = [latency(run) for run in runs]
    if any(value is not None for value in times):
        yield _trend("Median time of a sample", runs, times, " ms")


def _agreement(run: RunRecord) -> float | None:
    worst = run.worst(WHOLE_WAY)
    share = worst.agreement if worst is not None else None
    return None if share is None else 100 * share


def _level(run: RunRecord) -> float | None:
    worst = run.worst(WHOLE_WAY)
    level = worst.snr_db if worst is not None else None
    return level if level is not None and math.isfinite(level) else None


def latency(run: RunRecord) -> float | None:
    """Median milliseconds a sample of the last rung that was timed."""
    times = [r.median_ms for r in run.rungs if on_the_way(r.name) and r.median_ms is not None]
    return times[-1] if times else None


def _trend(
    label: str, runs: Sequence[RunRecord], values: Sequence[float | None], unit: str
) -> Trend:
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    span = high - low
    dots = []
    for place, (run, value) in enumerate(zip(runs, values, strict=True)):
        if value is None:
            continue
        share = place / (len(runs) - 1) if len(runs) > 1 else 1.0
        height = (value - low) / span if span else 0.5
        dots.append(
            Dot(
                round(_LEFT + share * (_RIGHT - _LEFT), 1),
                round(_BOTTOM - height * (_BOTTOM - _TOP), 1),
                run.verdict,
                f"{local_time(run.finished)}: {number(float(value))}{unit}, {run.verdict}",
            )
        )
    path = " ".join(f"{'L' if place else 'M'}{dot.x} {dot.y}" for place, dot in enumerate(dots))
    return Trend(
        label,
        path,
        tuple(dots),
        number(float(low)) if span else "",
        number(float(high)),
        f"{number(float(known[-1]))}{unit}",
    )


def _row(run: RunRecord, folder: Path) -> HistoryRow:
    time = latency(run)
    return HistoryRow(
        run,
        local_time(run.finished),
        wording(run.worst(WHOLE_WAY)),
        "" if time is None else number(time),
        _link(run, folder),
    )


def _link(run: RunRecord, folder: Path) -> str | None:
    """The run's page as seen from ``folder``, where both lie in the run's project: a page that
    leaves it would tell of this machine's folders, and lead nowhere."""
    page, folder = Path(run.directory) / RUN_PAGE, folder.resolve()
    project = Path(run.project)
    if not run.project or not folder.is_relative_to(project) or not page.is_relative_to(project):
        return None
    if not page.is_file():
        return None
    return urllib.parse.quote(os.path.relpath(page, folder).replace(os.sep, "/"))
