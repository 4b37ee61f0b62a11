"""What each rung comes to, side by side: how good it is, how fast, and how large."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from devdiff.comparison import CompressionExpectation
from devdiff.errors import UsageError
from devdiff.report import task as task_words
from devdiff.report import words
from devdiff.report.html.svg import Drawing
from devdiff.report.model import EstimateRecord
from devdiff.report.rejudge import expectation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devdiff.comparison import Proportion
    from devdiff.report.model import PairRecord, Report, RungRecord

_WIDTH: Final = 160.0
_HEIGHT: Final = 22.0
_MIDDLE: Final = _HEIGHT / 2
_MARGIN: Final = 6.0
_BAR: Final = 90.0


@dataclass(frozen=True, slots=True)
class Measure:
    """A value in a column with its interval, as text and, where a step limits it, its limit.

    ``against`` is the rung that it is relative to; ``rises`` says that less is better.
    """

    value: float
    low: float
    high: float
    text: str
    limit: float | None = None
    against: str = ""
    rises: bool = False

    @property
    def beyond(self) -> bool:
        """Whether the value itself is on the wrong side of its limit."""
        if self.limit is None:
            return False
        return self.value > self.limit if self.rises else self.value < self.limit


@dataclass(frozen=True, slots=True)
class RungFigure:
    """A figure of one rung: its text, and the same as a drawing."""

    text: str
    drawing: Markup | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of all rungs; ``legend`` says what its drawing shows."""

    title: str
    legend: str
    cells: Mapping[str, RungFigure]


@dataclass(frozen=True, slots=True)
class RungTable:
    """A row a rung, in the order of the report; a column is left out where no rung has it."""

    rungs: tuple[str, ...]
    columns: tuple[Column, ...]


def table(report: Report) -> RungTable | None:
    """None where there is nothing to hold side by side."""
    found = [
        _quality(report),
        _agreement(report) or _noise(report),
        _bars(report, "Median time", {r.name: r.time.median_ms for r in report.rungs}, _time),
        _bars(report, "Model file", _sizes(report), _size),
    ]
    columns = tuple(column for column in found if column is not None)
    if not columns or len(report.rungs) < 2:
        return None
    return RungTable(tuple(rung.name for rung in report.rungs), columns)


def _quality(report: Report) -> Column | None:
    """The first metric of the task, or else how often each rung is right."""
    task = report.task
    if task is None:
        found = {}
        for pair in report.pairs:
            for answers in pair.classifications:
                if answers.accuracy is not None:
                    found[pair.reference] = _proportion(answers.accuracy.reference)
                    found[pair.candidate] = _proportion(answers.accuracy.candidate)
        return _column("Accuracy", found, share=True, interval="exact")
    metric = task.metrics[0]
    values = {rung.rung: rung.values[metric.name] for rung in task.rungs if rung.values}
    limits = {}
    for step in task.steps:
        before = values.get(step.reference)
        if step.verdict is not None and before is not None and before.value is not None:
            drop = task.max_drop if metric.higher_is_better else -task.max_drop
            limits[step.candidate] = before.value - drop
    share = task_words.is_share(metric)
    found = {
        rung: Measure(
            value.value,
            value.value if value.low is None else value.low,
            value.value if value.high is None else value.high,
            task_words.interval(value, share=share),
            limits.get(rung),
            rises=not metric.higher_is_better,
        )
        for rung, value in values.items()
        if value.value is not None
    }
    title = "Accuracy" if metric.name == "top-1" else metric.name
    return _column(title, found, share=share, interval=metric.interval)


def _agreement(report: Report) -> Column | None:
    """How often a rung gives the answer of the one that it is compared with."""
    found = {}
    for rung, pair in _steps(report).items():
        rates = [answers.top_1 for answers in pair.classifications if answers.top_1.trials]
        if not rates:
            continue
        lowest = min(rates, key=lambda rate: rate.successes / rate.trials)
        expected = _compression(pair, report)
        limit = expected.min_agreement if expected and not expected.synthetic else None
        found[rung] = _proportion(lowest, limit, pair.reference)
    return _column("Same answers", found, share=True, interval="exact")


def _noise(report: Report) -> Column | None:
    """The ratio of signal to error in dB, of outputs that are no classes."""
    found = {}
    for rung, pair in _steps(report).items():
        ratios = [output.snr_db for output in pair.outputs if output.snr_db is not None]
        if not ratios:
            continue
        lowest = min(ratios)
        expected = _compression(pair, report)
        limit = expected.min_snr_db if expected else None
        text = "equal" if lowest == math.inf else f"{words.number(lowest)} dB"
        found[rung] = Measure(lowest, lowest, lowest, text, limit, pair.reference)
    return _column("Signal to error", found, share=False, interval="", unit=" dB")


