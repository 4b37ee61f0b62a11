"""What has been tested, as far as reports say: models and runtimes by SHA-256."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from devdiff.errors import ReportError
from devdiff.gate.requirements import Basis
from devdiff.ladder.ladder import on_the_way
from devdiff.report import load
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.attestation.predicate import Excerpt, ExcerptIdentity, ExcerptRung
    from devdiff.report.model import Identity, Report, RungRecord

HOST: Final = "the host only"
LOCAL: Final = "this machine (local)"


@dataclass(frozen=True, slots=True)
class TestedModel:
    """A model that was at the end of a ladder: what its tests came to, at worst.

    ``compared`` says whether any of them held it to its neighbours; a scan alone does not.
    ``devices`` are where it ran, in words, ``on_phone`` whether any of them is one or an emulation
    of one, ``evidence`` the reports that say so, ``bases`` what those of them that passed stand on.
    """

    __test__: ClassVar = False  # not a test class, whatever pytest thinks of the name

    sha256: str
    verdict: Verdict
    compared: bool
    devices: tuple[str, ...]
    on_phone: bool
    evidence: tuple[str, ...]
    bases: tuple[Basis, ...] = ()

    def joined(self, other: TestedModel) -> TestedModel:
        """Both tests of the same model as one: the graver verdict counts."""
        return TestedModel(
            self.sha256,
            combine((self.verdict, other.verdict)),
            self.compared or other.compared,
            _both(self.devices, other.devices),
            self.on_phone or other.on_phone,
            _both(self.evidence, other.evidence),
            (*self.bases, *other.bases),
        )


@dataclass(frozen=True, slots=True)
class TestedRuntime:
    """A runtime library that a model ran with on a device; ``abi`` None where that is no phone."""

    __test__: ClassVar = False

    sha256: str
    version: str | None
    origin: str
    abi: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "sha256": self.sha256,
            "version": self.version,
            "origin": self.origin,
            "abi": self.abi,
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """Evidence that is not counted: where it lies, and ``why``, as ``contradicts itself: …``."""

    evidence: str
    why: str


@dataclass(frozen=True, slots=True)
class Tested:
    """All that is known to be tested.

    ``models`` and ``runtimes`` are found by SHA-256. ``steps`` are models that a test only passed
    through on its way to another one, each with the evidence that names it. ``refused`` is evidence
    that was given and does not count.
    """

    __test__: ClassVar = False

    models: Mapping[str, TestedModel] = field(default_factory=dict)
    runtimes: Mapping[str, TestedRuntime] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()

    @classmethod
    def from_reports(cls, paths: Iterable[Path]) -> Self:
        """What reports say, each a report.json or a run directory.

        One that is damaged or contradicts itself tests nothing, and is ``refused``. Raises
        `UsageError` for one that is not there.
        """
        found = cls()
        for path in paths:
            report = load.locate(path)
            try:
                found = found.joined(cls.from_report(load.load(report), str(report)))
            except ReportError as error:
                why = str(error).removeprefix(f"{report} ")
                found = found.joined(cls(refused=(Refused(str(report), why),)))
        return found

    @classmethod
    def from_report(cls, report: Report | Excerpt, evidence: str) -> Self:
        """What one valid report says, or its excerpt in a statement.

        The verdict of a run is that of the model at the end of its ladder: the one that was made to
        be shipped. A run in which not every step counts is a scan: it can speak against a model,
        but it is no test of one.
        """
        rungs = [rung for rung in report.rungs if on_the_way(rung.name)]
        if not rungs:
            return cls()
        sha256 = rungs[-1].model.sha256
        steps = [pair for pair in report.pairs if pair.step not in ("all", "runtime")]
        ran = [rung for rung in rungs if rung.name == "device" and not rung.error]
        verdict = report.verdict
        compared = bool(steps) and all(pair.gates for pair in steps)
        model = TestedModel(
            sha256=sha256,
            verdict=verdict,
            compared=compared,
            devices=tuple(map(_device, ran)) or (HOST,),
            on_phone=any(rung.identity.phone is not None for rung in ran),
            evidence=(evidence,),
            bases=(Basis.of(report),) if compared and verdict is Verdict.PASS else (),
        )
        runtimes = [_runtime(rung.identity) for rung in ran]
        return cls(
            {sha256: model},
            {runtime.sha256: runtime for runtime in runtimes if runtime is not None},
            {r.model.sha256: evidence for r in rungs if r.model.sha256 != sha256},
        )

    def joined(self, other: Tested) -> Self:
        """Both together; a model in both has the graver verdict."""
        models = dict(self.models)
        for sha256, model in other.models.items():
            models[sha256] = models[sha256].joined(model) if sha256 in models else model
        return type(self)(
            models,
            {**self.runtimes, **other.runtimes},
            {**self.steps, **other.steps},
            (*self.refused, *other.refused),
        )


def _both(first: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *other)))


def _device(rung: RungRecord | ExcerptRung) -> str:
    device = rung.identity.phone
    if device is None:
        return LOCAL
    name = device.model or device.serial or "a device"
    if device.virtual:
        return f"{name} (a virtual phone)"
    return f"{name}, Android {device.release}" if device.release else name


def _runtime(identity: Identity | ExcerptIdentity) -> TestedRuntime | None:
    """The library of a device rung; None where the record does not name one."""
    library, runner = identity.library, identity.runner
    if library is None:
        return None
    return TestedRuntime(
        sha256=library.sha256,
        version=library.version,
        origin=library.origin or "",
        abi=runner.abi if runner is not None else None,
    )
