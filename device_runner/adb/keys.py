"""The RSA keys by which a phone knows this computer, where every Android tool keeps them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from devdiff.device_runner.errors import DeviceAuthError


def android_folder(environment: Mapping[str, str]) -> Path:
    """Where Android tools keep a user's keys."""
    if user := environment.get("ANDROID_USER_HOME"):
        return Path(user)
    home = environment.get("ANDROID_SDK_HOME") or environment.get("HOME")
    return (Path(home) if home else Path.home()) / ".android"


def key_files(environment: Mapping[str, str]) -> list[Path]:
    """The private keys to offer: the user's own first, then those ``ADB_VENDOR_KEYS`` names."""
    files = [android_folder(environment) / "adbkey"]
    for named in environment.get("ADB_VENDOR_KEYS", "").split(os.pathsep):
        path = Path(named)
        if named and path.is_dir():
            files += sorted(path.glob("*.adb_key"))
        elif named:
            files.append(path)
    return list(dict.fromkeys(files))


def make_key(path: Path) -> None:
    """Make a key pair at ``path``, readable by its owner alone; keeps one that is there."""
    from adb_shell.auth.keygen import keygen

    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".adbkey-") as folder:
        made = Path(folder, path.name)
        # Made there so that it is 0600 from its first byte on, whatever the umask says.
        made.touch(mode=0o600)
        keygen(str(made))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)
            public_file(made).replace(public_file(path))


def public_file(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


class Keys(Sequence[Any]):
    """adb-shell's signers for all keys of this user; read, or made, when first looked at.

    A phone that asks for no key leaves the user's folder as it was.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._signers: list[Any] | None = None

    @property
    def own(self) -> Path:
        """The private key of this user."""
        return key_files(self._environment)[0]

    def _loaded(self) -> list[Any]:
        if self._signers is None:
            own, *others = key_files(self._environment)
            try:
                if not own.exists():
                    make_key(own)
                self._signers = [_signer(own)]
            except (OSError, ValueError, TypeError) as error:
                raise DeviceAuthError(
                    f"{own}: this computer's key cannot be used ({error}); mend its rights, or "
                    "move it away and a new one is made"
                ) from error
            for path in others:
                # A vendor's key that is broken must not keep the user's own from working.
                with contextlib.suppress(OSError, ValueError, TypeError):
                    self._signers.append(_signer(path))
        return self._signers

    def __len__(self) -> int:
        return len(self._loaded())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loaded())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._loaded()[index]


def _signer(path: Path) -> Any:
    """A signer for one private key; its public half is worked out when its file is not there."""
    from adb_shell.auth.keygen import write_public_keyfile
    from adb_shell.auth.sign_cryptography import CryptographySigner

    if public_file(path).exists():
        signer = CryptographySigner(str(path))
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "key")
            copy.touch(mode=0o600)
            copy.write_bytes(path.read_bytes())
            write_public_keyfile(str(copy), str(public_file(copy)))
            signer = CryptographySigner(str(copy))
    signer.public_key = signer.public_key.strip()
    return signer
