"""Prints what the run directory of many samples holds, and how long it took until the verdict.

Run it as ``python scripts/bench/run_size.py --samples 100000``: the shipped digits, repeated, on
every rung of this machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

_DIGITS: Final = Path(__file__).resolve().parents[2] / "examples" / "digits"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with np.load(_DIGITS / "heldout.npz", allow_pickle=False) as data:
            rows = np.arange(args.samples) % len(data["image"])
            kept = {"image": data["image"][rows], "labels": data["labels"][rows]}
        np.savez_compressed(folder / "many.npz", **kept)
        command = [
            *(sys.executable, "-m", "devdiff", "export-and-test", str(_DIGITS / "digits.onnx")),
            *("--inputs", "many.npz", "--preprocess", "scale=1/255"),
            *("--device", "none", "--run-dir", "run"),
        ]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode not in (0, 1):
            print(done.stderr)
            return done.returncode
        print(f"{args.samples} samples, verdict after {seconds:.1f} s")
        total = 0
        for part in sorted((folder / "run").iterdir()):
            files = [part] if part.is_file() else [f for f in part.rglob("*") if f.is_file()]
            size = sum(file.stat().st_size for file in files)
            total += size
            print(f"{part.name:16}{size / 2**20:10.2f} MiB")
        print(f"{'in all':16}{total / 2**20:10.2f} MiB")
        return 0


if __name__ == "__main__":
    sys.exit(main())
