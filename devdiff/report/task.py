"""The task's part of the report on a terminal: the metric of every rung, and what steps cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.report import parts, words
from devdiff.report.model import EstimateRecord
from devdiff.report.parts import escape, say

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.report.model import TaskSection
    from devdiff.report.model.task import Metric


def show(task: TaskSection, out: Console) -> None:
    """Print a row for each rung, and one for what each step changes."""
    names = [metric.name for metric in task.metrics]
    say(escape(headline(task)), out)
    table = parts.table("rung or step", *map(escape, names), "")
    for rung in task.rungs:
        values = rung.values
        cells = [
            interval(values.get(metric.name), share=is_share(metric)) for metric in task.metrics
        ]
        table.add_row(rung.rung, *cells, escape(rung.error or ""))
    for step in task.steps:
        if step.step == "runtime" or not step.drops:
            continue
        cells = [
            interval(
                change(step.drops.get(metric.name), metric.higher_is_better),
                True,
                share=is_share(metric),
            )
            for metric in task.metrics
        ]
        table.add_row(f"{step.reference} → {step.candidate}", *cells, step.verdict or "")
    out.print(table)
    out.print()


def headline(task: TaskSection) -> str:
    """What was measured, what it was judged against, and how much a step may lose of it."""
    judged = any(step.verdict for step in task.steps)
    limit = ""
    if judged:
        share = is_share(task.metrics[0])
        most = f"{100 * task.max_drop:.3g} points" if share else f"{task.max_drop:g}"
        limit = f"; one step may make {task.metrics[0].name} worse by {most}"
    options = ",".join(f"{key}={value}" for key, value in task.options.items())
    read = f"; with {options}" if options else ""
    against = "judged against" if judged else "not judged; measured against"
    return f"task: {task.kind}, {against} {task.truth}{limit}{read}"


def change(drop: EstimateRecord | None, higher_is_better: bool) -> EstimateRecord | None:
    """What a step did to a metric, up or down, from by how much it made it worse."""
    if drop is None or not higher_is_better or drop.value is None:
        return drop
    low, high = drop.low, drop.high
    return EstimateRecord(
        value=-drop.value or 0.0,
        low=None if high is None else -high or 0.0,
        high=None if low is None else -low or 0.0,
    )


def is_share(metric: Metric) -> bool:
    """Whether a metric is shown in percent; those of older reports do not say it."""
    return metric.share or metric.interval == "exact"


def interval(value: EstimateRecord | None, signed: bool = False, *, share: bool = False) -> str:
    """``91.2 % (88.4–93.5 %)`` of a ``share``, else ``0.912 (0.884–0.935)``.

    ``signed`` is for changes: ``-1.2 points (-2.9 to +0.5)``; where nothing changed and nothing may
    have, ``no change``.
    """
    if value is None or value.value is None:
        return "-"
    if signed:
        return _changed(value, share)
    text = words.percent(value.value) if share else f"{value.value:.4g}"
    if value.low is None or value.high is None:
        return text
    if share:
        return f"{text} ({100 * value.low:.3g}–{100 * value.high:.3g} %)"
    return f"{text} ({value.low:.3g}–{value.high:.3g})"


def _changed(value: EstimateRecord, share: bool) -> str:
    assert value.value is not None
    if not any((value.value, value.low, value.high)):
        return "no change"
    factor, unit = (100, " points") if share else (1, "")
    text = f"{factor * value.value:+.3g}{unit}" if value.value else "no change"
    if value.low is None or value.high is None:
        return text
    low, high = (f"{factor * side:+.2g}" for side in (value.low, value.high))
    return f"{text} ({low} to {high})"
