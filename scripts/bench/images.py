"""Races the preparation of an image folder against plain Pillow loops in two processes.

All decode, resize and scale the same JPEGs to float32 [3, 224, 224] and leave them on disk. Loop
(a) gathers them into one array in order, which is what devdiff leaves, too; loop (b) spares that:
each process writes a file of its own. Only devdiff hashes every tensor and heeds the orientation
of photographs. All take turns; medians and ratios are printed, with devdiff's peak memory.
The goal: at most the time of (a).
"""

from __future__ import annotations

import argparse
import multiprocessing.pool
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.input_set import InputRequest, prepare
from devdiff.inputs.npy_writer import NpyWriter

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC: Final = TensorSpec("image", (1, 3, 224, 224), "float32")
PROCESSES: Final = 2
GOAL: Final = 1.0


def make_photos(folder: Path, count: int, side: int) -> None:
    """Smooth pictures with some grain, as JPEGs of photographs are."""
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((side * 4 // 3, side), Image.Resampling.BICUBIC))
        grain = rng.integers(-6, 7, pixels.shape)
        photo = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
        photo.save(folder / f"{index:05}.jpg", quality=90)


def load(path: Path) -> Array:
    """One image as one would write it."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    value: Array = np.asarray(small, np.float32) / 255
    return value.transpose(2, 0, 1)[np.newaxis]


def write_share(work: tuple[list[Path], Path]) -> int:
    """The loop of (b) over a share of the files."""
    paths, out = work
    with NpyWriter(out) as writer:
        for path in paths:
            writer.add(load(path)[np.newaxis])
    return len(paths)


def gathered(pool: multiprocessing.pool.Pool, paths: list[Path], out: Path) -> int:
    with NpyWriter(out / "all.npy") as writer:
        for tensor in pool.imap(load, paths, chunksize=8):
            writer.add(tensor[np.newaxis])
    return len(paths)


def shared(pool: multiprocessing.pool.Pool, paths: list[Path], out: Path) -> int:
    shares = [(paths[part::PROCESSES], out / f"{part}.npy") for part in range(PROCESSES)]
    return sum(pool.map(write_share, shares))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=256, help="height of the JPEGs")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, multiprocessing.Pool(PROCESSES) as pool:
        folder, out = Path(name) / "photos", Path(name) / "out"
        folder.mkdir()
        make_photos(folder, args.images, args.side)
        paths = sorted(folder.iterdir())
        request = InputRequest(folder)
        contestants: dict[str, Callable[[], int]] = {
            "devdiff": lambda: len(prepare(request, (SPEC,), {}, out, calibrate=False)),
            "(a) one array": lambda: gathered(pool, paths, out),
            "(b) a file a process": lambda: shared(pool, paths, out),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(args.rounds):
            for contestant, times in seconds.items():
                out.mkdir()
                start = time.perf_counter()
                done = contestants[contestant]()
                times.append(time.perf_counter() - start)
                shutil.rmtree(out)
                if done != args.images:
                    print(f"{contestant} prepared {done} of {args.images}", file=sys.stderr)
                    return 1
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours, same, spared = medians.values()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = f"{args.side * 4 // 3}x{args.side}"
    print(f"{args.images} JPEGs of {size} to 224x224, median of {args.rounds} rounds")
    for name, median in medians.items():
        print(f"  {name:22} {median:7.2f} s  {1000 * median / args.images:6.3f} ms an image")
    print(f"  devdiff / (a) {ours / same:5.2f}   (goal: at most {GOAL})")
    print(f"  devdiff / (b) {ours / spared:5.2f}")
    print(f"  peak memory of devdiff {peak:.0f} MB")
    return 0 if ours <= GOAL * same else 1


if __name__ == "__main__":
    raise SystemExit(main())
