"""An RSA key in the formats of adb: a PEM file, and Android's structure of the public half.

The public half is what ``android_pubkey.c`` of AOSP's libcrypto_utils calls ``RSAPublicKey``: the
modulus in 32-bit words, -1/n mod 2^32, the modulus, R^2 mod n with R = 2^2048, and the exponent,
all of them little-endian.
"""

from __future__ import annotations

import base64
import getpass
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

if TYPE_CHECKING:
    from typing import Self

BITS: Final = 2048
_BYTES: Final = BITS // 8
_STRUCT: Final = struct.Struct(f"<2I{_BYTES}s{_BYTES}sI")
_EXPONENT: Final = 65537
_UNFIT: Final = re.compile(r"[^\w.@+-]", re.ASCII)
_LONGEST_OWNER: Final = 200


@dataclass(frozen=True, slots=True)
class AdbKey:
    """A private key, and the name under which devices list it (``user@computer``)."""

    private: rsa.RSAPrivateKey
    owner: str

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(rsa.generate_private_key(_EXPONENT, BITS), _this_user())

    @classmethod
    def from_pem(cls, pem: bytes, owner: str = "") -> Self:
        """A key out of its file, PKCS #8 or the older form.

        Raises `ValueError` when it is no such key, or locked by a password.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError as error:
            raise ValueError("it is locked by a password, which adb's keys are not") from error
        if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != BITS:
            raise ValueError(f"it is no RSA key of {BITS} bits")
        return cls(key, _clean(owner) or _this_user())

    def private_pem(self) -> bytes:
        """The key as a file, without a password, as adb writes it."""
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def public_struct(self) -> bytes:
        """The public half as Android's ``RSAPublicKey``, 524 bytes."""
        public = self.private.public_key().public_numbers()
        inverse = -pow(public.n, -1, 1 << 32) % (1 << 32)
        square = pow(1 << BITS, 2, public.n)
        return _STRUCT.pack(
            _BYTES // 4,
            inverse,
            public.n.to_bytes(_BYTES, "little"),
            square.to_bytes(_BYTES, "little"),
            public.e,
        )

    def public_line(self) -> bytes:
        """The public half as devices take it and ``adbkey.pub`` holds it: base64 and the owner."""
        return base64.b64encode(self.public_struct()) + b" " + self.owner.encode()

    def sign(self, token: bytes) -> bytes:
        """The answer to a device's token of 20 bytes, 256 bytes."""
        sha1 = utils.Prehashed(hashes.SHA1())  # noqa: S303  the protocol's
        return self.private.sign(token, padding.PKCS1v15(), sha1)


def _this_user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    return f"{_clean(user) or 'unknown'}@{_clean(socket.gethostname()) or 'unknown'}"


def _clean(name: str) -> str:
    return _UNFIT.sub("", name)[:_LONGEST_OWNER]
