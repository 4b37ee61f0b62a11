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
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.bisection.divergence import find
from devdiff.bisection.side_by_side import Bench, BenchSide
from devdiff.comparison import DeploymentExpectation
from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.device_runner.virtual import phone
from devdiff.exporter.artifact import Artifact, sha256_file
from devdiff.exporter.manifest import Manifest
from devdiff.exporter.tflite_cut import WholeModel, serialize
from devdiff.exporter.tflite_file import integers, parse
from devdiff.inputs import input_set as data
from devdiff.ladder.export_run import ExportRequest, export_model
from devdiff.options import ModelSpec
from devdiff.progress import SilentEvents
from scripts.bench.models import mobilenet_v2

if TYPE_CHECKING:
    from devdiff.device_runner.runner import Runner
    from devdiff.inputs.input_set import InputSet

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


def side(artifact: Artifact, path: Path, runner: Runner) -> BenchSide:
    mine = replace(artifact, path=path, sha256=sha256_file(path))
    return BenchSide(path.name, mine, "int8", WholeModel(path), runner)


def bench(reference: BenchSide, candidate: BenchSide, samples: InputSet, folder: Path) -> Bench:
    folder.mkdir()
    return Bench(
        reference, candidate, samples, DeploymentExpectation(0), folder, 120.0, SilentEvents()
    )


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
        export_model(ExportRequest(ModelSpec(folder / "model.onnx")), folder / "exported")
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
            candidate = None
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
            assert candidate is not None
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
