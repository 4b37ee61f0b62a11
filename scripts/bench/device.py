"""Races the device rung on a virtual phone against the time the model itself takes there.

1,000 samples of the digits model; beside it the naive way, a push, a shell call and a pull for each
sample. Goals: wall time at most 1.10 times the sum of the invocations plus a second, and not a byte
sent by a second run. The phone is emulated: only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.adb.device_store import ROOT
from devdiff.device_runner.pack import Header, PackTensor, encode_done, encode_header, encode_record
from devdiff.device_runner.results import ResultReader
from devdiff.device_runner.runner import Job
from devdiff.device_runner.virtual import phone
from devdiff.exporter.artifact import Artifact, sha256_file
from devdiff.exporter.manifest import Manifest
from devdiff.inputs.input_set import InputRequest
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder.export_run import ExportRequest, export_model
from devdiff.options import ModelSpec

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples/digits"
NAIVE_SAMPLES = 20


def job(artifact: Artifact, images: np.ndarray, samples: int, folder: Path) -> Job:  # type: ignore[type-arg]
    (binding,) = artifact.inputs
    return Job(
        model=artifact.path,
        tensors=(PackTensor.of(binding.artifact, binding.signature_name),),
        samples=samples,
        encode=lambda index: [binding.encode(images[index % len(images)])],
        results=folder / "results.pack",
        log=folder / "log.txt",
    )


def ours(serial: str, work: Job) -> tuple[float, float, int]:
    """Wall seconds of a whole rung, the sum of its invocations, and the bytes it sent."""
    work.results.unlink(missing_ok=True)
    start = time.perf_counter()
    runner = RemoteRunner(devices.resolve(serial, {}), RemoteOptions())
    try:
        runner.identity()
        outcome = runner.run(work, lambda done: None)
    finally:
        runner.close()
    wall = time.perf_counter() - start
    invoked = float(ResultReader(work.results).nanoseconds().sum()) / 1e9
    return wall, invoked, int(outcome.about["sent_bytes"])


def naive(serial: str, work: Job, runner: str, library: str, folder: Path) -> float:
    """Seconds a sample of pushing, running and pulling each sample by itself."""
    model = f"{ROOT}/store/{sha256_file(work.model)}"
    start = time.perf_counter()
    with devices.connect(devices.resolve(serial, {})) as transport:
        for index in range(NAIVE_SAMPLES):
            pack = folder / "one.pack"
            pack.write_bytes(
                encode_header(Header({}, work.tensors))
                + encode_record(index, work.encode(index))
                + encode_done(1)
            )
            transport.push(pack, f"{ROOT}/one.pack")
            argv = [runner, "--runtime", library, "--model", model, "--delegate", "xnnpack"]
            argv += ["--inputs", f"{ROOT}/one.pack", "--results", f"{ROOT}/one.results"]
            done = transport.shell(shlex.join(argv))
            assert done.code == 0, done.stderr
            transport.pull(f"{ROOT}/one.results", folder / "one.results")
    return (time.perf_counter() - start) / NAIVE_SAMPLES


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, phone.start() as started:
        folder = Path(name)
        data = InputRequest(_EXAMPLES / "heldout.npz", preprocess=Preprocess.parse("scale=1/255"))
        export_model(
            ExportRequest(ModelSpec(_EXAMPLES / "digits.onnx"), data=data), folder / "exported"
        )
        artifact = Manifest.load(folder / "exported").artifact(folder / "exported", "int8")
        with np.load(_EXAMPLES / "heldout.npz") as arrays:
            images = (arrays["image"][:, np.newaxis] / 255).astype(np.float32)
        work = job(artifact, images, args.samples, folder)
        wall, invoked, sent = ours(started.serial, work)
        print(f"first run:  {wall:.2f} s, invocations {invoked:.2f} s, {sent / 1e6:.1f} MB sent")
        wall, invoked, sent = ours(started.serial, work)
        allowed = 1.10 * invoked + 1
        print(f"second run: {wall:.2f} s, invocations {invoked:.2f} s, {sent} bytes sent")
        print(f"wall / (1.10 x invocations + 1 s): {wall / allowed:.2f} (goal 1 at most)")
        probe = RemoteRunner(devices.resolve(started.serial, {}), RemoteOptions())
        try:
            identity = probe.identity()
        finally:
            probe.close()
        runner, library = (
            f"{ROOT}/store/{identity[part]['sha256']}" for part in ("runner", "library")
        )
        each = naive(started.serial, work, runner, library, folder)
        print(
            f"naive way:  {1000 * each:.0f} ms a sample, ours {1000 * wall / args.samples:.1f} ms"
        )
        print(f"ratio ours / naive: {wall / args.samples / each:.3f}")
    return int(wall > allowed or sent > 0)


if __name__ == "__main__":
    sys.exit(main())
