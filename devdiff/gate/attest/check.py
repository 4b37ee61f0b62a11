"""Evidence held against a key, and against the files it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devdiff.errors import AttestationError, UsageError
from devdiff.gate.attest import envelope, keys, statement
from devdiff.verdict import Verdict
from exporter.artifact import sha256_file

_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Attested:
    """What a statement proves, its signature checked.

    ``verdict`` is the run's. ``files`` maps the SHA-256 of everything that was under test to its
    name, ``rungs`` to the rungs that it ran on.
    """

    name: str
    statement: Mapping[str, Any]
    keyid: str
    verdict: Verdict
    files: Mapping[str, str]
    rungs: Mapping[str, tuple[str, ...]]

    @property
    def tested(self) -> dict[str, Verdict]:
        """The verdict on each file that ran, by its SHA-256: that of the run as a whole.

        A file is no better than the steps around it, so none of them gets a verdict of its own.
        """
        return {sha256: self.verdict for sha256, rungs in self.rungs.items() if rungs}

    @property
    def details(self) -> Mapping[str, Any]:
        """What devdiff says beyond in-toto's test result."""
        found: Mapping[str, Any] = self.statement["predicate"]["devdiff"]
        return found

    @property
    def runtimes(self) -> dict[str, str]:
        """The runtime libraries that ran on devices: SHA-256 to what each is called."""
        return {
            rung["runtime"]["sha256"]: rung["runtime"]["name"] or rung["name"]
            for rung in self.details["rungs"]
            if rung["runtime"]["sha256"] is not None
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
    predicate = found["predicate"]
    verdict = Verdict(predicate["devdiff"]["verdict"])
    if (predicate["result"] == "PASSED") != (verdict is Verdict.PASS):
        raise AttestationError(
            f"{path} contradicts itself: its result is {predicate['result']}, its verdict "
            f"{verdict.value}"
        )
    subjects = found["subject"]
    return Attested(
        name=str(path),
        statement=found,
        keyid=key.keyid,
        verdict=verdict,
        files={one["digest"]["sha256"]: one["name"] for one in subjects},
        rungs={one["digest"]["sha256"]: tuple(one["annotations"]["rungs"]) for one in subjects},
    )


def check_files(
    attested: Attested, report: Path | None = None, artifacts: Iterable[Path] = ()
) -> None:
    """Raises `AttestationError` that names every file the statement does not speak of."""
    wrong = []
    if report is not None and sha256_file(report) != attested.details["report"]["sha256"]:
        wrong.append(f"{report} is not the report that was signed")
    tested = attested.tested
    wrong += [
        f"{artifact} (sha256 {found[:12]}) is none of the files that were tested"
        for artifact in artifacts
        if (found := sha256_file(artifact)) not in tested
    ]
    if wrong:
        known = ", ".join(f"{attested.files[one]} {one[:12]}" for one in tested) or "nothing"
        raise AttestationError(f"{'; '.join(wrong)}: {attested.name} speaks of {known}")
