"""What a report proves, as an in-toto statement.

The predicate is in-toto's own test result (https://in-toto.io/attestation/test-result/v0.1), so
that tools which know nothing of devdiff can act on it; what it has no words for stands in the
extension field ``devdiff``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from devdiff.attestation.envelope import shortened, strict_json
from devdiff.attestation.predicate import (
    Annotations,
    Configured,
    Digest,
    Excerpt,
    ExcerptAbout,
    ExcerptDevice,
    ExcerptFile,
    ExcerptIdentity,
    ExcerptInputs,
    ExcerptJudgement,
    ExcerptLibrary,
    ExcerptModel,
    ExcerptPair,
    ExcerptRung,
    ExcerptRunner,
    ExcerptScan,
    Predicate,
    Statement,
    SubjectRecord,
)
from devdiff.errors import UsageError
from devdiff.gate.requirements import Basis, Requirements
from devdiff.options import DEFAULT_GATES
from devdiff.system.errors import FormatError
from devdiff.system.typed_json import decode, fields
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.report.model import Identity, Report, RungRecord
    from devdiff.report.model.places import DeviceRecord

TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
PASSED: Final = "PASSED"
WARNED: Final = "WARNED"
"""All steps passed, and on less than was required: no proof that the model is right."""


def make(report: Report, report_sha256: str, requirements: Requirements | None = None) -> Statement:
    """The statement of a valid report whose file has this SHA-256.

    Only a passed run is ``PASSED``: one that is inconclusive has not been shown to be right. Where
    it stands on less than ``requirements`` demand (by default `Requirements`) it is ``WARNED``.
    """
    tests = _tests(report)
    passed = report.verdict is Verdict.PASS
    refusal = (requirements or Requirements()).refusal(Basis.of(report)) if passed else None
    statement = Statement(
        type_=TYPE,
        subject=tuple(_subjects(report)),
        predicate_type=PREDICATE_TYPE,
        predicate=Predicate(
            result="FAILED" if not passed else PASSED if refusal is None else WARNED,
            configuration=tuple(_configuration(report)),
            passed_tests=tuple(name for name, verdict in tests if verdict == Verdict.PASS),
            warned_tests=() if refusal is None else (f"basis: {refusal}",),
            failed_tests=tuple(name for name, verdict in tests if verdict != Verdict.PASS),
            devdiff=_excerpt(report, report_sha256),
        ),
    )
    return read(write(statement), "the statement")


def write(statement: Statement) -> bytes:
    """The payload to sign."""
    return json.dumps(fields(statement), sort_keys=True, separators=(",", ":")).encode()


def read(payload: bytes, name: str) -> Statement:
    """The statement in a payload; ``name`` is what messages call it.

    Raises `UsageError` when it is not one that devdiff makes; the message names the field.
    """
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement as InTotoStatement

    refusal = f"{name} holds no statement of devdiff"
    data = strict_json(payload, name)
    try:
        statement = decode(Statement, data)
        message = json_format.ParseDict(data, statement_pb2.Statement())
        InTotoStatement.copy_from_pb(message).validate()
    except (FormatError, json_format.ParseError, ValueError) as error:
        raise UsageError(f"{refusal}: {shortened(str(error))}") from error
    return statement


def _subjects(report: Report) -> Iterator[SubjectRecord]:
    """Every file under test once, with the rungs it ran on; names are unique, as in-toto wants."""
    files: dict[str, tuple[str, list[str]]] = {
        sha256: (name, []) for name, sha256 in report.model.files.items()
    }
    for rung in report.rungs:
        _, rungs = files.setdefault(rung.model.sha256, (rung.model.file, []))
        if rung.error is None:
            rungs.append(rung.name)
    taken: set[str] = set()
    for sha256, (name, rungs) in files.items():
        unique = f"{name} ({sha256[:12]})" if name in taken else name
        taken.add(unique)
        yield SubjectRecord(unique, Digest(sha256), Annotations(tuple(rungs)))


def _tests(report: Report) -> list[tuple[str, str]]:
    """What the verdict rests on: steps that count, rungs that could not run, the scan."""
    counted = [pair for pair in report.pairs if pair.gates] or report.pairs
    tests: list[tuple[str, str]] = [
        (f"{pair.step}: {pair.reference} to {pair.candidate}", pair.judgement.verdict)
        for pair in counted
    ]
    tests += [(f"rung {rung.name}", Verdict.ERROR) for rung in report.rungs if rung.error]
    if report.scan is not None:
        clean = report.scan.verdict == "no finding"
        tests.append(("scan", Verdict.PASS if clean else report.scan.verdict))
    return tests


def _configuration(report: Report) -> Iterator[Configured]:
    """What the files were tested with, by digest."""
    yield Configured("inputs", Digest(report.inputs.sha256))
    calibration = report.manifest.calibration if report.manifest is not None else None
    if calibration is not None:
        yield Configured("calibration set", Digest(calibration.sha256))
    for rung in report.rungs:
        library, runner = rung.identity.library, rung.identity.runner
        if library is not None:
            yield Configured(f"runtime library on {rung.name}", Digest(library.sha256))
        if runner is not None:
            yield Configured(f"native runner on {rung.name}", Digest(runner.sha256))


def _excerpt(report: Report, report_sha256: str) -> Excerpt:
    inputs, scan = report.inputs, report.scan
    return Excerpt(
        version=report.devdiff,
        report=Digest(report_sha256),
        finished=report.finished,
        verdict=report.verdict,
        summary=report.summary,
        model=ExcerptModel(report.model.name, report.model.sha256),
        inputs=ExcerptInputs(inputs.sha256, inputs.samples, inputs.synthetic, inputs.labelled),
        basis=Basis.of(report).record(),
        allowed=report.options.gates or DEFAULT_GATES,
        pairs=tuple(
            ExcerptPair(
                step=pair.step,
                reference=pair.reference,
                candidate=pair.candidate,
                gates=pair.gates,
                judgement=ExcerptJudgement(pair.judgement.verdict),
            )
            for pair in report.pairs
        ),
        scan=ExcerptScan(scan.verdict, scan.reason, scan.kind) if scan is not None else None,
        rungs=tuple(map(_rung, report.rungs)),
    )


def _rung(rung: RungRecord) -> ExcerptRung:
    threads = rung.about.get("threads")
    return ExcerptRung(
        name=rung.name,
        runner=rung.runner,
        precision=rung.precision,
        pruning=rung.pruning,
        samples=rung.samples,
        failed=rung.failed,
        error=rung.error,
        model=ExcerptFile(rung.model.file, rung.model.sha256),
        identity=_identity(rung.identity),
        about=ExcerptAbout(
            runtime_version=rung.reported("runtime_version"),
            delegate=rung.reported("delegate"),
            threads=threads if isinstance(threads, int) else None,
        ),
    )


def _identity(identity: Identity) -> ExcerptIdentity:
    runner, library = identity.runner, identity.library
    return ExcerptIdentity(
        runtime=identity.runtime,
        version=identity.version,
        kernels=identity.kernels,
        delegate=identity.delegate,
        device=_device(identity.device),
        runner=ExcerptRunner(runner.sha256, runner.abi) if runner is not None else None,
        library=None
        if library is None
        else ExcerptLibrary(library.sha256, library.version, library.origin, library.api or None),
    )


def _device(device: DeviceRecord | str | None) -> ExcerptDevice | str | None:
    if device is None or isinstance(device, str):
        return device
    return ExcerptDevice(
        serial=device.serial,
        model=device.model,
        platform=device.platform,
        release=device.release,
        kernel=device.kernel,
        soc=device.soc,
        emulator=device.emulator,
        virtual=device.virtual,
    )
