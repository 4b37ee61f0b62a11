"""Races a bisection on a virtual phone against cutting behind every operator.

MobileNetV2 in int8, its counterpart with one weight changed by hand, near the beginning, in the
middle and near the end. Counted are runs on the phone; goals: no more than 2 log2(operators) to
find the operator, one for each suspect that is run alone, and the right operator every time. The
phone is emulated: only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.bisect.bench import Bench, Side
from devdiff.bisect.finding import find
from devdiff.compare import Deployment
from devdiff.data import inputs as data
from devdiff.data.inputs import InputSet
from devdiff.events import Silent
from devdiff.exporting import ExportRequest, export_model
from device_runner import devices
from device_runner.host import HostRunner
from device_runner.remote import RemoteOptions, RemoteRunner
from device_runner.runner import Runner
from device_runner.virtual import phone
from exporter.artifact import Artifact, sha256_file
from exporter.manifest import Manifest
from exporter.tflite_cut import Whole, serialize
from exporter.tflite_file import integers, parse
from scripts.bench.models import mobilenet_v2

_PLACES: Final = (0.1, 0.5, 0.9)


def changed(path: Path, target: Path, operator: int) -> Path:
    """A copy of an int8 model with one weight of an operator at the other end of its range."""
    model: Any = parse(path)
    graph = model.subgraphs[0]
    buffer = model.buffers[graph.tensors[integers(graph.operators[operator].inputs)[1]].buffer]
    values = np.array(buffer.data, np.uint8)
    values[0] = 129 if values[0] < 128 else 127
    buffer.data = values
    target.write_bytes(serialize(model))
    return target


def side(artifact: Artifact, path: Path, runner: Runner) -> Side:
    mine = replace(artifact, path=path, sha256=sha256_file(path))
    return Side(path.name, mine, "int8", Whole(path), runner)


def bench(reference: Side, candidate: Side, samples: InputSet, folder: Path) -> Bench:
    folder.mkdir()
    return Bench(reference, candidate, samples, Deployment(0), folder, 120.0, Silent())


def bisected(on: Bench) -> tuple[int, int, int]:
    """The operator found, and the runs of the phone: to search, and in all."""
    finding = find(on)
    if finding.isolated is None:
        return -1, on.runs["candidate"], on.runs["candidate"]
    (guilty,) = finding.isolated.guilty
    return guilty, finding.searched["candidate"], on.runs["candidate"]


def walked(on: Bench) -> tuple[int, int]:
    """The first operator behind which a cut differs, of cuts behind all; and the phone's runs."""
    first = -1
    for operator in on.flow.operators:
        if on.cut(on.flow.outputs_of(operator)).beyond and first < 0:
            first = operator
    return first, on.runs["candidate"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--side", type=int, default=224, help="pixels (default 224)")
    args = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as name, phone.start() as started:
        folder = Path(name)
        mobilenet_v2(folder / "model.onnx", args.side)
        export_model(ExportRequest(folder / "model.onnx"), folder / "exported")
        artifact = Manifest.load(folder / "exported").artifact(folder / "exported", "int8")
        specs = tuple(binding.source for binding in artifact.inputs)
        samples = data.prepare(data.SYNTHETIC, specs, {}, folder / "inputs", calibrate=False)
        few = replace(samples, tested=samples.tested[: args.samples])
        reference = side(artifact, artifact.path, HostRunner())
        weighted = [
            operator.index
            for operator in reference.whole.graph.operators
            if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        ]
        count = len(reference.whole.graph.operators)
        remote = RemoteRunner(devices.resolve(started.serial, {}), RemoteOptions())
        try:
            remote.identity()
            times = []
            for place in _PLACES:
                guilty = weighted[int(place * len(weighted))]
                path = changed(artifact.path, folder / f"changed-{guilty}.tflite", guilty)
                candidate = side(artifact, path, remote)
                begun = time.perf_counter()
                on = bench(reference, candidate, few, folder / f"bisect-{guilty}")
                found, searched, runs = bisected(on)
                times.append(time.perf_counter() - begun)
                right = found == guilty and searched <= 2 * math.log2(count)
                failures += not right
                print(
                    f"operator {guilty:2} of {count}: found {found}, {searched} runs to search, "
                    f"{runs} in all, {times[-1]:.1f} s {'ok' if right else 'MISSED'}"
                )
            begun = time.perf_counter()
            first, runs = walked(bench(reference, candidate, few, folder / "walk"))
            whole = time.perf_counter() - begun
        finally:
            remote.close()
    print(f"every operator:   found {first}, {runs} runs, {whole:.1f} s")
    print(f"2 log2({count}) = {2 * math.log2(count):.1f} runs are allowed to search")
    print(f"ratio of the times, slowest bisection over the walk: {max(times) / whole:.2f}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
