"""The history on a terminal."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.history.record import NO_DEVICE, WHOLE_WAY, RunRecord, StepFigures
from devdiff.report import parts
from devdiff.report.parts import STYLES, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_STEPS: Final = ("pruning", "compression", "deployment")
_RUNGS: Final = ("float", "int8", "device")


def show(runs: Sequence[RunRecord], out: Console) -> None:
    """A table of the runs as they come, and what its columns mean."""
    steps = [
        step
        for step in _STEPS
        if any(
            figures.step in (step, f"conversion+{step}") for run in runs for figures in run.steps
        )
    ]
    rungs = [rung for rung in _RUNGS if any(run.latency(rung) is not None for run in runs)]
    times = f"ms {'/'.join(rungs)}"
    columns = ("finished", "model", "sha256", "how", "device", "whole way", *steps, times)
    table = parts.table(*columns, "verdict", "run", whole=("finished", "how", times, "verdict"))
    for run in runs:
        table.add_row(
            local_time(run.finished),
            escape(run.model),
            run.model_sha256[:8],
            run.compression,
            escape(run.device) if run.device != NO_DEVICE else "",
            wording(run.worst(WHOLE_WAY)),
            *(wording(run.worst(step) or run.worst(f"conversion+{step}")) for step in steps),
            "/".join(_milliseconds(run.latency(rung)) for rung in rungs),
            _verdict(run),
            escape(Path(run.directory).name),
        )
    out.print(table)


def wording(figures: StepFigures | None) -> str:
    """``596/600`` answers that agree, else a signal-to-noise ratio; empty without either."""
    if figures is None:
        return ""
    if figures.agreed is not None and figures.answered:
        return f"{figures.agreed}/{figures.answered}"
    if figures.snr_db is None:
        return "?"
    return "∞ dB" if math.isinf(figures.snr_db) else f"{figures.snr_db:.1f} dB"


def local_time(finished: str) -> str:
    """A time of the history as this machine's clock shows it."""
    return datetime.datetime.fromisoformat(finished).astimezone().strftime("%Y-%m-%d %H:%M")


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _verdict(run: RunRecord) -> str:
    culprit = f" ({escape(run.culprit)})" if run.culprit is not None else ""
    scanned = f", scan: {run.scan}" if run.scan is not None else ""
    inputs = ", synthetic inputs" if run.synthetic else ""
    return f"[{STYLES[run.verdict]}]{run.verdict}[/]{culprit}{scanned}{inputs}"
