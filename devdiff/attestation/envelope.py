"""A payload and its signature in one DSSE envelope, with no byte that may change unnoticed."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import AttestationError, UsageError
from devdiff.system import plain_json
from devdiff.system.errors import FormatError
from devdiff.system.typed_json import Record, decode

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


class SignatureRecord(Record, frozen=True):
    keyid: str
    sig: str


class EnvelopeRecord(Record, frozen=True, rename="camel"):
    """A DSSE envelope with one signature."""

    payload: str
    payload_type: str
    signatures: tuple[SignatureRecord]


def seal(payload: bytes, signer: CryptoSigner) -> bytes:
    """The signed envelope around ``payload``, as JSON."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    # No white space, not even a last newline: it could change without changing what it says.
    return json.dumps(envelope.to_dict(), separators=(",", ":")).encode()


def unseal(data: bytes, key: SSlibKey, name: str) -> bytes:
    """The payload of an envelope that ``key`` signed; ``name`` is what messages call it.

    Raises `UsageError` for what is no envelope, `AttestationError` when the signature is another's
    or does not fit.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    envelope = strict_json(data, name)
    try:
        decode(EnvelopeRecord, envelope)
    except FormatError as error:
        raise UsageError(
            f"{name} is no DSSE envelope of devdiff attest: {shortened(str(error))}"
        ) from error
    try:
        parsed = Envelope.from_dict(copy.deepcopy(envelope))
    except ValueError as error:
        raise UsageError(f"{name} is no DSSE envelope: its base64 is damaged") from error
    if parsed.to_dict() != envelope:
        raise AttestationError(f"{name} was changed: its base64 is not as it was written")
    if parsed.payload_type != PAYLOAD_TYPE:
        raise AttestationError(
            f"{name} holds {shortened(parsed.payload_type)!r}, not {PAYLOAD_TYPE}"
        )
    (keyid,) = parsed.signatures
    if keyid != key.keyid:
        raise AttestationError(
            f"{name} is signed with another key: {shortened(keyid)}, not {key.keyid}"
        )
    try:
        parsed.verify([key], 1)
    except VerificationError as error:
        raise AttestationError(
            f"{name} was changed, or its key never signed it: the signature does not fit"
        ) from error
    return parsed.payload


def strict_json(data: bytes, name: str) -> Any:
    """JSON without anything two readers might understand differently. Raises `UsageError`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands in it twice")
        return found

    try:
        return plain_json.parse(data.decode(), once)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from error


def shortened(text: str, limit: int = 200) -> str:
    """What comes from outside, made fit for a message."""
    return text if len(text) <= limit else f"{text[:limit]}…"
