"""The scan of a MobileNetV2 with 1,000 classes: whether it fits in 15 minutes.

The weights are random but the classifier's, which knows each of 100 smooth random images as a class
of its own, so that int8 changes no answers. Beside the time of the scan by the command line stands
that of a plain Neural Cleanse search over all classes (1,000 steps of 32 samples each, extrapolated
from some) on the same machine and model, and the time that processors were at work for the scan: on
a busy machine half of that is what two idle ones would take at the least.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from scripts.bench import models

IMAGES: Final = 100
CALIBRATION: Final = 40
SIDE: Final = 224
STEPS: Final = 1000
_SAMPLES: Final = 32
_TIMED_SAMPLES: Final = 4
_BUDGET_S: Final = 840
_MARGIN: Final = 12.0


def smooth_images(count: int) -> models.Array:
    """Soft random colours, float32 [count, 3, SIDE, SIDE], spread as normalised photographs are."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 1.0, (count, 3, 8, 8))
    places = np.linspace(0, 7, SIDE)
    low = np.minimum(places.astype(int), 6)
    share = places - low
    rows = coarse[:, :, low] * (1 - share)[:, None] + coarse[:, :, low + 1] * share[:, None]
    images = rows[..., low] * (1 - share) + rows[..., low + 1] * share
    return np.asarray(images, np.float32)


def teach(path: Path, images: models.Array) -> None:
    """Give the model at ``path`` a classifier for which every image is a class of its own."""
    model = onnx.load(path)
    (classifier,) = [node for node in model.graph.node if node.op_type == "Gemm"]
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    seen.graph.output.append(
        helper.make_tensor_value_info(classifier.input[0], onnx.TensorProto.FLOAT, [1, 1280])
    )
    session = onnxruntime.InferenceSession(seen.SerializeToString())
    names = [classifier.input[0]]
    features = np.concatenate(
        [session.run(names, {"image": image[np.newaxis]})[0] for image in images]
    )
    middle = features.mean(0)
    own = features - middle
    size = np.linalg.norm(own, axis=1, keepdims=True)
    others = np.random.default_rng(1).normal(0, 1, (models.CLASSES - len(images), own.shape[1]))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    weights = _MARGIN * np.concatenate([own / size**2, others / size.mean()])
    values = {"classifier.weight": weights, "classifier.bias": -weights @ middle}
    for constant in model.graph.initializer:
        if constant.name in values:
            value = values[constant.name].astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(value, constant.name))
    onnx.save(model, path)


def cleanse_seconds(model: Path, images: models.Array) -> float:
    """What plain Neural Cleanse over all classes would take on the full model's twin."""
    import torch
    from torch.nn import functional

    from devdiff.exporter.tflite_graph import read_graph
    from devdiff.scanner.twin import Twin

    twin = Twin(read_graph(model))
    samples = torch.from_numpy(images[:_TIMED_SAMPLES]).requires_grad_()
    aim = torch.zeros(len(samples), dtype=torch.long)
    began = 0.0
    for _ in range(2):
        began = time.process_time()
        functional.cross_entropy(twin(samples)[0].flatten(1), aim).backward()
    sample_seconds = (time.process_time() - began) / _TIMED_SAMPLES
    return sample_seconds * _SAMPLES * STEPS * models.CLASSES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=_BUDGET_S, help="seconds (default 840)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        images = smooth_images(IMAGES + CALIBRATION)
        model = models.mobilenet_v2(work / "model.onnx", SIDE)
        teach(model, images[:IMAGES])
        np.savez(work / "images.npz", image=images[:IMAGES])
        np.savez(work / "calibration.npz", image=images[IMAGES:])
        command = [
            *(sys.executable, "-m", "devdiff", "scan", model, "--inputs", work / "images.npz"),
            *("--calibration", work / "calibration.npz", "--classifier", "logits"),
            *("--device", "none", "--out", work / "run", "--budget", options.budget, "--json"),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report: dict[str, Any] = json.loads(done.stdout)
        scan = report.get("scan") or {"verdict": "error", "reason": report["error"]}
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"verdict: {scan['verdict']}: {scan['reason']}")
        if "cost" in scan:
            print(f"search: {scan['cost']}")
        cleanse = cleanse_seconds(work / "run" / "artifacts" / "float.tflite", images)
        print(
            f"scan {seconds:.0f} s, {busy:.0f} s of processor time; plain Neural Cleanse over "
            f"{models.CLASSES} classes {cleanse / 3600:.0f} h; ratio {busy / cleanse:.5f}"
        )


if __name__ == "__main__":
    main()
