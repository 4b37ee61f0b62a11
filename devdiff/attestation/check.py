"""Evidence held against a key, and against the files it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devdiff.attestation import envelope, keys, statement
from devdiff.attestation.predicate import Excerpt, Statement
from devdiff.errors import AttestationError, UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.gate.requirements import Basis, Requirements
from devdiff.package.tested_files import Tested
from devdiff.report import load, verdicts
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Attested:
    """What a statement proves, its signature checked.

    ``verdict`` is the run's, ``name`` what the statement's file is called, ``keyid`` the key's.
    """

    name: str
    statement: Statement
    keyid: str
    verdict: Verdict

    @property
    def excerpt(self) -> Excerpt:
        """What the statement holds of the report, in the report's words."""
        return self.statement.predicate.devdiff

    @property
    def report_sha256(self) -> str:
        """The SHA-256 of the report.json that was signed."""
        return self.excerpt.report.sha256

    @property
    def basis(self) -> Basis:
        """What the run stands on."""
        return Basis.of(self.excerpt)

    def refusal(self, required: Requirements) -> str | None:
        """Why a statement that says pass is not taken for a test; None where it is."""
        return required.refusal(self.basis) if self.verdict is Verdict.PASS else None

    def verdict_by(self, required: Requirements) -> Verdict:
        """What the statement counts as: a pass on too little is ``inconclusive``."""
        return self.verdict if self.refusal(required) is None else Verdict.INCONCLUSIVE

    @property
    def tested(self) -> Tested:
        """The models and the runtime libraries that were tested, by SHA-256."""
        return Tested.from_report(self.excerpt, self.name)

    def to_json(self) -> dict[str, Any]:
        tested = self.tested
        return {
            "file": self.name,
            "keyid": self.keyid,
            "verdict": self.verdict.value,
            "report_sha256": self.report_sha256,
            "basis": self.basis.to_json(),
            "finished": self.excerpt.finished,
            "tested": {sha256: model.verdict.value for sha256, model in tested.models.items()},
            "runtimes": list(tested.runtimes),
        }


def read(path: Path, public_key: Path) -> Attested:
    """The statement in an envelope that ``public_key`` verifies.

    Raises `UsageError` for what is no envelope, no statement or no key, `AttestationError` when
    the signature does not fit, or the statement contradicts itself.
    """
    key = keys.public_key(public_key)
    with path.open("rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path} is too large to be a statement")
    payload = envelope.unseal(data, key, str(path))
    found = statement.read(payload, str(path))
    predicate = found.predicate
    excerpt = predicate.devdiff
    verdict = excerpt.verdict
    if (predicate.result in (statement.PASSED, statement.WARNED)) != (verdict is Verdict.PASS):
        raise AttestationError(
            f"{path} contradicts itself: its result is {predicate.result}, its verdict "
            f"{verdict.value}"
        )
    own = verdicts.of_parts(
        [(pair.gates, pair.judgement.verdict) for pair in excerpt.pairs],
        broken=any(rung.error is not None for rung in excerpt.rungs),
        scan=excerpt.scan.verdict if excerpt.scan is not None else None,
    )
    if not verdicts.follows(verdict, own):
        raise AttestationError(
            f"{path} contradicts itself: its verdict is {verdict.value}, and its steps, rungs and "
            f"scan come to {own.value}"
        )
    return Attested(str(path), found, key.keyid, verdict)


def check_files(
    attested: Sequence[Attested], reports: Iterable[Path] = (), artifacts: Iterable[Path] = ()
) -> None:
    """Raises `AttestationError` that says of every file which no statement speaks for it.

    A report must be one that was signed, byte for byte; an artifact must be the model that a test
    was made for, not one it only passed through.
    """
    signed = {report.report_sha256 for report in attested}
    tested = Tested()
    for checked in attested:
        tested = tested.joined(checked.tested)
    wrong = [
        f"{report} is not a report that was signed: it was changed, or is another run's"
        for report in map(load.locate, reports)
        if sha256_file(report) not in signed
    ]
    for artifact in artifacts:
        sha256 = sha256_file(artifact)
        model = tested.models.get(sha256)
        label = f"{artifact} (sha256 {sha256[:12]})"
        if model is None and sha256 in tested.steps:
            wrong.append(f"{label} was only a step of the test of another model")
        elif model is None:
            wrong.append(f"{label} was not tested: it was changed, or is another model")
        elif not model.compared:
            wrong.append(f"{label} was scanned, but no test compared it")
    if wrong:
        raise AttestationError("; ".join(wrong))
