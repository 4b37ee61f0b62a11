"""What a bisection found: the operators that two places compute differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from devdiff.report.model.places import FileRecord, Identity, InputsRecord
from devdiff.system.typed_json import Count, Extended, Record, fields


class Operator(Record, frozen=True):
    """An operator of a .tflite by its place; ``name`` is its first output's."""

    index: int
    kind: str
    name: str


class Difference(Record, frozen=True):
    """How far the candidate's values of one tensor are from the reference's.

    ``beyond`` says that it is farther than is allowed. ``max_lsb`` is the largest error in
    quantization steps, None where there are none; ``relative`` the largest error over the
    reference's peak, None where that is zero.
    """

    tensor: int
    name: str
    dtype: str
    beyond: bool
    elements: Count
    differing: Count
    max_lsb: Extended | None
    max_abs: Extended | None
    relative: Extended | None
    snr_db: Extended | None


class PartComparison(Record, frozen=True):
    """What a part, or the whole model, came to on both sides.

    ``beyond``: more differs than is allowed, or samples fail on the candidate alone, of which
    ``failure`` tells. ``operators`` counts those in the part.
    """

    beyond: bool
    operators: Count
    tensors: tuple[Difference, ...]
    failure: str | None

    @property
    def differing(self) -> int:
        """Elements that differ at all."""
        return sum(tensor.differing for tensor in self.tensors)

    @property
    def worst(self) -> Difference | None:
        """The tensor that differs most: in steps, else relative to its peak."""
        return max(
            self.tensors,
            key=lambda tensor: (tensor.max_lsb or 0.0, tensor.relative or 0.0, tensor.differing),
            default=None,
        )


class CutComparison(Record, frozen=True):
    """The model cut off ``behind`` some operators; the rest as in `PartComparison`."""

    behind: tuple[Operator, ...]
    beyond: bool
    operators: Count
    tensors: tuple[Difference, ...]
    failure: str | None


class SuspectRecord(Record, frozen=True):
    """An operator alone, with the reference's inputs on both sides, and in the model cut off behind
    it."""

    index: int
    kind: str
    name: str
    born: bool
    alone: PartComparison
    in_place: PartComparison | None


class SideRecord(Record, frozen=True):
    """One of the two places."""

    name: str
    model: FileRecord
    runner: str
    identity: Identity
    about: Mapping[str, Any]


class SidesRecord(Record, frozen=True):
    reference: SideRecord
    candidate: SideRecord


class Limits(Record, frozen=True, omit_defaults=True):
    """What was allowed: of two places, or of a profile."""

    max_lsb: int | None = None
    atol: float | None = None
    rtol: float | None = None
    min_snr_db: float | None = None


class SideRuns(Record, frozen=True):
    reference: Count
    candidate: Count


class Runs(Record, frozen=True, omit_defaults=True):
    """How often models were run: for the search and in all; ``allowed`` is 2 log2 of the
    operators."""

    all: SideRuns
    search: SideRuns | None = None
    allowed: float | None = None


class LayerNoise(Record, frozen=True):
    """Signal over noise in dB, the share of elements beyond the stored type's range, and how much
    of that is used."""

    sqnr_db: Extended | None
    saturated: float
    range_used: float | None


class LayerRecord(Record, frozen=True):
    """What quantization costs a layer."""

    index: int
    kind: str
    name: str
    float_operator: int
    float_name: str
    dtype: str
    in_place: LayerNoise
    alone: LayerNoise | None


class Agreeing(Record, frozen=True):
    """How many answers are the float model's, with the interval of the rate."""

    successes: int
    trials: int
    low: float
    high: float


class Quality(Record, frozen=True):
    """How far a model's outputs are from the float model's: its worst one, and its answers."""

    sqnr_db: Extended | None
    agreement: Agreeing | None


class FloatVariant(Record, frozen=True, omit_defaults=True):
    """The model with ``layers`` kept in float, or why it could not be made."""

    layers: tuple[int, ...]
    refused: str | None = None
    sqnr_db: Extended | None = None
    agreement: Agreeing | None = None
    bytes: Count | None = None
    float_operators: Mapping[str, int] | None = None


class KeptInFloat(Record, frozen=True, omit_defaults=True):
    """What keeping some layers in float brings; ``skipped`` says why that was not measured."""

    skipped: str | None = None
    samples: Count | None = None
    shipped: Quality | None = None
    variants: tuple[FloatVariant, ...] = ()


class ProfileSection(Record, frozen=True):
    """Between float and int8: what quantization costs each layer. Ratios are in dB."""

    output_sqnr_db: Extended | None
    layers: tuple[LayerRecord, ...]
    costliest: tuple[int, ...]
    unpaired: tuple[str, ...]
    kept_in_float: KeptInFloat | None
    table: str
    plot: str


class BisectCost(Record, frozen=True):
    wall_s: float


class BisectSection(Record, frozen=True, omit_defaults=True):
    """What devdiff bisect found: the operators that two places compute differently.

    Files are named from the folder that holds bisect.json.
    """

    verdict: Literal["pass", "fail"]
    kind: Literal["none", "born", "context", "accumulated", "unexplained", "profile"]
    reason: str
    sides: SidesRecord
    limits: Limits
    inputs: InputsRecord
    operators: Count
    runs: Runs
    found: tuple[Operator, ...]
    guilty: tuple[Operator, ...]
    search: tuple[CutComparison, ...]
    suspects: tuple[SuspectRecord, ...]
    repro: str | None
    model_explorer: str
    cost: BisectCost
    whole: PartComparison | None = None
    walk: tuple[SuspectRecord, ...] | None = None
    profile: ProfileSection | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinities are the strings ``"inf"`` and ``"-inf"``."""
        return fields(self)
