"""The RSA keys by which a phone knows this computer, where every Android tool keeps them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.device_runner.errors import DeviceAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.device_runner.adb.rsa_key import AdbKey


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


def public_file(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def make_key(path: Path) -> None:
    """Make a key pair at ``path``, readable by its owner alone; keeps one that is there."""
    from devdiff.device_runner.adb.rsa_key import AdbKey

    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".adbkey-") as folder:
        made = Path(folder, path.name)
        key = AdbKey.generate()
        # Made there so that it is 0600 from its first byte on, whatever the umask says.
        made.touch(mode=0o600)
        made.write_bytes(key.private_pem())
        public_file(made).write_bytes(key.public_line())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)
            public_file(made).replace(public_file(path))


class Keys:
    """The keys of this user; read, or made, when they are first asked for.

    A phone that asks for no key leaves the user's folder as it was.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._loaded: tuple[AdbKey, ...] | None = None

    @property
    def own(self) -> Path:
        """The private key of this user."""
        return key_files(self._environment)[0]

    def load(self) -> tuple[AdbKey, ...]:
        """The user's own key, then those of vendors that can be read.

        Raises `DeviceAuthError` when the user's own cannot be used.
        """
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> tuple[AdbKey, ...]:
        own, *others = key_files(self._environment)
        try:
            if not own.exists():
                make_key(own)
            keys = [_key(own)]
        except (OSError, ValueError) as error:
            raise DeviceAuthError(
                f"{own}: this computer's key cannot be used ({error}); mend its rights, or "
                "move it away and a new one is made"
            ) from error
        for path in others:
            # A vendor's key that is broken must not keep the user's own from working.
            with contextlib.suppress(OSError, ValueError):
                keys.append(_key(path))
        return tuple(keys)


def _key(path: Path) -> AdbKey:
    """The key at ``path``. Raises `OSError` and `ValueError`."""
    from devdiff.device_runner.adb.rsa_key import AdbKey

    owner = b""
    with contextlib.suppress(OSError):
        # Only whose key it is; the key itself is worked out, lest the two differ.
        owner = public_file(path).read_bytes().partition(b" ")[2]
    return AdbKey.from_pem(path.read_bytes(), owner.decode(errors="replace"))
