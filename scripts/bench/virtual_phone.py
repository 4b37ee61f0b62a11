"""Times a virtual phone from its launch to the first answer of a shell on it.

Run it as ``python scripts/bench/virtual_phone.py``. Booting and continuing a stored boot take
turns, so that what else the machine does falls on both; the medians and their ratio are printed,
and what one phone takes of the machine's memory. The image and the snapshot are made before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.hardware import CPUS, DEFAULT_CPU
from devdiff.device_runner.virtual.qemu import version

if TYPE_CHECKING:
    from devdiff.device_runner.virtual.phone import VirtualPhone

_COLD_GOAL_S: Final = 3.0
_RATIO_GOAL: Final = 0.5


def launch(cpu: str, *, snapshot: bool) -> tuple[float, VirtualPhone]:
    """Start a phone; `phone.start` returns when a command it ran on it has answered."""
    begun = time.perf_counter()
    device = phone.start(cpu, snapshot=snapshot)
    return time.perf_counter() - begun, device


def own_memory(device: VirtualPhone) -> int:
    """Bytes of the machine's memory that this phone's process shares with nobody."""
    assert device.record.process is not None
    total = 0
    for line in Path(f"/proc/{device.record.process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1]) << 10
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", choices=[*CPUS], default=DEFAULT_CPU)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dd-") as place:
        os.environ["DEVDIFF_RUNTIME_DIR"] = place
        phone.start(args.cpu, say=print).stop()
        print(f"{version()}, {args.cpu}, {os.cpu_count()} host CPUs")
        seconds: dict[bool, list[float]] = {False: [], True: []}
        memory: dict[bool, int] = {}
        for _ in range(args.rounds):
            for snapshot, times in seconds.items():
                took, device = launch(args.cpu, snapshot=snapshot)
                times.append(took)
                memory[snapshot] = own_memory(device)
                device.stop()
    print(f"\nlaunch to the first shell answer, medians of {args.rounds} rounds")
    print(f"{'':16}{'seconds':>10}{'MiB':>8}")
    for snapshot, label in ((False, "boot"), (True, "from a snapshot")):
        median = statistics.median(seconds[snapshot])
        print(f"{label:16}{median:10.2f}{memory[snapshot] / 2**20:8.0f}")
    cold = statistics.median(seconds[False])
    ratio = statistics.median(seconds[True]) / cold
    met = cold <= _COLD_GOAL_S and ratio <= _RATIO_GOAL
    print(
        f"ratio {ratio:.2f} (goals: at most {_RATIO_GOAL}, and a boot in {_COLD_GOAL_S:g} s) "
        f"{'ok' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
