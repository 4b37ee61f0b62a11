"""Ends runs of the digits example by signals at random moments, and looks at what is left.

Run it as ``.venv/bin/python scripts/kill_runs.py [--runs N] [--seed S]``. Each run is sent SIGTERM,
SIGHUP, SIGINT or SIGKILL, and is then given again until it ends; every second one uses a virtual
phone. Prints the table of docs/trust.md; the exit code is 1 when anything was not as it should be.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from devdiff.comparison.intervals import clopper_pearson
from tests.support.interrupted_run import Command

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)
# Longer than a whole run, so that the last moments are met, too.
_LATEST_S: Final = 20.0


def interrupt(folder: Path, device: str, number: signal.Signals, moment_s: float) -> list[str]:
    """What was wrong with one run that was sent a signal and then given again."""
    command = Command(folder, device)
    process = command.start()
    wrong = []
    assert process.stderr is not None
    process.stderr.readline()  # Python has started, and the command has begun
    try:
        process.communicate(timeout=moment_s)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        expected = -number if number == signal.SIGKILL else 128 + number
        # It may just have ended by itself.
        if process.returncode not in (expected, 0):
            wrong.append(f"exit code {process.returncode}")
        if "Traceback" in stderr:
            wrong.append("traceback")
        if number != signal.SIGKILL:
            wrong += [f"left process: {entry}" for entry in command.processes()]
            wrong += [f"left file: {entry}" for entry in command.left()]
    if (folder / "run/report.json").exists():
        return wrong
    again = command.start()
    _, stderr = again.communicate(timeout=300)
    if again.returncode != 0:
        wrong.append(f"the run did not go on: code {again.returncode}: {stderr[-500:]}")
    wrong += [f"left process after all: {entry}" for entry in command.processes()]
    wrong += [f"left file after all: {entry}" for entry in command.left()]
    return wrong


def main(runs: int, seed: int) -> int:
    generator = random.Random(seed)
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    begun = time.monotonic()
    for place in range(runs):
        number = _SIGNALS[place % len(_SIGNALS)]
        device = "virtual" if place // len(_SIGNALS) % 2 else "local"
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            wrong = interrupt(Path(folder), device, number, generator.uniform(0, _LATEST_S))
        tried[number.name] += 1
        failed[number.name] += bool(wrong)
        for line in wrong:
            print(f"{number.name}, {device}: {line}", file=sys.stderr, flush=True)
    print("| signal | runs | not tidy, not resumed or another exit code |")
    print("|---|---|---|")
    for name, count in tried.items():
        print(f"| {name} | {count} | {failed[name]} |")
    low, high = clopper_pearson(failed.total(), runs, 0.95)
    print(f"{failed.total()} of {runs} (95 %: {100 * low:.1f} to {100 * high:.1f} %)")
    print(f"seed {seed}, {time.monotonic() - begun:.0f} s")
    return 1 if failed.total() else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    raise SystemExit(main(chosen.runs, chosen.seed))
