"""A comparison of many samples needs no more memory than one of few."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from devdiff.comparison import RungOutputs, compare
from devdiff.device_runner.pack import encode_done, encode_header, encode_record, read_header
from tests.support.pair_packs import binding, rung

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = binding("y", (1, 1000))
VALUES = np.random.default_rng(0).standard_normal((100, 1, 1000)).astype(np.float32)

PEAK_OF_A_COMPARISON = """
import resource, sys
from pathlib import Path
from devdiff.comparison import RungOutputs, compare
from devdiff.exporter.artifact import Binding, TensorSpec

spec = TensorSpec("y", (1, 1000), "float32")
outputs = (Binding(spec, spec, (0, 1), ""),)
compare(*(RungOutputs(path, Path(path), outputs) for path in sys.argv[1:]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def packs(folder: Path, samples: int) -> tuple[RungOutputs, RungOutputs]:
    """Two rungs of ``samples`` records of 4 kB each, all of them different from each other."""
    sides = []
    for name, factor in (("source", 1.0), ("float", 1.001)):
        side = rung(folder, f"{name}-{samples}", [OUTPUT], [VALUES[:0]])
        with side.pack.open("rb") as stream:
            header = read_header(stream)
        with side.pack.open("wb") as stream:
            stream.write(encode_header(header))
            for index in range(samples):
                value = VALUES[index % 100] * np.float32(factor)
                stream.write(encode_record(index, [value]))
            stream.write(encode_done(samples))
        sides.append(side)
    return sides[0], sides[1]


def allocated_peak(sides: tuple[RungOutputs, RungOutputs]) -> int:
    tracemalloc.start()
    try:
        compare(*sides)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_a_comparison_allocates_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    few, many = packs(tmp_path, 400), packs(tmp_path, 4000)
    compare(*few)  # imports and caches
    assert allocated_peak(many) < 1.05 * allocated_peak(few)


def test_the_process_stays_small_beside_its_files(tmp_path: Path) -> None:
    peaks = []
    for sides in (packs(tmp_path, 400), packs(tmp_path, 8000)):
        command = [sys.executable, "-c", PEAK_OF_A_COMPARISON, *(str(side.pack) for side in sides)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    files = sum(side.pack.stat().st_size for side in sides)
    assert files > 60_000_000
    assert peaks[1] - peaks[0] < files / 20
