"""Times ``devdiff --help`` as a process, beside a bare Python that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

GOAL_MS = 250.0
ROUNDS = 15


def milliseconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - start)


def main() -> int:
    helped, bare = [], []
    for _ in range(ROUNDS):
        helped.append(milliseconds([sys.executable, "-m", "devdiff", "--help"]))
        bare.append(milliseconds([sys.executable, "-c", ""]))
    ours, theirs = statistics.median(helped), statistics.median(bare)
    print(f"devdiff --help: median {ours:.0f} ms (goal {GOAL_MS:.0f} at most)")
    print(f"bare python:    median {theirs:.0f} ms, ratio {ours / theirs:.1f}")
    return int(ours > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
