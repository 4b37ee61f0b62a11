"""A finished run made into evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.attest import envelope, statement
from devdiff.errors import AttestationError, UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.report import load
from devdiff.system.atomic_file import write_whole

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from devdiff.gate.requirements import Requirements

STATEMENT_NAME: Final = "statement.dsse.json"


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement that was signed, and the file its envelope lies in."""

    statement: dict[str, Any]
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


def _check_artifacts(report: dict[str, Any], folder: Path) -> None:
    """What an export left in the run directory is what the rungs ran."""
    manifest = report["manifest"] or {"artifacts": (), "pruned": None}
    records = [*manifest["artifacts"], *filter(None, [manifest["pruned"]])]
    for record in records:
        file = folder / record["file"]
        if not file.is_file():
            raise AttestationError(f"{file} is gone, and the report says that it was tested")
        if sha256_file(file) != record["sha256"]:
            raise AttestationError(f"{file} was changed after it was tested: run the test again")
