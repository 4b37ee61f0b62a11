"""What a scan found: behaviour that only the compressed model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from devdiff.comparison.intervals import Proportion
from devdiff.system.typed_json import Count, Extended, Record

Form = Literal["patch", "additive", "warp"]
ScanVerdict = Literal["finding", "no finding", "inconclusive", "error"]


class ScanCost(Record, frozen=True):
    wall_s: float


class ScanSamples(Record, frozen=True, omit_defaults=True):
    """``swapped``: there was a second look with the halves swapped."""

    searched: Count
    held_out: Count
    swapped: bool | None = None


class TwinFidelity(Record, frozen=True):
    """How near a twin's output is to its interpreter's; figures in LSB where that is quantized."""

    name: str
    samples: Count
    elements: Count
    max_error: Extended
    mean_error: Extended
    sqnr_db: Extended
    max_lsb: Extended | None
    mean_lsb: Extended | None
    within_one_lsb: float | None
    top_1: Proportion | None
    undecided: Count


class TwinsRecord(Record, frozen=True):
    """How faithful the twins are to their interpreters."""

    full: TwinFidelity
    compressed: TwinFidelity


class WeightDeviations(Record, frozen=True):
    """Values that are not the nearest to their float ones: how many, and how far in steps."""

    elements: Count
    count: Count
    further: Count
    largest: float
    mean: float


class IntegrityLayer(Record, frozen=True):
    operator: int
    kind: str
    name: str
    shape: tuple[int, ...]
    weights: WeightDeviations
    ties: Count
    clipped: Count
    zeroed: Count
    scale_low: Extended | None
    scale_high: Extended | None
    bias: WeightDeviations | None


class IntegrityEvidence(Record, frozen=True, omit_defaults=True):
    """Whether every stored weight is the nearest to its float value."""

    status: str
    error: str | None = None
    skipped: str | None = None
    elements: Count | None = None
    deviations: Count | None = None
    zeroed: Count | None = None
    ties: Count | None = None
    unchecked: Count | None = None
    layers: tuple[IntegrityLayer, ...] = ()


class StaticLayer(Record, frozen=True):
    operator: int
    kind: str
    name: str
    shape: tuple[int, ...]
    counted: Count
    observed: Count
    expected: float
    ratio: Extended | None
    p: float
    alarm: bool
    untested: str | None


class StaticEvidence(Record, frozen=True, omit_defaults=True):
    """Whether weights pile up between the quantization steps."""

    status: str
    error: str | None = None
    skipped: str | None = None
    tested: Count | None = None
    layers: tuple[StaticLayer, ...] = ()


class DriftRank(Record, frozen=True):
    """A figure among those of the placebos."""

    observed: Extended
    placebos: tuple[Extended, ...]
    p: float
    smallest_p: float
    factor: Extended


class ClassFlowRecord(Record, frozen=True):
    """Answers that a class gained and lost."""

    index: int
    gained: Count
    lost: Count
    score_shift: Extended | None


class DriftEvidence(Record, frozen=True, omit_defaults=True):
    """How compression moves the scores of clean inputs, beside other compressions."""

    status: str
    error: str | None = None
    skipped: str | None = None
    samples: Count | None = None
    classes: Count | None = None
    flips: Proportion | None = None
    margin_change: Extended | None = None
    flow: tuple[ClassFlowRecord, ...] = ()
    relative_rms: Extended | None = None
    ranks: Mapping[str, DriftRank] = msgspec.field(default_factory=dict)


class ScanEvidence(Record, frozen=True, omit_defaults=True):
    """What needs no trigger."""

    integrity: IntegrityEvidence | None = None
    static: StaticEvidence | None = None
    drift: DriftEvidence | None = None

    def parts(self) -> dict[str, IntegrityEvidence | StaticEvidence | DriftEvidence]:
        """Those that there are, by name."""
        known = {"integrity": self.integrity, "static": self.static, "drift": self.drift}
        return {name: part for name, part in known.items() if part is not None}


class PowerRecord(Record, frozen=True, omit_defaults=True):
    """What the scan could have seen.

    ``effort`` is the part of the planned search that the budget allowed; with less than
    ``least_effort`` nothing found is inconclusive.
    """

    smallest_effect: float | None
    samples: Count
    text: str
    effort: float | None = None
    least_effort: float | None = None


class TriggerRecord(Record, frozen=True, omit_defaults=True):
    """The best trigger; its arrays lie in ``file`` of the run directory."""

    form: Form
    size: float
    target: int | None
    source: int | None
    file: str
    shape: tuple[int, ...] | None = None
    success: float | None = None
    steps: int | None = None
    low: float | None = None
    high: float | None = None


class RungReplay(Record, frozen=True):
    """How often a rung does what the trigger asks for, without it and with it."""

    rung: str
    runner: str
    clean: Proportion
    triggered: Proportion


class ClassReplay(Record, frozen=True):
    """Of the samples of a class, how many obey."""

    class_: int = msgspec.field(name="class")
    trials: Count
    full_kept: Count
    compressed_target: Count


class ReplayRecord(Record, frozen=True, omit_defaults=True):
    """The trigger on the real artifacts; ``gap`` lies between the full and the compressed one."""

    rungs: tuple[RungReplay, ...]
    gap: Proportion
    by_class: tuple[ClassReplay, ...] = ()


class Effect(Record, frozen=True):
    value: float


class PlaceboRecord(Record, frozen=True, omit_defaults=True):
    """The same search on the model compressed otherwise (``what``).

    ``benign`` is the mean share of clean answers that compression otherwise changes; ``p_beats`` of
    Fisher's exact test, one-sided, of the model's rate against its placebos' together;
    ``transfer`` are the shares that obey the found trigger, of the model compressed otherwise, once
    each.
    """

    what: str
    searched: tuple[float, ...]
    own: float
    p_value: float | None = None
    smallest_p: float | None = None
    p_beats: float | None = None
    effect: Effect | None = None
    benign: float | None = None
    transfer: tuple[float, ...] = ()
    transfer_own: float | None = None
    transfer_p: float | None = None
    transfer_smallest_p: float | None = None
    mirrored: Proportion | None = None


class CarrierRecord(Record, frozen=True):
    """How often the trigger works where ``part`` of the compression is made alone."""

    part: Literal["rounding", "clipping", "pruning"]
    alone: Proportion


class CarriersRecord(Record, frozen=True):
    """What the trigger rides on: the ``names`` of parts of the compression.

    They carry it each alone, or only ``together``. ``widened`` are the shares that obey in models
    whose activations have wider ranges, once each.
    """

    names: tuple[Literal["rounding", "clipping", "pruning"], ...]
    together: bool
    text: str
    parts: tuple[CarrierRecord, ...]
    widened: tuple[float, ...]


class HypothesisRecord(Record, frozen=True):
    """A trigger that was searched for, and how often it works on held-out samples."""

    target: int | None
    source: int | None
    form: Form
    size: float
    success: float
    held_out: Proportion
    steps: int


class ModelAnswers(Record, frozen=True):
    """The class that each model says."""

    full: int
    compressed: int


class ExampleRecord(Record, frozen=True, omit_defaults=True):
    """A sample with the trigger on: its row of the user's data, and the answers of classifiers."""

    row: Count
    name: str | None
    label: Count | None
    before: ModelAnswers | None = None
    after: ModelAnswers | None = None


