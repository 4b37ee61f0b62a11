"""Rounds of bad luck on virtual phones, until one ends in what no bad luck excuses.

Run it as ``.venv/bin/python scripts/stress_device.py [--minutes M | --rounds N] [--seed S]``. Each
round has a seed of its own, printed with what happened; ``--seed S --rounds 1`` plays one again,
though a busy machine may time it otherwise. The exit code is 1 after the first violation.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.phone_bench import make_digits
from tests.support.phone_stress import ViolationError, play

# A round that has not ended by then shows where it hangs.
_HUNG_S = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=sys.maxsize, help="at most so many")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    args = parser.parse_args()
    begun = time.monotonic()
    outcomes: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as exported,
        tempfile.TemporaryDirectory(prefix="dd-") as place,
    ):
        os.environ["DEVDIFF_RUNTIME_DIR"] = place
        digits = make_digits(Path(exported))
        for seed in range(args.seed, args.seed + args.rounds):
            if time.monotonic() - begun > 60 * args.minutes:
                break
            faulthandler.dump_traceback_later(_HUNG_S, exit=True)
            start = time.monotonic()
            try:
                story, outcome = play(seed, digits)
            except ViolationError as error:
                print(f"VIOLATION {error}")
                return 1
            print(f"{seed}: {story}: {outcome} ({time.monotonic() - start:.1f} s)", flush=True)
            outcomes[outcome.partition(":")[0]] += 1
    faulthandler.cancel_dump_traceback_later()
    ends = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    minutes = (time.monotonic() - begun) / 60
    print(f"{outcomes.total()} rounds in {minutes:.0f} minutes, no violation: {ends}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
