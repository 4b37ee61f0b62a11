"""Keys: made for their owner alone, opened with a passphrase, and never mistaken."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devdiff.attestation import envelope, keys
from devdiff.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_pair_signs_and_verifies(tmp_path: Path) -> None:
    public = keys.make(tmp_path / "key.pem")
    assert public == tmp_path / "key.pub.pem"
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    sealed = envelope.seal(b"hello", keys.signer(tmp_path / "key.pem"))
    assert envelope.unseal(sealed, keys.public_key(public), "it") == b"hello"


@pytest.mark.parametrize("taken", ["key.pem", "key.pub.pem"])
def test_no_key_is_overwritten(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(UsageError, match=f"{taken} exists"):
        keys.make(tmp_path / "key.pem")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(UsageError, match=r"key\.pem exists"):
        keys.make(tmp_path / "key.pem")


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    keys.make(path, b"open sesame")
    assert b"ENCRYPTED" in path.read_bytes()
    assert keys.signer(path, b"open sesame").public_key.scheme == "ed25519"
    with pytest.raises(
        UsageError, match=f"is encrypted: put its passphrase into {keys.PASSPHRASE}"
    ):
        keys.signer(path)
    with pytest.raises(UsageError, match="is not its passphrase"):
        keys.signer(path, b"open barley")


def test_a_passphrase_for_a_key_that_needs_none_does_no_harm(tmp_path: Path) -> None:
    keys.make(tmp_path / "key.pem")
    signer = keys.signer(tmp_path / "key.pem", b"open sesame")
    assert signer.public_key.keyid == keys.signer(tmp_path / "key.pem").public_key.keyid


@pytest.mark.parametrize(
    ("environ", "found"),
    [({}, None), ({keys.PASSPHRASE: ""}, None), ({keys.PASSPHRASE: "a"}, b"a")],
)
def test_the_passphrase_comes_from_the_environment(
    environ: dict[str, str], found: bytes | None
) -> None:
    assert keys.passphrase(environ) == found


def test_openssls_keys_are_taken(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    sealed = envelope.seal(b"hello", keys.signer(private))
    assert envelope.unseal(sealed, keys.public_key(public), "it") == b"hello"


@pytest.mark.slow
def test_what_is_no_key_is_told_by_what_it_is(tmp_path: Path) -> None:
    private = tmp_path / "key.pem"
    public = keys.make(private)
    with pytest.raises(UsageError, match="holds a private key: name the public one"):
        keys.public_key(private)
    with pytest.raises(UsageError, match="holds no private key in PEM"):
        keys.signer(public)
    (tmp_path / "large").write_bytes(bytes(1 << 17))
    with pytest.raises(UsageError, match="too large to be a key"):
        keys.signer(tmp_path / "large")
    other = rsa.generate_private_key(65537, 2048).public_key()
    (tmp_path / "rsa.pem").write_bytes(
        other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(UsageError, match="is no ed25519 key"):
        keys.public_key(tmp_path / "rsa.pem")
