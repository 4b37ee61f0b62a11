"""A finished run made into evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.attestation import envelope, statement
from devdiff.attestation.predicate import Statement
from devdiff.errors import AttestationError, UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.report import load
from devdiff.system.atomic_file import write_whole

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from devdiff.gate.requirements import Requirements
    from devdiff.report.model import Report

STATEMENT_NAME: Final = "statement.dsse.json"


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement that was signed, and the file its envelope lies in."""

    statement: Statement
    path: Path
    keyid: str


def attest(
    report: Path,
    signer: CryptoSigner,
    out: Path | None = None,
    requirements: Requirements | None = None,
) -> Signed:
    """Sign what a report, or the run directory it lies in, says.

    Where the run's own artifacts lie beside the report, they must still be those that were tested.
    ``out`` None writes beside the report; ``requirements`` are those of `statement.make`. Raises
    `UsageError` for what is no report, and `AttestationError` for an artifact that was changed
    after the test.
    """
    path = load.locate(report)
    out = path.with_name(STATEMENT_NAME) if out is None else out
    if not out.parent.is_dir():
        raise UsageError(f"{out} cannot be written: there is no folder {out.parent}")
    before = sha256_file(path)
    found = load.load(path)
    if sha256_file(path) != before:
        raise AttestationError(f"{path} is being written: sign it when its run has finished")
    folder = load.run_directory(path)
    if folder is not None:
        _check_artifacts(found, folder / "artifacts")
    made = statement.make(found, before, requirements)
    data = envelope.seal(statement.write(made), signer)
    write_whole(out, data)
    return Signed(made, out, signer.public_key.keyid)


def _check_artifacts(report: Report, folder: Path) -> None:
    """What an export left in the run directory is what the rungs ran."""
    pruned = report.manifest.pruned if report.manifest is not None else None
    files = [(record.file, record.sha256) for record in report.artifacts]
    if pruned is not None:
        files.append((pruned.file, pruned.sha256))
    for name, sha256 in files:
        file = folder / name
        if not file.is_file():
            raise AttestationError(f"{file} is gone, and the report says that it was tested")
        if sha256_file(file) != sha256:
            raise AttestationError(f"{file} was changed after it was tested: run the test again")
