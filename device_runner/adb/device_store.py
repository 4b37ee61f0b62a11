"""Files on a device, kept by what they contain: what is there already is not sent again.

Everything lies under one folder that the shell user may write. ``store/`` holds files named by
their SHA-256, ``runs/`` one folder a run. A file enters the store under another name and is moved
when it has arrived whole.
"""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.adb.device_facts import free_bytes
from devdiff.device_runner.adb.services import HASHERS
from devdiff.device_runner.errors import DeviceError, TransferError
from devdiff.exporter.artifact import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from devdiff.device_runner.adb.transport import Transport

ROOT: Final = "/data/local/tmp/devdiff"
DEFAULT_BUDGET: Final = 512 << 20
# A run folder nobody has touched for this long belongs to a computer that is not coming back.
_STALE_MINUTES: Final = 24 * 60
_LISTED: Final = re.compile(rf"(\d+) (\d+) {ROOT}/store/([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A local file that a run needs on the device; ``mode`` is its permission there."""

    path: Path
    sha256: str
    mode: int = 0o644

    @classmethod
    def of(cls, path: Path, mode: int = 0o644) -> StoredFile:
        return cls(path, sha256_file(path), mode)

    @property
    def remote(self) -> str:
        return f"{ROOT}/store/{self.sha256}"


class DeviceStore:
    """The store of one device, over a connected transport; the device must be locked.

    ``sent`` counts the bytes pushed so far.
    """

    def __init__(self, transport: Transport, budget: int = DEFAULT_BUDGET) -> None:
        self._transport = transport
        self._budget = budget
        self._known: dict[str, int] = {}
        self._used: list[str] = []
        self.sent = 0

    def open(self, host: str) -> str:
        """Make the folders, sweep what dead runs of ``host`` left, and make a run folder.

        Returns the run folder's path. Raises `DeviceError` when the device cannot be written.
        """
        run = f"{ROOT}/runs/{host}-{secrets.token_hex(8)}"
        mine = shlex.quote(f"{ROOT}/runs/{host}-") + "*"
        script = (
            f"umask 077; mkdir -p {ROOT}/store {ROOT}/runs || exit 1; "
            f'for old in {mine}; do [ -d "$old" ] || continue; '
            # The number may be another process's by now.
            'pid=$(cat "$old/pid" 2>/dev/null); '
            f'grep -q {ROOT}/store "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid"; '
            'rm -rf "$old"; done; '
            f"find {ROOT}/runs -mindepth 1 -maxdepth 1 -mmin +{_STALE_MINUTES} "
            "-exec rm -rf {} + 2>/dev/null; "
            f"rm -f {ROOT}/store/*.partial; "
            f"mkdir {shlex.quote(run)} || exit 1; "
            f"find {ROOT}/store -type f -exec stat -c '%Y %s %n' {{}} +"
        )
        done = self._transport.shell(script)
        if done.code != 0:
            raise DeviceError(
                f"{self._transport.serial}: {ROOT} cannot be written: "
                f"{done.stderr.decode(errors='replace').strip() or f'code {done.code}'}"
            )
        self._known = _listing(done.stdout.decode(errors="replace"))
        return run

    def ensure(
        self,
        files: Iterable[StoredFile],
        hasher: StoredFile,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Bring every file into the store, sending only what is not there, byte for byte.

        What is there is checked by SHA-256, on devices that have no tool for it (Android before 8)
        by ``hasher``, the native runner. Raises `TransferError` when there is no room.
        """
        wanted = list(dict.fromkeys(files))
        self._used = [file.sha256 for file in (hasher, *wanted)]
        intact = self._intact(wanted, hasher)
        if hasher in wanted and hasher.sha256 not in intact:
            self._send([hasher], progress)
            intact = self._intact(wanted, hasher)
        self._send([file for file in wanted if file.sha256 not in intact], progress)

    def _send(self, missing: list[StoredFile], progress: Callable[[int, int], None]) -> None:
        sizes = {file.sha256: file.path.stat().st_size for file in missing}
        total, done = sum(sizes.values()), 0
        if missing:
            self._make_room(total)
        for file in missing:
            self._push(file, _shifted(progress, done, total))
            done += sizes[file.sha256]
            self._known[file.sha256] = sizes[file.sha256]
            self.sent += sizes[file.sha256]

    def adopt(self, file: StoredFile) -> None:
        """Take note of a file that came into the store by another connection."""
        self._known.setdefault(file.sha256, file.path.stat().st_size)

    def _intact(self, files: list[StoredFile], hasher: StoredFile) -> set[str]:
        """Which of these are in the store with the right content; marks them as used."""
        if not files:
            return set()
        names = " ".join(file.remote for file in files)
        tools = " ".join(shlex.quote(tool) for tool in (*HASHERS, f"{hasher.remote} --sha256"))
        done = self._transport.shell(
            f"touch -c {names}; for tool in {tools}; do "
            f"$tool /dev/null >/dev/null 2>&1 && break; done; $tool {names}",
            timeout_s=120,
        )
        found = set()
        for line in done.stdout.decode(errors="replace").splitlines():
            digest, _, path = line.partition(" ")
            if path.strip() == f"{ROOT}/store/{digest}":
                found.add(digest)
        return found

    def _push(self, file: StoredFile, progress: Callable[[int], None]) -> None:
        partial = f"{file.remote}.partial"
        self._transport.push(file.path, partial, file.mode, progress)
        done = self._transport.shell(
            f"chmod {file.mode:o} {partial} && mv -f {partial} {file.remote}"
        )
        if done.code != 0:
            raise TransferError(
                f"{self._transport.serial}: {file.path.name} could not be kept: "
                f"{done.stderr.decode(errors='replace').strip()}"
            )

    def free(self) -> int:
        """Bytes free on the device's storage."""
        found = free_bytes(self._transport, ROOT)
        if found is None:
            raise DeviceError(f"{self._transport.serial}: df names no free space for {ROOT}")
        return found

    def _make_room(self, needed: int) -> None:
        """Remove what was used longest ago until ``needed`` bytes fit the budget and the disk."""
        free = self.free()
        kept = sum(self._known.values())
        for name in [name for name in self._known if name not in self._used]:
            if kept + needed <= self._budget and needed <= free:
                return
            self._transport.shell(f"rm -f {ROOT}/store/{name}")
            size = self._known.pop(name)
            kept -= size
            free += size
        if needed > free:
            raise TransferError(
                f"{self._transport.serial}: {needed / 1e6:.1f} MB are needed in {ROOT} and "
                f"{free / 1e6:.1f} MB are free: free some space on the device"
            )

    def close(self, run: str) -> None:
        """Remove the run folder."""
        self._transport.shell(f"rm -rf {shlex.quote(run)}")


def _shifted(
    progress: Callable[[int, int], None], before: int, total: int
) -> Callable[[int], None]:
    return lambda sent: progress(before + sent, total)


def _listing(text: str) -> dict[str, int]:
    """Names and sizes from lines of time, size and path, the one used longest ago first."""
    found = []
    for line in text.splitlines():
        match = _LISTED.fullmatch(line.strip())
        if match:
            found.append((int(match[1]), match[3], int(match[2])))
    return {name: size for _, name, size in sorted(found)}
