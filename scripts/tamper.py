"""Changes signed evidence, and what it speaks of, and counts what is taken all the same.

Run it as ``.venv/bin/python scripts/tamper.py [--changes N] [--seed S]``. A run of the digits
example is made, attested and then changed: single bytes anywhere in the signed statement, the
report and the artifact; whole statements signed by another; reports that fit themselves, and not
their run directory. Prints the table of docs/trust.md; the exit code is 1 when anything was taken.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.attestation import check, envelope, keys, sign, statement
from devdiff.comparison.intervals import clopper_pearson
from devdiff.errors import AttestationError, ReportError, UsageError
from devdiff.report import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIGITS: Final = Path(__file__).resolve().parents[1] / "examples" / "digits"
_REFUSALS: Final = (AttestationError, ReportError, UsageError)


@dataclass(frozen=True)
class Evidence:
    """A finished run in ``folder``/run, its signed statement, and a key that is not its own."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def statement(self) -> Path:
        return self.folder / "statement.json"

    @property
    def public(self) -> Path:
        return self.folder / "key.pub.pem"


def make(folder: Path) -> Evidence:
    """Test the digits example and sign what came out."""
    command = [
        *(sys.executable, "-m", "devdiff", "export-and-test", str(_DIGITS / "digits.onnx")),
        *("--inputs", str(_DIGITS / "heldout.npz"), "--preprocess", "scale=1/255"),
        *("--device", "local", "--run-dir", str(folder / "run")),
    ]
    subprocess.run(command, check=True, capture_output=True)
    found = Evidence(folder)
    keys.make(folder / "key.pem")
    keys.make(folder / "other.pem")
    sign.attest(found.run, keys.signer(folder / "key.pem"), found.statement)
    return found


def flipped(data: bytes, luck: random.Random) -> bytes:
    """One byte changed, anywhere."""
    place = luck.randrange(len(data))
    return data[:place] + bytes([data[place] ^ luck.randint(1, 255)]) + data[place + 1 :]


def of_statement(evidence: Evidence, luck: random.Random) -> None:
    changed = evidence.folder / "changed.json"
    changed.write_bytes(flipped(evidence.statement.read_bytes(), luck))
    found = check.read(changed, evidence.public).statement
    # White space between the fields is not what was signed.
    if found == check.read(evidence.statement, evidence.public).statement:
        raise UsageError("it says the same")


def of_report(evidence: Evidence, luck: random.Random) -> None:
    _of_file(evidence, luck, evidence.run / "report.json", is_report=True)


def of_artifact(evidence: Evidence, luck: random.Random) -> None:
    _of_file(evidence, luck, evidence.run / "artifacts/int8.tflite", is_report=False)


def _of_file(evidence: Evidence, luck: random.Random, file: Path, is_report: bool) -> None:
    changed = evidence.folder / "changed"
    changed.write_bytes(flipped(file.read_bytes(), luck))
    found = check.read(evidence.statement, evidence.public)
    check.check_files([found], [changed] if is_report else [], [] if is_report else [changed])


def by_another(evidence: Evidence, luck: random.Random) -> None:
    """A statement that says something else, signed with another key under the trusted key's id."""
    claim = json.loads(json.dumps(check.read(evidence.statement, evidence.public).statement))
    claim["predicate"]["devdiff"]["verdict"] = luck.choice(("pass", "fail", "inconclusive"))
    forged = json.loads(
        envelope.seal(statement.write(claim), keys.signer(evidence.folder / "other.pem"))
    )
    trusted = json.loads(evidence.statement.read_bytes())["signatures"][0]["keyid"]
    forged["signatures"][0]["keyid"] = luck.choice((trusted, forged["signatures"][0]["keyid"]))
    path = evidence.folder / "forged.json"
    path.write_text(json.dumps(forged))
    check.read(path, evidence.public)


def of_run(evidence: Evidence, luck: random.Random) -> None:
    """A report that is consistent and speaks of another model, other inputs or other limits."""
    path = evidence.run / "report.json"
    whole = path.read_bytes()
    data = json.loads(whole)
    other = f"{luck.getrandbits(256):064x}"
    old = data["model"]["sha256"]
    kind = luck.randrange(5)
    if kind == 0:
        data["inputs"]["sha256"] = other
    elif kind == 1:
        luck.choice(data["rungs"])["results_sha256"] = other
    elif kind == 2:
        data["options"]["gates"]["min_agreement"] = luck.uniform(0, 0.9)
    elif kind == 3:
        data["inputs"]["seed"] += luck.randint(1, 1 << 30)
    else:
        data["model"] = json.loads(json.dumps(data["model"]).replace(old, other))
        for rung in data["rungs"]:
            rung["model"]["sha256"] = rung["model"]["sha256"].replace(old, other)
    try:
        path.write_text(json.dumps(data))
        load.load(path)
    finally:
        path.write_bytes(whole)


KINDS: Final[dict[str, Callable[[Evidence, random.Random], Any]]] = {
    "a byte of the signed statement": of_statement,
    "a byte of the report": of_report,
    "a byte of the artifact": of_artifact,
    "a statement signed by another": by_another,
    "a report against its run": of_run,
}


def outcomes(evidence: Evidence, changes: int, seed: int) -> Iterator[tuple[str, int]]:
    """Each kind of change, and how many of them were taken."""
    for kind, change in KINDS.items():
        luck, taken = random.Random(f"{seed} {kind}"), 0
        for _ in range(changes):
            try:
                change(evidence, luck)
                taken += 1
            except _REFUSALS:
                continue
        yield kind, taken


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=500, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    total = 0
    print("| what was changed | times | taken |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="devdiff-tamper-") as name:
        for kind, taken in outcomes(make(Path(name)), args.changes, args.seed):
            print(f"| {kind} | {args.changes} | {taken} |", flush=True)
            total += taken
    times = args.changes * len(KINDS)
    low, high = clopper_pearson(total, times, 0.95)
    print(f"{total} of {times}: 95 % interval {100 * low:.2f} to {100 * high:.2f} %")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