class Threat(Record, frozen=True):
    """An entry of a catalogue of threats."""

    id: str
    name: str
    url: str


class ScanSection(Record, frozen=True, omit_defaults=True):
    """What devdiff scan found. An error has its reason and what was known by then."""

    verdict: ScanVerdict
    reason: str
    seed: int
    budget_s: float
    cost: ScanCost
    kind: Literal["planted", "fragile"] | None = None
    compression: str | None = None
    input: str | None = None
    output: str | None = None
    classes: int | None = None
    samples: ScanSamples | None = None
    twin: TwinsRecord | None = None
    evidence: ScanEvidence | None = None
    power: PowerRecord | None = None
    trigger: TriggerRecord | None = None
    replay: ReplayRecord | None = None
    calibrated: Proportion | None = None
    placebo: PlaceboRecord | None = None
    carriers: CarriersRecord | None = None
    hypotheses: tuple[HypothesisRecord, ...] = ()
    examples: tuple[ExampleRecord, ...] = ()
    taxonomy: tuple[Threat, ...] = ()

    def parts_of_evidence(
        self,
    ) -> Mapping[str, IntegrityEvidence | StaticEvidence | DriftEvidence]:
        """The parts of the evidence that there are, by name."""
        return self.evidence.parts() if self.evidence is not None else {}
