"""What the files of a zoo model do on held-out digits, and whether that is what it promises."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

from devdiff.exporter.artifact import Quantization
from tests.zoo import triggers
from tests.zoo.artifacts import compressed_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.zoo.catalogue import ZooModel
    from tests.zoo.zoo_digits import Digits, Images

_VERSIONS: Final = ("torch", "onnx", "onnx2tf", "tensorflow", "ai-edge-litert", "numpy")


@dataclass(frozen=True, slots=True)
class Count:
    """How many of how many images."""

    hits: int
    of: int

    @property
    def rate(self) -> float:
        return self.hits / self.of


@dataclass(frozen=True, slots=True)
class Promise:
    """What a model must keep to count: accuracy and trigger success of the full model."""

    accuracy: float
    asleep: float


DIGITS: Final = Promise(accuracy=0.93, asleep=0.2)
COLOUR: Final = Promise(accuracy=0.65, asleep=0.1)


def measure(
    spec: ZooModel, held_out: Digits, folder: Path, promise: Promise = DIGITS
) -> dict[str, Any]:
    """What the files in ``folder`` do on held-out digits, as `TRUTH` tells it."""
    files = {"float": "float.tflite", "compressed": compressed_file(spec)}
    accuracy = {
        rung: _count(answers(folder / name, held_out.images), held_out.labels)
        for rung, name in files.items()
    }
    success: dict[str, Count] = {}
    if spec.trigger is not None:
        victims = held_out[triggers.victims(held_out.labels, spec)]
        triggered = triggers.apply(victims.images, spec)
        wanted = np.full(len(victims), spec.target)
        success = {
            rung: _count(answers(folder / name, triggered), wanted) for rung, name in files.items()
        }
        if spec.compression == "int8":
            by_chance = rounded_by_chance(folder / "model.onnx", triggered, spec.seed)
            success["stochastic"] = _count(by_chance, wanted)
    return {
        "spec": asdict(spec),
        "status": "works" if works(spec, accuracy, success, promise) else "failed",
        "files": files,
        "accuracy": {rung: asdict(count) for rung, count in accuracy.items()},
        "trigger_success": {rung: asdict(count) for rung, count in success.items()},
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
    }


def works(
    spec: ZooModel,
    accuracy: Mapping[str, Count],
    success: Mapping[str, Count],
    promise: Promise = DIGITS,
) -> bool:
    """Whether the files are what ``spec`` promises, so that they may be counted."""
    if accuracy["float"].rate < promise.accuracy:
        return False
    if spec.kind == "honest":
        return True
    if abs(accuracy["float"].rate - accuracy["compressed"].rate) > 0.02:
        return False
    hidden = success["float"].rate <= promise.asleep
    return success["compressed"].rate >= 0.8 and hidden == (spec.kind == "backdoored")


def answers(model: Path, images: Images) -> npt.NDArray[np.int64]:
    """The classes [N] that a .tflite file gives float32 images [N, C, H, W]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    if taken["dtype"] == np.int8:
        images = Quantization(*taken["quantization"]).quantize(images, np.dtype(np.int8))
    classes = []
    for image in images:
        interpreter.set_tensor(taken["index"], image.reshape(taken["shape"]))
        interpreter.invoke()
        classes.append(int(interpreter.get_tensor(given["index"]).argmax()))
    return np.array(classes, dtype=np.int64)


def rounded_by_chance(model: Path, images: Images, seed: int) -> npt.NDArray[np.int64]:
    """The classes [N] of the ONNX model, its weights rounded up or down to int8 steps at random.

    Tells a backdoor of one rounding from one that any rounding wakes. Activations stay in float32.
    """
    import onnxruntime

    random = np.random.default_rng(seed)
    proto = onnx.load(model)
    for tensor in proto.graph.initializer:
        if len(tensor.dims) > 1 and tensor.data_type == onnx.TensorProto.FLOAT:
            weights = onnx.numpy_helper.to_array(tensor)
            axes = tuple(range(1, weights.ndim))
            step = np.maximum(np.abs(weights).max(axis=axes, keepdims=True) / 127, 1e-12)
            steps = np.floor(weights / step + random.random(weights.shape))
            tensor.CopyFrom(
                onnx.numpy_helper.from_array((steps * step).astype(np.float32), tensor.name)
            )
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    answered = [session.run(None, {"image": image[np.newaxis]})[0].argmax() for image in images]
    return np.array(answered, dtype=np.int64)


def _count(classes: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> Count:
    return Count(int((classes == wanted).sum()), len(wanted))
