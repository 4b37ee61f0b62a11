"""Races the comparison of two result packs against plain NumPy over whole arrays in memory.

The opponents have their arrays in memory already; devdiff reads both files, verifies a checksum for
every sample, and finds more figures, in memory that does not grow. All take turns in one process;
medians and their ratios are printed. The goal: at most twice NumPy's time for the same figures.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.comparison import OutputMetrics, RungOutputs, compare
from devdiff.device_runner.pack import Header, PackTensor, encode_done, encode_header, encode_record
from devdiff.device_runner.results import ResultReader
from devdiff.exporter.artifact import Array, Binding, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL: Final = 2.0


def whole_arrays(reference: Array, candidate: Array) -> dict[str, float]:
    """The same figures, the way one would write them: ``reference`` and ``candidate`` [N, C]."""
    errors = np.abs(reference - candidate)
    p50, p90, p99, p999 = np.percentile(errors, [50, 90, 99, 99.9])
    wide = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    signal, noise = np.dot(wide[0], wide[0]), np.sum(np.square(errors, dtype=np.float64))
    norms = math.sqrt(signal) * math.sqrt(np.dot(wide[1], wide[1]))
    worst = errors.max(axis=1)
    return {
        "max_abs_error": float(errors.max()),
        "mean_abs_error": float(errors.mean(dtype=np.float64)),
        "p50_abs_error": float(p50),
        "p90_abs_error": float(p90),
        "p99_abs_error": float(p99),
        "p999_abs_error": float(p999),
        "rms_error": math.sqrt(noise / errors.size),
        "snr_db": 10 * math.log10(signal / noise),
        "cosine": float(np.dot(wide[0], wide[1])) / norms,
        "differing_elements": float(np.count_nonzero(errors)),
        "agreeing": float(np.count_nonzero(reference.argmax(1) == candidate.argmax(1))),
        "nonfinite": float(sum((~np.isfinite(side)).sum() for side in (reference, candidate))),
        "peak": float(max(-reference.min(), reference.max())),
        "other_peak": float(max(-candidate.min(), candidate.max())),
        "worst_sample": float(worst.argmax()),
    }


def write(path: Path, values: Array) -> RungOutputs:
    """A rung whose results are the rows of ``values``."""
    spec = TensorSpec("y", (1, values.shape[1]), "float32")
    with path.open("wb") as stream:
        stream.write(encode_header(Header({}, (PackTensor.of(spec),))))
        for index, row in enumerate(values):
            stream.write(encode_record(index, [row[None]]))
        stream.write(encode_done(len(values)))
    return RungOutputs(path.stem, path, (Binding(spec, spec, (0, 1), ""),))


def read(path: Path) -> int:
    """Read a pack to its end, checksums and all; the number of its samples."""
    return sum(block.count for block in ResultReader(path).read_blocks())


def agree(found: OutputMetrics, wanted: dict[str, float]) -> bool:
    """Whether both came to the same, within the histogram's resolution for percentiles."""
    return all(
        math.isclose(getattr(found, name), value, rel_tol=found.percentile_resolution * 1.01)
        for name, value in wanted.items()
        if hasattr(found, name)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (args.samples, args.classes)
    reference = rng.standard_normal(shape, dtype=np.float32)
    candidate = reference + np.float32(1e-5) * rng.standard_normal(shape, dtype=np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sides = write(folder / "source.pack", reference), write(folder / "float.pack", candidate)
        contestants: dict[str, Callable[[], object]] = {
            "devdiff.comparison": lambda: compare(*sides),
            "of which reading and checksums": lambda: [read(side.pack) for side in sides],
            "(a) the same figures, whole arrays": lambda: whole_arrays(reference, candidate),
            "(b) np.abs(a - b).max() alone": lambda: np.abs(reference - candidate).max(),
        }
        if not agree(compare(*sides).outputs[0], whole_arrays(reference, candidate)):
            print("the two do not find the same figures", file=sys.stderr)
            return 1
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(args.rounds):
            for name, contestant in contestants.items():
                start = time.perf_counter()
                contestant()
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours, _, same, bare = medians.values()
    print(f"{args.samples} samples of {args.classes} float32 each, median of {args.rounds} rounds")
    for name, median in medians.items():
        print(f"  {name:36} {median * 1000:8.1f} ms")
    print(f"  devdiff / (a) {ours / same:6.2f}   (goal: at most {GOAL})")
    print(f"  devdiff / (b) {ours / bare:6.2f}")
    return 0 if ours <= GOAL * same else 1


if __name__ == "__main__":
    raise SystemExit(main())
