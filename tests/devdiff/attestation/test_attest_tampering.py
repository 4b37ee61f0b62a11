"""A changed byte anywhere is refused, and so is another's signature."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.attestation import check, envelope, keys, sign, statement
from devdiff.errors import AttestationError, UsageError
from devdiff.system.typed_json import fields
from tests.support.bare_reports import typed

if TYPE_CHECKING:
    from tests.support.html_runs import FinishedRun

pytestmark = pytest.mark.slow

REFUSALS = (AttestationError, UsageError)


@dataclass(frozen=True)
class Evidence:
    folder: Path
    key: Path
    public: Path
    statement: Path

    def sealed(self, changed: dict[str, Any]) -> Path:
        """The envelope of another statement, properly signed."""
        path = self.folder / "other.json"
        path.write_bytes(envelope.seal(json.dumps(changed).encode(), keys.signer(self.key)))
        return path


@pytest.fixture(scope="module")
def evidence(passed_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("evidence")
    public = keys.make(folder / "key.pem")
    signed = sign.attest(
        passed_run.folder, keys.signer(folder / "key.pem"), folder / "statement.json"
    )
    return Evidence(folder, folder / "key.pem", public, signed.path)


def flips(data: bytes, count: int, seed: int) -> list[tuple[int, bytes]]:
    """``data`` with one byte changed, at ``count`` places (all of them where there are fewer)."""
    generator = random.Random(seed)
    places = generator.sample(range(len(data)), min(count, len(data)))
    return [
        (place, data[:place] + bytes([data[place] ^ generator.randint(1, 255)]) + data[place + 1 :])
        for place in sorted(places)
    ]


def test_every_changed_byte_of_an_envelope_is_refused(evidence: Evidence, tmp_path: Path) -> None:
    whole = evidence.statement.read_bytes()
    tail = whole.index(b'"payloadType"')  # all of the signature and the key, a part of the payload
    changed = flips(whole[:tail], 250, seed=1)
    changed = [(place, head + whole[tail:]) for place, head in changed]
    changed += [(tail + place, whole[:tail] + end) for place, end in flips(whole[tail:], 999, 2)]
    path = tmp_path / "changed.json"
    for place, data in changed:
        path.write_bytes(data)
        with pytest.raises(REFUSALS):
            check.read(path, evidence.public)
            pytest.fail(f"byte {place} was changed: {data[place - 20 : place + 20]!r}")


@pytest.mark.parametrize("space", [b" ", b"\n", b"\t"])
def test_white_space_in_place_of_any_byte_of_the_signature_is_refused(
    space: bytes, evidence: Evidence, tmp_path: Path
) -> None:
    whole = evidence.statement.read_bytes()
    path = tmp_path / "changed.json"
    for place in range(whole.index(b'"signatures"'), len(whole)):
        path.write_bytes(whole[:place] + space + whole[place + 1 :])
        with pytest.raises(REFUSALS):
            check.read(path, evidence.public)


@pytest.mark.parametrize("file", ["report.json", "artifacts/int8.tflite"])
def test_every_changed_byte_of_a_file_is_refused(
    file: str, evidence: Evidence, passed_run: FinishedRun, tmp_path: Path
) -> None:
    found = check.read(evidence.statement, evidence.public)
    path = tmp_path / "changed"
    reports, artifacts = ([path], []) if file == "report.json" else ([], [path])
    path.write_bytes((passed_run.folder / file).read_bytes())
    check.check_files([found], reports, artifacts)
    for _, data in flips(path.read_bytes(), 100, seed=3):
        path.write_bytes(data)
        with pytest.raises(AttestationError, match="changed"):
            check.check_files([found], reports, artifacts)


def test_all_that_differs_is_told_at_once(
    evidence: Evidence, passed_run: FinishedRun, tmp_path: Path
) -> None:
    for name in ("report.json", "one.tflite", "two.tflite"):
        (tmp_path / name).write_text(name)
    found = check.read(evidence.statement, evidence.public)
    artifacts = [tmp_path / "one.tflite", tmp_path / "two.tflite"]
    with pytest.raises(AttestationError) as refused:
        check.check_files([found], [tmp_path / "report.json"], artifacts)
    for told in ("report.json is not", "one.tflite", "two.tflite"):
        assert told in str(refused.value)


def test_the_key_of_another_is_told_from_a_changed_statement(
    evidence: Evidence, tmp_path: Path
) -> None:
    other = keys.make(tmp_path / "other.pem")
    with pytest.raises(AttestationError, match="signed with another key"):
        check.read(evidence.statement, other)


def test_the_signature_of_another_under_the_trusted_keys_id_is_refused(
    evidence: Evidence, tmp_path: Path
) -> None:
    keys.make(tmp_path / "other.pem")
    mine = json.loads(evidence.statement.read_text())
    payload = check.read(evidence.statement, evidence.public).statement
    forged = json.loads(
        envelope.seal(statement.write(payload), keys.signer(tmp_path / "other.pem"))
    )
    forged["signatures"][0]["keyid"] = mine["signatures"][0]["keyid"]
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    with pytest.raises(AttestationError, match="the signature does not fit"):
        check.read(tmp_path / "forged.json", evidence.public)


def test_another_payload_type_is_refused_even_when_it_is_signed(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "PAYLOAD_TYPE", "text/plain")
    sealed = envelope.seal(b"{}", keys.signer(evidence.key))
    monkeypatch.undo()
    (tmp_path / "text.json").write_bytes(sealed)
    with pytest.raises(AttestationError, match="'text/plain'"):
        check.read(tmp_path / "text.json", evidence.public)


@pytest.mark.parametrize(
    ("result", "verdict"), [("PASSED", "fail"), ("FAILED", "pass"), ("PASSED", "inconclusive")]
)
def test_a_signed_contradiction_is_refused(
    result: str, verdict: str, evidence: Evidence, passed_run: FinishedRun
) -> None:
    changed = fields(statement.make(typed(passed_run.report), "ab" * 32))
    changed["predicate"]["result"] = result
    changed["predicate"]["devdiff"]["verdict"] = verdict
    with pytest.raises(AttestationError, match="contradicts itself"):
        check.read(evidence.sealed(changed), evidence.public)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is no DSSE envelope"),
        (b'{"payload":"","payloadType":"","signatures":[]}', "signatures"),
        (b'{"payload":"a","payload":"b","payloadType":"","signatures":[]}', "stands in it twice"),
        (
            b'{"payload":"a","payloadType":"","signatures":[{"keyid":"","sig":""}]}',
            "base64 is damaged",
        ),
        (b'{"payload":NaN}', "no JSON number"),
    ],
)
def test_what_is_no_envelope_is_refused_in_a_line(
    content: bytes, told: str, evidence: Evidence, tmp_path: Path
) -> None:
    (tmp_path / "it.json").write_bytes(content)
    with pytest.raises(UsageError, match=told):
        check.read(tmp_path / "it.json", evidence.public)


def test_a_statement_that_is_reformatted_still_verifies(evidence: Evidence, tmp_path: Path) -> None:
    pretty = json.dumps(json.loads(evidence.statement.read_text()), indent=2)
    (tmp_path / "pretty.json").write_text(pretty)
    assert check.read(tmp_path / "pretty.json", evidence.public).tested.models
