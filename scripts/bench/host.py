"""Races the host rungs against a bare interpreter loop over the same samples, on MobileNetV2.

Both load the inputs from disk, quantize them where the model wants it, run every sample and keep
the outputs; devdiff adds the child process, the pipe, the checksums and the result file. What it
may cost: 10 % over the bare loop.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.exporter.manifest import Manifest
from devdiff.exporter.recipe import FLOAT32, INT8, Recipe
from devdiff.inputs.input_set import InputRequest, InputSet, prepare
from devdiff.ladder.export_run import ExportRequest, export_model
from devdiff.ladder.ladder import artifact_rung, run_rung
from devdiff.options import ModelSpec
from scripts.bench import models

GOAL = 1.10

_BARE = """
import sys, time
import numpy as np
from pathlib import Path
from ai_edge_litert.interpreter import Interpreter
from devdiff.exporter.manifest import Manifest
folder, precision, inputs, out = sys.argv[1:]
artifact = Manifest.load(Path(folder)).artifact(Path(folder), precision)
interpreter = Interpreter(str(artifact.path), num_threads=1)
interpreter.allocate_tensors()
place = interpreter.get_input_details()[0]["index"]
result = interpreter.get_output_details()[0]["index"]
samples = np.load(inputs, mmap_mode="r")
binding = artifact.inputs[0]
interpreter.set_tensor(place, binding.encode(samples[0]))
interpreter.invoke()
start = time.perf_counter()
outputs = []
for sample in samples:
    interpreter.set_tensor(place, binding.encode(sample))
    interpreter.invoke()
    outputs.append(interpreter.get_tensor(result))
np.save(out, np.stack(outputs))
print(time.perf_counter() - start)
"""


def bare(folder: Path, precision: str, inputs: Path, work: Path) -> float:
    """Seconds of the bare loop alone, without imports and loading."""
    command = [sys.executable, "-c", _BARE, str(folder), precision, str(inputs)]
    done = subprocess.run(
        [*command, str(work / "bare.npy")], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def rung(folder: Path, recipe: Recipe, samples: InputSet, work: Path) -> float:
    """Seconds of the rung's samples: its wall time without what loading takes.

    Loading is measured by a rung of a single sample, since a bare loop is measured without it too.
    """
    artifact = Manifest.load(folder).artifact(folder, recipe.precision)
    seconds = []
    few = _first(samples, 1)
    for chosen in (few, samples):
        for stale in work.glob("rung*"):
            stale.unlink()
        start = time.perf_counter()
        result = run_rung(
            artifact_rung("rung", artifact, recipe, HostRunner()),
            chosen,
            work,
            work / "log",
            60.0,
            lambda done: None,
        )
        assert result.error is None, result.error
        seconds.append(time.perf_counter() - start)
    return seconds[1] - seconds[0]


def _first(samples: InputSet, count: int) -> InputSet:
    from dataclasses import replace

    return replace(samples, tested=samples.tested[:count])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    late = False
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        model = models.mobilenet_v2(work / "mobilenet.onnx")
        generator = np.random.default_rng(0)
        np.save(
            work / "inputs.npy",
            generator.random((args.samples, 1, 3, 224, 224), dtype=np.float32),
        )
        export_model(ExportRequest(ModelSpec(model)), work / "exported")
        binding = Manifest.load(work / "exported").artifact(work / "exported", "int8").inputs[0]
        samples = prepare(
            InputRequest(work / "inputs.npy"), (binding.source,), {}, work / "inputs", False
        )
        for recipe in (FLOAT32, INT8):
            ratios = []
            for _ in range(args.rounds):
                ours = rung(work / "exported", recipe, samples, work)
                theirs = bare(work / "exported", recipe.precision, work / "inputs.npy", work)
                ratios.append(ours / theirs)
                print(f"{recipe.name}: rung {ours:.3f} s, bare loop {theirs:.3f} s", flush=True)
            median = statistics.median(ratios)
            late |= median > GOAL
            print(f"{recipe.name}: median ratio {median:.2f} (goal {GOAL:.2f} at most)")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
