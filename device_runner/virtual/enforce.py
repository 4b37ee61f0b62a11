"""Makes a virtual phone ask for keys, as a phone does and Debian's adbd does not."""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.cpio import CpioWriter
from devdiff.device_runner.virtual.image import ADBD_PACKAGE, Image
from devdiff.device_runner.virtual.userland import ADBD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# adbd starts out asking for keys; Debian's stores a zero over that (strb wzr, [x8]) when it starts.
# Without the store (nop) the daemon is as Android's developers wrote it.
_VERSION: Final = "34.0.5-12"
_OFFSET: Final = 0x3AEA8
_OLD: Final = bytes.fromhex("1f010039")
_NEW: Final = bytes.fromhex("1f2003d5")

# An RSA public key of 2048 bits in Android's form: word count, inverse, modulus, R², exponent.
_KEY_BYTES: Final = 4 + 4 + 256 + 256 + 4


def enforcing_archive(image: Image, keys: Sequence[Path]) -> bytes:
    """An initramfs to lay over the image's own: adbd that enforces ``keys`` (``adbkey.pub`` files).

    Raises `VirtualPhoneError` when a key cannot be read or the image's adbd is not the version
    whose check is known.
    """
    stream = io.BytesIO()
    archive = CpioWriter(stream)
    archive.file(ADBD, enforcing(image.adbd.read_bytes(), image.packages[ADBD_PACKAGE]), 0o755)
    lines = "".join(f"{public_key(path)}\n" for path in keys)
    archive.file("adb_keys", lines.encode())
    archive.close()
    return stream.getvalue()


def enforcing(adbd: bytes, version: str) -> bytes:
    """The adbd program with its authentication switched on. Raises `VirtualPhoneError`."""
    found = adbd[_OFFSET : _OFFSET + len(_OLD)]
    if version != _VERSION or found != _OLD:
        raise VirtualPhoneError(
            f"keys can be enforced only with adbd {_VERSION}, and the image holds {version} "
            f"(with {found.hex()} where {_OLD.hex()} is due); start the phone without keys"
        )
    return adbd[:_OFFSET] + _NEW + adbd[_OFFSET + len(_NEW) :]


def public_key(path: Path) -> str:
    """The line an adb public key file holds. Raises `VirtualPhoneError` when it holds none."""
    line = ""
    try:
        line = path.read_text(encoding="ascii").strip()
        encoded = line.split()[0] if line.split() else ""
        right = len(base64.b64decode(encoded, validate=True)) == _KEY_BYTES
    except OSError as error:
        raise VirtualPhoneError(f"cannot read the key {path}: {error.strerror}") from error
    except (UnicodeDecodeError, binascii.Error):
        right = False
    if not right or "\n" in line:
        raise VirtualPhoneError(
            f"{path} is no public adb key; adb keygen FILE makes a pair, FILE.pub is the public one"
        )
    return line
