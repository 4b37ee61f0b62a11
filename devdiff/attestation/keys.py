"""Ed25519 keys in PEM files, as ``openssl genpkey -algorithm ed25519`` makes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from devdiff.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from securesystemslib.signer import CryptoSigner, SSlibKey

PASSPHRASE: Final = "DEVDIFF_KEY_PASSPHRASE"
_MAX_BYTES: Final = 1 << 16


def passphrase(environ: Mapping[str, str] | None = None) -> bytes | None:
    """What a private key is encrypted with, from the environment; None when it says nothing."""
    return ((os.environ if environ is None else environ).get(PASSPHRASE) or "").encode() or None


def make(path: Path, secret: bytes | None = None) -> Path:
    """Make a pair: the private key in ``path``, for its owner only, encrypted with ``secret``.

    Returns where the public key lies, beside it. Raises `UsageError` when either file exists.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = path.with_name(f"{path.stem}.pub{path.suffix}")
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise UsageError(f"{file} exists, and keys are not overwritten: name another file")
    key = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    )
    written = (
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        ),
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )
    made: list[Path] = []
    try:
        for file, content, mode in zip((path, public), written, (0o600, 0o644), strict=True):
            # Exclusive, so that not even a file that appears meanwhile is overwritten.
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(file)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    return public


def signer(path: Path, secret: bytes | None = None) -> CryptoSigner:
    """What signs with the private key in ``path``. Raises `UsageError` when it cannot be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    data = _read(path)
    try:
        try:
            key = load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            if secret is None:
                raise UsageError(
                    f"{path} is encrypted: put its passphrase into {PASSPHRASE}"
                ) from None
            key = load_pem_private_key(data, secret)
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = f", or {PASSPHRASE} is not its passphrase" if b"ENCRYPTED" in data else ""
        raise UsageError(
            f"{path} holds no private key in PEM (PKCS #8){hint}; devdiff attest --new-key FILE "
            "makes one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is no ed25519 key: make one with devdiff attest --new-key FILE, or openssl "
            "genpkey -algorithm ed25519"
        )
    return CryptoSigner(key)


def public_key(path: Path) -> SSlibKey:
    """What verifies with the public key in ``path``. Raises `UsageError` when it cannot be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    data = _read(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        private = b"PRIVATE KEY" in data
        problem = "a private key: name the public one" if private else "no public key in PEM"
        raise UsageError(f"{path} holds {problem}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is no ed25519 key, and devdiff signs with no other")
    return SSlibKey.from_crypto(key)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path} is too large to be a key")
    return data
