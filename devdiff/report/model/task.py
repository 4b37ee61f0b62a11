"""The metric of the model's task, and whether inputs and labels suit the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from devdiff.comparison.intervals import Proportion
from devdiff.ladder.ladder import Step
from devdiff.system.typed_json import Count, Record
from devdiff.verdict import Verdict


class EstimateRecord(Record, frozen=True):
    """A value and its two-sided interval; null where it is no number."""

    value: float | None
    low: float | None
    high: float | None


class Metric(Record, frozen=True, omit_defaults=True):
    """``share``: it is one, and shown in percent."""

    name: str
    higher_is_better: bool
    interval: Literal["exact", "bootstrap"]
    share: bool = False


class RungValues(Record, frozen=True):
    """A rung's values by the name of the metric; ``error`` says why there are none."""

    rung: str
    values: Mapping[str, EstimateRecord]
    error: str | None


class SampleChange(Record, frozen=True):
    """A sample whose answer a step makes better or worse; how good it is by itself, on both
    sides."""

    sample: Count
    before: float
    after: float


class StepDrops(Record, frozen=True, omit_defaults=True):
    """By how much a step makes each metric worse.

    ``changed`` samples are scored differently by its two rungs; ``verdict`` is null where the drop
    does not count. ``most_changed`` are the samples that it changes most, those that get worse
    first.
    """

    step: Step
    reference: str
    candidate: str
    changed: Count
    drops: Mapping[str, EstimateRecord]
    verdict: Verdict | None
    most_changed: tuple[SampleChange, ...] = ()


class TaskSection(Record, frozen=True, omit_defaults=True):
    """The metric of the model's task on every rung, and by how much each step makes it worse.

    ``truth`` says where the true answers come from, ``from_source`` that the source rung's own
    stand for them. ``support`` counts the samples that the metric rests on: with an object, a text,
    another answer than the most frequent one. The first of ``metrics`` is the one that is judged.
    """

    kind: Literal[
        "classification", "detection", "segmentation", "embedding", "regression", "sequence"
    ]
    options: Mapping[str, str]
    truth: str
    from_source: bool
    max_drop: float
    samples: Count
    confidence: float
    resamples: int
    seed: int
    metrics: Annotated[tuple[Metric, ...], msgspec.Meta(min_length=1)]
    rungs: tuple[RungValues, ...]
    steps: tuple[StepDrops, ...]
    support: Count | None = None


class DataTrial(Record, frozen=True):
    """A change of labels or inputs that was tried."""

    kind: Literal["class order", "channel order", "scale", "scale and channel order"]
    change: str
    accuracy: Proportion
    mends: bool


class DataCheckSection(Record, frozen=True):
    """Whether labels and inputs suit the model: how often the first rung is right.

    ``chance`` is the larger of one in all classes and the share of the most frequent label,
    ``p_value`` of the exact binomial test that the accuracy is above it. ``verdict`` is null where
    there are too few samples to tell, which counts for nothing. ``advice`` says what to check, and
    which change mends it.
    """

    rung: str
    output: str
    classes: Annotated[int, msgspec.Meta(ge=1)]
    accuracy: Proportion
    chance: float
    p_value: float
    standing: Literal["above chance", "at chance", "too few samples"]
    verdict: Literal["pass", "inconclusive"] | None
    reason: str
    advice: str
    trials: tuple[DataTrial, ...]
    notes: tuple[str, ...]
