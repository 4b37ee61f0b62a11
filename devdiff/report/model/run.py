"""A run: what was tested on what, every rung and every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from devdiff.comparison import ClassifierAgreement, Judgement, OutputMetrics, PairComparison
from devdiff.comparison.dependence import Dependence, Response
from devdiff.exporter.manifest import ArtifactRecord, Manifest
from devdiff.exporter.recipe import Precision
from devdiff.ladder.ladder import Step
from devdiff.options import Gates, Running
from devdiff.report.model.bisect import BisectSection
from devdiff.report.model.places import FileRecord, Identity, InputsRecord
from devdiff.report.model.scan import ScanSection
from devdiff.report.model.task import DataCheckSection, TaskSection
from devdiff.system.exit_code import ExitCode
from devdiff.system.typed_json import Count, Record, Sha256, Share, fields
from devdiff.verdict import Verdict

SCHEMA_VERSION: Final = 2


class BasisRecord(Record, frozen=True, omit_defaults=True):
    """What a verdict stands on.

    ``samples`` are those that every step which counts was compared on, ``smallest_fault_share`` the
    smallest share of inputs that a fault can hit and would have been met with ``confidence``;
    ``where`` is the place of the last rung. ``available`` are the samples that a run without a
    limit would have tested, null where all were.
    """

    samples: Count
    inputs: Literal["real", "synthetic"]
    labelled: bool
    smallest_fault_share: Share
    confidence: float
    where: str
    available: Count | None = None


class Attribution(Record, frozen=True):
    """The first step that failed."""

    step: Step
    reference: str
    candidate: str


class ModelRecord(Record, frozen=True):
    """The model that the run is of; ``files`` are all it consists of, each with its SHA-256."""

    name: str
    sha256: Sha256
    files: Mapping[str, Sha256]


class SampleRecord(Record, frozen=True, omit_defaults=True):
    """Which row of the user's data a sample is, with its name and its true class or its true text
    if it has one."""

    row: Count
    name: str | None
    label: Count | None
    text: str | None = None


class ClassNames(Record, frozen=True):
    """What the classes are called, in the order of their numbers; empty where one has no name.
    ``origin`` says who calls them so."""

    names: tuple[str, ...]
    origin: str


class PairedTensor(Record, frozen=True):
    """Axis k of the artifact's tensor is axis ``axes[k]`` of the source's."""

    source: str
    artifact: str
    axes: tuple[Count, ...]


class PairingRecord(Record, frozen=True):
    """How an artifact's tensors were paired with the source's, and why."""

    file: str
    by: Literal["export", "manifest", "name", "order", "running", "itself"]
    reason: str
    inputs: tuple[PairedTensor, ...]
    outputs: tuple[PairedTensor, ...]


class RungTime(Record, frozen=True):
    """Seconds in all, and milliseconds a sample."""

    wall_s: float
    median_ms: float | None
    p90_ms: float | None


class RungRecord(Record, frozen=True, omit_defaults=True):
    """One rung: its model, what ran it, and what it left.

    ``about`` is what the runner says of itself, in its own words: other runners say other things.
    ``bytes`` is the size of the model's file, null of a folder.
    """

    name: str
    runner: str
    precision: Precision
    pruning: str | None
    model: FileRecord
    identity: Identity
    about: Mapping[str, Any]
    samples: Count
    failed: Count
    time: RungTime
    results_sha256: Sha256 | None
    error: str | None
    bytes: Count | None = None

    def reported(self, name: str) -> str | None:
        """A word of the runner about itself; None where it says none."""
        word = self.about.get(name)
        return None if word is None else str(word)

    @property
    def runtime_version(self) -> str | None:
        """By the runner's word, else by the library it came in."""
        library = self.identity.library
        return self.reported("runtime_version") or (library.version if library else None)


class PairRecord(Record, frozen=True, omit_defaults=True):
    """One step; ``gates`` says whether the verdict counts it."""

    reference: str
    candidate: str
    step: Step
    gates: bool
    judgement: Judgement
    comparison: PairComparison | None
    dependence: Dependence | None = None

    @property
    def outputs(self) -> tuple[OutputMetrics, ...]:
        """The figures of each output; none where nothing was compared."""
        return self.comparison.outputs if self.comparison is not None else ()

    @property
    def classifications(self) -> tuple[ClassifierAgreement, ...]:
        """The answers of classifying outputs; none where nothing was compared."""
        return self.comparison.classifications if self.comparison is not None else ()

    @property
    def responses(self) -> tuple[Response, ...]:
        """How the outputs answer each input; none where that was not tried."""
        return self.dependence.responses if self.dependence is not None else ()


class Options(Record, frozen=True, omit_defaults=True):
    """What the user chose; ``classifiers`` are the outputs that were taken for class scores."""

    running: Running | None = None
    gates: Gates | None = None
    classifiers: tuple[str, ...] | None = None


class Report(Record, frozen=True, omit_defaults=True):
    """What a run came to."""

    schema_version: Literal[2]
    devdiff: str
    finished: str
    verdict: Verdict
    exit_code: ExitCode
    basis: BasisRecord
    summary: str
    attribution: Attribution | None
    model: ModelRecord
    inputs: InputsRecord
    samples: Mapping[str, SampleRecord]
    manifest: Manifest | None
    bindings: tuple[PairingRecord, ...]
    rungs: Annotated[tuple[RungRecord, ...], msgspec.Meta(min_length=1)]
    pairs: tuple[PairRecord, ...]
    command: tuple[str, ...]
    options: Options
    scan: ScanSection | None = None
    task: TaskSection | None = None
    data_check: DataCheckSection | None = None
    bisect: BisectSection | None = None
    classes: ClassNames | None = None

    @property
    def artifacts(self) -> tuple[ArtifactRecord, ...]:
        """What the export made; none of a finished model."""
        return self.manifest.artifacts if self.manifest is not None else ()

    def rung(self, name: str) -> RungRecord | None:
        """The rung of that name, if there is one."""
        return next((rung for rung in self.rungs if rung.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinities are the strings ``"inf"`` and ``"-inf"``."""
        return fields(self)