def _steps(report: Report) -> dict[str, PairRecord]:
    """The step that leads to each rung."""
    return {pair.candidate: pair for pair in report.pairs if pair.step != "all"}


def _compression(pair: PairRecord, report: Report) -> CompressionExpectation | None:
    if pair.comparison is None:
        return None
    try:
        expected = expectation_of(pair, pair.comparison, report)
    except UsageError:
        return None
    return expected if isinstance(expected, CompressionExpectation) else None


def _proportion(rate: Proportion, limit: float | None = None, against: str = "") -> Measure:
    value = EstimateRecord(rate.rate, rate.low, rate.high)
    text = task_words.interval(value, share=True)
    return Measure(rate.rate or 0.0, rate.low, rate.high, text, limit, against)


def _column(
    title: str, found: Mapping[str, Measure], *, share: bool, interval: str, unit: str = ""
) -> Column | None:
    if not found:
        return None
    scale = _Scale.of(list(found.values()), share, unit)
    cells = {}
    for rung, measure in found.items():
        notes = []
        if measure.against:
            notes.append(f"compared with {measure.against}")
        if measure.limit is not None:
            notes.append(f"limit {scale.text(measure.limit)}")
        drawing = scale.drawing(measure) if scale.drawn else None
        cells[rung] = RungFigure(measure.text, drawing, ", ".join(notes))
    legend = ""
    if scale.drawn:
        legend = (
            f"dot: value; tick: limit; from {scale.text(scale.low)} to {scale.text(scale.high)}"
        )
        if interval:
            legend = f"dot: value; line: {interval} 95 % interval; {legend.partition('; ')[2]}"
    return Column(title, legend, cells)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What all drawings of a column have in common: their ends, and whether they show a share."""

    low: float
    high: float
    share: bool
    unit: str

    @classmethod
    def of(cls, measures: Sequence[Measure], share: bool, unit: str) -> _Scale:
        values = [
            value
            for measure in measures
            for value in (measure.low, measure.value, measure.high, measure.limit)
            if value is not None and math.isfinite(value)
        ]
        if not values:
            return cls(0.0, 0.0, share, unit)
        low, high = min(values), max(values)
        step = 0.05 if share else max((high - low) / 10, 1e-9)
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        if share:
            low = min(low, high - step)
        return cls(low, high, share, unit)

    @property
    def drawn(self) -> bool:
        return self.high > self.low

    def text(self, value: float) -> str:
        return words.percent(value) if self.share else f"{words.number(value)}{self.unit}"

    def drawing(self, measure: Measure) -> Markup:
        drawing = Drawing(_WIDTH, _HEIGHT, "mark")
        drawing.line(_MARGIN, _MIDDLE, _WIDTH - _MARGIN, _MIDDLE, "grid")
        if measure.limit is not None:
            x = self._x(measure.limit)
            drawing.line(x, 2, x, _HEIGHT - 2, "limit")
        left, right = self._x(measure.low), self._x(measure.high)
        if right > left:
            drawing.line(left, _MIDDLE, right, _MIDDLE, "spread")
        drawing.dot(self._x(measure.value), _MIDDLE, 4, "beyond" if measure.beyond else "first")
        return drawing.markup()

    def _x(self, value: float) -> float:
        share = (min(self.high, max(self.low, value)) - self.low) / (self.high - self.low)
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)


def _bars(
    report: Report,
    title: str,
    values: Mapping[str, float | None],
    text: Callable[[RungRecord, float], str],
) -> Column | None:
    known = {rung: value for rung, value in values.items() if value is not None}
    most = max(known.values(), default=0)
    if not most:
        return None
    cells = {}
    for rung in report.rungs:
        if rung.name in known:
            drawing = Drawing(_BAR, _HEIGHT, "mark small")
            drawing.rect(0, 4, _BAR * known[rung.name] / most, _HEIGHT - 8, "bar")
            cells[rung.name] = RungFigure(text(rung, known[rung.name]), drawing.markup())
    return Column(title, "", cells)


def _time(rung: RungRecord, value: float) -> str:
    late = rung.time.p90_ms
    behind = f" (90 % in {words.number(late)} ms)" if late is not None else ""
    return f"{words.number(value)} ms{behind}"


def _size(_rung: RungRecord, value: float) -> str:
    return words.size(int(value))


def _sizes(report: Report) -> dict[str, float | None]:
    """Bytes of each rung's model; None of one that lies in several files."""
    made = {record.sha256: record.bytes for record in report.artifacts}
    several = len(report.model.files) > 1
    return {
        rung.name: None
        if several and rung.model.sha256 == report.model.sha256
        else made.get(rung.model.sha256, rung.bytes)
        for rung in report.rungs
    }
