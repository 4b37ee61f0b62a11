"""The statement of one test: in-toto's test result, and more of it under ``devdiff``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from devdiff.gate.requirements import BasisSummary
from devdiff.options import Gates
from devdiff.report.model.scan import ScanVerdict
from devdiff.system.typed_json import Count, Record, Sha256
from devdiff.verdict import Verdict


class Digest(Record, frozen=True):
    sha256: Sha256


class Annotations(Record, frozen=True):
    """The rungs that a file ran on."""

    rungs: tuple[str, ...]


class SubjectRecord(Record, frozen=True):
    """A file under test."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    digest: Digest
    annotations: Annotations


class Configured(Record, frozen=True):
    """What the files were tested with."""

    name: str
    digest: Digest


class ExcerptModel(Record, frozen=True):
    name: str
    sha256: Sha256


class ExcerptInputs(Record, frozen=True):
    sha256: Sha256
    samples: Count
    synthetic: bool
    labelled: bool


class ExcerptJudgement(Record, frozen=True):
    verdict: Verdict


class ExcerptPair(Record, frozen=True):
    """A step without its figures."""

    step: str
    reference: str
    candidate: str
    gates: bool
    judgement: ExcerptJudgement

    @property
    def comparison(self) -> None:
        """Figures are not in a statement."""
        return


class ExcerptScan(Record, frozen=True):
    verdict: ScanVerdict
    reason: str
    kind: str | None


class ExcerptFile(Record, frozen=True):
    file: str
    sha256: Sha256


class ExcerptDevice(Record, frozen=True, omit_defaults=True):
    serial: str
    model: str | None = None
    platform: str | None = None
    release: str | None = None
    kernel: str | None = None
    soc: str | None = None
    emulator: bool | None = None
    virtual: bool | None = None


class ExcerptRunner(Record, frozen=True, omit_defaults=True):
    sha256: Sha256
    abi: str | None = None


class ExcerptLibrary(Record, frozen=True, omit_defaults=True):
    sha256: Sha256
    version: str | None = None
    origin: str | None = None
    api: str | None = None


class ExcerptIdentity(Record, frozen=True, omit_defaults=True):
    """What ran a rung, and where; where files lay on the machine that tested stays out."""

    runtime: str | None = None
    version: str | None = None
    kernels: str | None = None
    delegate: str | None = None
    device: ExcerptDevice | str | None = None
    runner: ExcerptRunner | None = None
    library: ExcerptLibrary | None = None

    @property
    def phone(self) -> ExcerptDevice | None:
        """The device, where it is one or an emulation of one."""
        return self.device if isinstance(self.device, ExcerptDevice) else None


class ExcerptAbout(Record, frozen=True, omit_defaults=True):
    runtime_version: str | None = None
    delegate: str | None = None
    threads: Count | None = None


class ExcerptRung(Record, frozen=True):
    name: str
    runner: str
    precision: str
    pruning: str | None
    samples: Count
    failed: Count
    error: str | None
    model: ExcerptFile
    identity: ExcerptIdentity
    about: ExcerptAbout


class Excerpt(Record, frozen=True):
    """What of the report goes into the statement, in the report's own words.

    So whatever reads a report for what was tested reads a statement, too.
    """

    version: str
    report: Digest
    finished: str
    verdict: Verdict
    summary: str
    model: ExcerptModel
    inputs: ExcerptInputs
    basis: BasisSummary
    allowed: Gates
    pairs: tuple[ExcerptPair, ...]
    scan: ExcerptScan | None
    rungs: Annotated[tuple[ExcerptRung, ...], msgspec.Meta(min_length=1)]


class Predicate(Record, frozen=True, rename="camel"):
    """in-toto's test result."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: tuple[Configured, ...]
    passed_tests: tuple[str, ...]
    warned_tests: tuple[str, ...]
    failed_tests: tuple[str, ...]
    devdiff: Excerpt


class Statement(Record, frozen=True, rename="camel"):
    """An in-toto statement of one devdiff test."""

    type_: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: Annotated[tuple[SubjectRecord, ...], msgspec.Meta(min_length=1)]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"]
    predicate: Predicate
