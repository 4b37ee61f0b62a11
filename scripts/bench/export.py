"""Races ``devdiff export`` against ``onnx2tf -oiqt``: whole processes, time and peak memory.

Run it as ``python scripts/bench/export.py``. Both are started anew for every round and take turns,
so that what else the machine does falls on both; medians and their ratios are printed. devdiff
writes both artifacts and compares the float one with the source; onnx2tf writes its own set.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from scripts.bench import models

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_SAMPLING_S: Final = 0.02
_DIGITS: Final = Path(__file__).resolve().parents[2] / "examples" / "digits"
# onnx2tf downloads a file of this name unless its working directory holds one.
_IMAGES: Final = "calibration_image_sample_data_20x128x128x3_float32.npy"


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall time in seconds and the most resident memory of the whole process tree in bytes."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Race:
    """One model and the goals for devdiff's share of onnx2tf's time and memory."""

    name: str
    model: Path
    calibration: tuple[str, ...]
    time_goal: float
    memory_goal: float | None


def measure(command: Sequence[str], folder: Path) -> Cost:
    """Run a command in ``folder``; raises `SystemExit` with its output when it fails."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    # onnx2tf starts onnxsim by its bare name, and goes on without a word when there is none.
    environment["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{environment['PATH']}"
    log = folder / "log.txt"
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        peak = [0]
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, over, peak))
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - start
        over.set()
        watcher.join()
    if code != 0:
        tail = log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(command)} ended with {code}:\n{tail}")
    return Cost(seconds, peak[0])


def _watch(root: int, over: threading.Event, peak: list[int]) -> None:
    while not over.wait(_SAMPLING_S):
        peak[0] = max(peak[0], _resident_bytes(root))


def _resident_bytes(root: int) -> int:
    """Resident memory of a process and all its descendants; shared pages count once for each."""
    parents, resident = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
            resident[int(entry.name)] = int(stat[21]) * _PAGE_BYTES
    total = 0
    for pid, size in resident.items():
        ancestor = pid
        while ancestor > 1 and ancestor != root:
            ancestor = parents.get(ancestor, 0)
        total += size if ancestor == root else 0
    return total


def run_devdiff(race: Race) -> Cost:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "devdiff", "export", str(race.model), "--out", "out"]
        cost = measure(command, folder)
        _expect(folder / "out", "float.tflite", "int8.tflite", "manifest.json")
        return cost


def run_onnx2tf(race: Race) -> Cost:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(race.model, folder / "model.onnx")  # it rewrites its input in place
        smooth = np.random.default_rng(0).random((20, 8, 8, 3)).repeat(16, 1).repeat(16, 2)
        np.save(folder / _IMAGES, smooth.astype(np.float32))
        command = ["onnx2tf", "-i", "model.onnx", "-o", "out", "-oiqt", *race.calibration]
        cost = measure(command, folder)
        _expect(folder / "out", "model_float32.tflite", "model_full_integer_quant.tflite")
        return cost


def _expect(folder: Path, *names: str) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"{', '.join(missing)} was not written")


def races(folder: Path) -> list[Race]:
    """The models, written into ``folder`` where they are not shipped."""
    with np.load(_DIGITS / "heldout.npz", allow_pickle=False) as data:
        digits = data["image"][:50].transpose(0, 2, 3, 1).astype(np.float32) / 255
    np.save(folder / "digits.npy", digits)
    given = ("-cind", "image", str(folder / "digits.npy"), "[[[[0]]]]", "[[[[1]]]]")
    mobilenet = models.mobilenet_v2(folder / "mobilenet_v2.onnx")
    return [
        Race("MobileNetV2", mobilenet, (), time_goal=0.3, memory_goal=0.7),
        Race("digits", _DIGITS / "digits.onnx", given, time_goal=1.0, memory_goal=None),
    ]


def report(race: Race, devdiff: list[Cost], onnx2tf: list[Cost]) -> bool:
    """Print one table; True when the goals are met."""
    print(f"\n{race.name}, medians of {len(onnx2tf)} rounds")
    print(f"{'':12}{'seconds':>10}{'MiB':>8}")
    medians = []
    for name, costs in (("devdiff", devdiff), ("onnx2tf", onnx2tf)):
        if costs:
            seconds = statistics.median(cost.seconds for cost in costs)
            peak = statistics.median(cost.peak_bytes for cost in costs)
            medians.append((seconds, peak))
            print(f"{name:12}{seconds:10.2f}{peak / 2**20:8.0f}")
    if len(medians) < 2:
        return True
    (ours, our_peak), (theirs, their_peak) = medians
    goals = [("time", ours / theirs, race.time_goal), ("memory", our_peak / their_peak, None)]
    if race.memory_goal is not None:
        goals[1] = ("memory", our_peak / their_peak, race.memory_goal)
    for figure, ratio, goal in goals:
        outcome = (
            "" if goal is None else f" (goal: at most {goal}) {'ok' if ratio <= goal else 'MISSED'}"
        )
        print(f"{figure} ratio {ratio:.2f}{outcome}")
    return all(goal is None or ratio <= goal for _, ratio, goal in goals)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["devdiff", "onnx2tf"], help="run just one of the two")
    args = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as name:
        for race in races(Path(name)):
            costs: dict[str, list[Cost]] = {"devdiff": [], "onnx2tf": []}
            for _ in range(args.rounds):
                for tool, run in (("devdiff", run_devdiff), ("onnx2tf", run_onnx2tf)):
                    if args.only in (None, tool):
                        costs[tool].append(run(race))
            met &= report(race, costs["devdiff"], costs["onnx2tf"])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
