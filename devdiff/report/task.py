"""The task's part of the report on a terminal: the metric of every rung, and what steps cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.report import parts
from devdiff.report.model import EstimateRecord
from devdiff.report.parts import escape, say

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.report.model import TaskSection


def show(task: TaskSection, out: Console) -> None:
    """Print a row for each rung, and one for what each step changes."""
    names = [metric.name for metric in task.metrics]
    say(escape(headline(task)), out)
    table = parts.table("rung or step", *map(escape, names), "")
    for rung in task.rungs:
        values = rung.values
        cells = [interval(values.get(name)) for name in names]
        table.add_row(rung.rung, *cells, escape(rung.error or ""))
    for step in task.steps:
        if step.step == "runtime" or not step.drops:
            continue
        cells = [
            interval(change(step.drops.get(metric.name), metric.higher_is_better), True)
            for metric in task.metrics
        ]
        table.add_row(f"{step.reference} → {step.candidate}", *cells, step.verdict or "not judged")
    out.print(table)
    out.print()


def headline(task: TaskSection) -> str:
    """What was measured, what it was judged against, and how much a step may lose of it."""
    judged = any(step.verdict for step in task.steps)
    limit = ""
    if judged:
        limit = f"; one step may make {task.metrics[0].name} worse by {task.max_drop:g}"
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


def interval(value: EstimateRecord | None, signed: bool = False) -> str:
    """``0.912 (0.884–0.935)``; with a sign in front for changes."""
    if value is None or value.value is None:
        return "-"
    sign = "+" if signed else ""
    text = f"{value.value:{sign}.4g}"
    if value.low is None or value.high is None:
        return text
    if signed:
        return f"{text} ({value.low:+.3g} to {value.high:+.3g})"
    return f"{text} ({value.low:.3g}–{value.high:.3g})"
