"""What changed between two runs, for programs: what ``devdiff compare --json`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.comparison.intervals import Proportion
from devdiff.gate.baseline import ChangeRecord
from devdiff.report.model import BasisRecord
from devdiff.system.exit_code import ExitCode
from devdiff.system.typed_json import Count, Extended, Record, Sha256, fields
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND: Final = "devdiff compare"
SCHEMA_VERSION: Final = 1

Measure = Literal[
    "agreement",
    "accuracy",
    "metric",
    "SNR",
    "largest LSB",
    "differing",
    "largest error",
    "latency",
    "size",
]
Unit = Literal["share", "dB", "LSB", "elements", "ms", "bytes", ""]
Direction = Literal["worse", "better", "same", "changed"]
Group = Literal["model", "inputs", "environment", "versions", "options"]


class RunSide(Record, frozen=True):
    """One of the two runs; ``name`` is what its folder or its report is called."""

    name: str
    report_sha256: Sha256
    finished: str
    devdiff: str
    model: str
    model_sha256: Sha256
    compression: str
    device: str
    verdict: Verdict
    summary: str
    basis: BasisRecord
    command: tuple[str, ...]


class FigureValue(Record, frozen=True, omit_defaults=True):
    """A value with its two-sided interval, where it has one; ``count`` is what a rate is of."""

    value: Extended
    low: float | None = None
    high: float | None = None
    count: Proportion | None = None


class FigureChange(Record, frozen=True, omit_defaults=True):
    """A figure of both runs; null where a run has none.

    ``where`` is a step (``float → int8``), a rung or an artifact; ``name`` the metric's where the
    measure is one. ``direction`` is ``same`` for what chance alone explains, and ``changed`` for
    what is neither good nor bad, or of which the reports cannot tell. ``p_value`` is two-sided.
    """

    measure: Measure
    where: str
    unit: Unit
    before: FigureValue | None
    after: FigureValue | None
    direction: Direction
    output: str = ""
    name: str = ""
    p_value: float | None = None


class OutputComparison(Record, frozen=True, omit_defaults=True):
    """What one rung gave in both runs.

    ``same_bytes`` says that its results are equal bit for bit. ``answers`` counts samples with the
    same answer; of the others, ``harmed`` were right before and are wrong, ``repaired`` the other
    way round. ``reason`` says why the outputs were not compared.
    """

    rung: str
    same_model: bool
    same_bytes: bool
    output: str = ""
    answers: Proportion | None = None
    harmed: Count | None = None
    repaired: Count | None = None
    largest_error: Extended | None = None
    snr_db: Extended | None = None
    reason: str = ""


class SettingChange(Record, frozen=True):
    """Something about how the runs were made that is not the same; null where a run has it not."""

    group: Group
    name: str
    before: str | None
    after: str | None


class RunComparison(Record, frozen=True):
    """What changed from ``before`` to ``after``.

    ``changes`` is what the verdict rests on, by the rules of a baseline; ``figures`` are all that
    both runs can be measured by, ``settings`` what was done otherwise.
    """

    kind: Literal["devdiff compare"]
    schema_version: Literal[1]
    devdiff: str
    verdict: Verdict
    exit_code: ExitCode
    summary: str
    before: RunSide
    after: RunSide
    changes: tuple[ChangeRecord, ...]
    figures: tuple[FigureChange, ...]
    outputs: tuple[OutputComparison, ...]
    settings: tuple[SettingChange, ...]
    notes: tuple[str, ...]

    def settings_by_group(self) -> Iterator[tuple[Group, list[SettingChange]]]:
        """The settings that changed, group by group."""
        for group in dict.fromkeys(setting.group for setting in self.settings):
            yield group, [setting for setting in self.settings if setting.group == group]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinities are the strings ``"inf"`` and ``"-inf"``."""
        return fields(self)
