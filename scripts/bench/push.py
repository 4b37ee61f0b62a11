"""Races pushing a 20 MB file, directly and through the adb server, against ``adb push``.

Twice: the transfer alone, against the rate that adb itself reports; and the push as it is used, the
device's SHA-256 of what arrived included, against the wall time of ``adb push`` followed by ``adb
shell sha256sum``. adb-shell's own push runs beside. The phone is a virtual one: only the ratios
mean anything.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from adb_shell.adb_device import AdbDevice
from adb_shell.transport.tcp_transport import TcpTransport

from devdiff.device_runner.adb.direct import DirectTransport
from devdiff.device_runner.adb.server import ServerTransport
from devdiff.device_runner.adb.wire import SocketWire
from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.hardware import DEFAULT_CPU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from devdiff.device_runner.adb.services import ServiceTransport

SIZE = 20 << 20
GOAL = 1.0
# Two processes more on the device than hashing alone: the mode is set, and the name, once all is
# known to be there.
CHECKED_GOAL = 0.95
REMOTE = "/data/local/tmp/devdiff-bench"


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def transfer(transport: ServiceTransport, local: Path) -> None:
    """Only what `Transport.push` sends; nothing is checked or moved."""
    with local.open("rb") as source, transport._sync("benchmark") as sync:
        sync.send(source, REMOTE, 0o644, lambda part, total: None)


def stock(port: int, local: Path) -> None:
    device = AdbDevice(TcpTransport("127.0.0.1", port), default_transport_timeout_s=30)
    with contextlib.closing(device):
        device.connect()
        device.push(str(local), REMOTE)


def rate_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over the rounds, since a machine that others use too is faster in some."""
    return statistics.median(peer / own for own, peer in zip(ours, theirs, strict=True))


@contextlib.contextmanager
def adb_server(serial: str) -> Iterator[tuple[int, Callable[..., str]]]:
    """A private server that holds the phone: its port, and adb speaking to it."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = int(trial.getsockname()[1])
    environment: Mapping[str, str] = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(port)}

    def adb(*arguments: str) -> str:
        done = subprocess.run(
            ["adb", *arguments],
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    adb("start-server")
    try:
        adb("-s", serial, "wait-for-device")
        yield port, adb
    finally:
        adb("kill-server")


def race(device: phone.VirtualPhone, rounds: int) -> bool:
    """Print all rates and their ratios; returns whether the goals are reached."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, adb_server(device.serial) as (port, adb):
        local = Path(folder, "data")
        local.write_bytes(os.urandom(SIZE))
        wire = SocketWire("127.0.0.1", device.port)
        with (
            DirectTransport(device.serial, wire) as direct,
            ServerTransport(device.serial, ("127.0.0.1", port)) as server,
        ):

            def adb_push() -> float:
                reply = adb("-s", device.serial, "push", str(local), REMOTE)
                match = re.search(r"bytes in ([\d.]+)s", reply)
                assert match, reply
                return float(match[1])

            def adb_checked() -> None:
                adb_push()
                adb("-s", device.serial, "shell", "sha256sum", REMOTE)

            ways: dict[str, Callable[[], float]] = {
                "adb push": adb_push,
                "direct": lambda: seconds(lambda: transfer(direct, local)),
                "server": lambda: seconds(lambda: transfer(server, local)),
                "adb-shell": lambda: seconds(lambda: stock(device.port, local)),
                "adb push + sha256sum": lambda: seconds(adb_checked),
                "direct, checked": lambda: seconds(lambda: direct.push(local, REMOTE)),
                "server, checked": lambda: seconds(lambda: server.push(local, REMOTE)),
            }
            for _ in range(rounds):
                for name, measure in ways.items():
                    times.setdefault(name, []).append(measure())
            direct.shell(f"rm -f {REMOTE}")
    for name, found in times.items():
        rate = SIZE / 1e6 / statistics.median(found)
        spread = f"{SIZE / 1e6 / max(found):.0f} to {SIZE / 1e6 / min(found):.0f}"
        print(f"{name:22} {rate:7.1f} MB/s ({spread})")
    reached = True
    print(f"adb-shell / adb push: {rate_ratio(times['adb-shell'], times['adb push']):.2f}")
    for peer, name, goal in (
        ("adb push", "direct", GOAL),
        ("adb push", "server", GOAL),
        ("adb push + sha256sum", "direct, checked", CHECKED_GOAL),
        ("adb push + sha256sum", "server, checked", CHECKED_GOAL),
    ):
        ratio = rate_ratio(times[name], times[peer])
        print(f"{name} / {peer}: {ratio:.2f} (goal {goal:.2f} at least)")
        reached &= ratio >= goal
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--cpu", default=DEFAULT_CPU)
    args = parser.parse_args()
    with phone.start(args.cpu, say=print) as device:
        return 0 if race(device, args.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
