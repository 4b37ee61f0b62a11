"""Races ``devdiff verify`` of a 200 MB app against ``python -m zipfile --test`` of the same file.

The app holds models, native libraries out of this environment, and thousands of small resources.
The peer reads everything once and compares checksums; devdiff hashes the models, looks for runtimes
in the libraries, and opens the rest no further than its first bytes. The goal: 3 seconds.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import scipy

GOAL_S: Final = 3.0
_MODEL_BYTES: Final = 60_000_000
_PACKED_MODEL_BYTES: Final = 30_000_000
_LIBRARY_BYTES: Final = 95_000_000
_RESOURCES: Final = 3000


def build(path: Path) -> None:
    """An app of 200 MB, with models that no report knows."""
    rng = np.random.default_rng(0)
    mark = b"\x1c\0\0\0TFL3"
    with zipfile.ZipFile(path, "w") as app:
        app.writestr("AndroidManifest.xml", b"\3\0\10\0")
        weights = rng.normal(0, 20, _MODEL_BYTES).astype(np.int8).tobytes()
        app.writestr("assets/large.tflite", mark + weights)
        packed = mark + weights[:_PACKED_MODEL_BYTES]
        app.writestr("assets/packed.tflite", packed, zipfile.ZIP_DEFLATED)
        left = _LIBRARY_BYTES
        for library in sorted(Path(scipy.__file__).parents[1].rglob("*.so")):
            size = library.stat().st_size
            if 200_000 < size <= min(left, 30_000_000):
                left -= size
                app.write(library, f"lib/arm64-v8a/{left}-{library.name}")
        for number in range(_RESOURCES):
            text = rng.integers(97, 105, 16_000, dtype=np.uint8).tobytes()
            app.writestr(f"res/raw/text{number}", text, zipfile.ZIP_DEFLATED)


def timed(command: list[str], expected: int) -> tuple[float, float]:
    """Seconds on the clock and of the processors."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    took = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != expected:
        raise SystemExit(f"{command}: exit code {done.returncode}: {done.stderr.decode()}")
    return took, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "report", type=Path, nargs="?", help="a finished run; left out: one is made"
    )
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as scratch:
        app, run = Path(scratch) / "app.apk", args.report
        if run is None:
            run = Path(scratch) / "run"
            digits = "examples/digits/digits.onnx"
            make = [*python, "devdiff", "export-and-test", digits, "--device", "local"]
            timed([*make, "--out", str(run)], 0)
        build(app)
        contestants = {
            "devdiff verify": ([*python, "devdiff", "verify", str(app), "--report", str(run)], 1),
            "python -m zipfile --test": ([*python, "zipfile", "--test", str(app)], 0),
            "sha256sum": (["sha256sum", str(app)], 0),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for _ in range(args.rounds):
            for name, contestant in contestants.items():
                times[name].append(timed(*contestant))
        print(f"an app of {app.stat().st_size / 1e6:.0f} MB, median of {args.rounds} rounds")
    medians = {n: tuple(map(statistics.median, zip(*t, strict=True))) for n, t in times.items()}
    ours, ours_cpu = medians["devdiff verify"]
    for name, (clock, cpu) in medians.items():
        print(f"  {name:26} {clock:6.2f} s, of the processors {cpu:6.2f} s", end="")
        print(f"   devdiff / it {ours / clock:5.2f}, {ours_cpu / cpu:5.2f}")
    print(f"  goal: at most {GOAL_S:g} s")
    return int(ours > GOAL_S)


if __name__ == "__main__":
    sys.exit(main())
