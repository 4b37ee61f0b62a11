"""Fuzzes the native runner's parsers for as long as is asked; see scripts/fuzz_native."""

from __future__ import annotations

import argparse
import re
import shutil
import time
from pathlib import Path

from devdiff.system.exit_code import ExitCode
from tests.support.clang import missing_clang
from tests.support.native_fuzzing import SEEDS, fuzz, fuzzer

FOUND = Path("build/fuzz")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz_native", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(SEEDS))
    options = parser.parse_args()
    if unknown := set(options.targets) - set(SEEDS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(SEEDS)}")
    if reason := missing_clang():
        print(f"fuzz_native: {reason}")
        return ExitCode.ERROR
    failed = 0
    for target in options.targets or SEEDS:
        folder = FOUND / target
        shutil.rmtree(folder / "corpus", ignore_errors=True)
        # Another seed each time: the tests already look at what one seed leads to.
        seed = time.time_ns() % 1_000_000 + 1
        limit = f"-max_total_time={options.seconds}"
        ran = fuzz(fuzzer(target), target, folder.absolute(), limit, seed=seed)
        units = re.search(r"number_of_executed_units: +(\d+)", ran.stderr)
        tried = int(units[1]) if units else 0
        if ran.returncode == 0 and tried > 0:
            print(f"{target}: nothing found in {tried} inputs (seed {seed})")
        else:
            failed = 1
            print(f"{ran.stderr[-6000:]}\n{target}: see above and {folder} (seed {seed})")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
