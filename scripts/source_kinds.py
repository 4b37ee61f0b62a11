"""The shipped digits model in every form that devdiff takes, each tested from its file to int8.

All forms compute the same function with the same weights, so that what differs is the way from
each to the artifact.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

os.environ |= {
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_USE_LEGACY_KERAS": "1",
}

import onnx
from onnx import numpy_helper

from devdiff.inputs.input_set import InputRequest
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder.pipeline import export_and_test
from devdiff.ladder.request import LadderRequest
from devdiff.ladder.torch_export import write_program
from devdiff.options import HOST_ONLY, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.comparison import Proportion
    from devdiff.exporter.artifact import Array

_DIGITS: Final = Path(__file__).resolve().parent.parent / "examples" / "digits"
_SIDE: Final = 28
# Index of each weighted layer in the network, its stride, and whether a pooling follows it.
_CONVOLUTIONS: Final = ((0, 1, True), (3, 1, False), (5, 2, False), (7, 1, False))
_HEAD: Final = 11
_HEADER: Final = (
    "source", "runs in", "by way of", "float error", "int8 same answer", "accuracy",
    "int8 accuracy",
)  # fmt: skip


def weights() -> Mapping[str, Array]:
    """The shipped model's tensors by name, such as ``0.weight`` [out, in, 3, 3]."""
    graph = onnx.load(_DIGITS / "digits.onnx").graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def torch_network() -> Any:
    """Images [N, 1, 28, 28] to logits [N, 10], as `torch.nn.Sequential`."""
    import torch
    from torch import nn

    known = weights()
    layers: list[nn.Module] = []
    for index, stride, pooled in _CONVOLUTIONS:
        outputs, inputs = known[f"{index}.weight"].shape[:2]
        layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pooled else []
        layers[-3 if pooled else -2].load_state_dict(_state(known, index))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    layers[-1].load_state_dict(_state(known, _HEAD))
    network = nn.Sequential(*layers).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    torch.set_num_threads(1)
    return network


def _state(known: Mapping[str, Array], index: int) -> dict[str, Any]:
    import torch

    names = ("weight", "bias")
    return {name: torch.from_numpy(known[f"{index}.{name}"].copy()) for name in names}


def keras_network(package: Any) -> Any:
    """Images [N, 28, 28, 1] to logits [N, 10], as a functional model of Keras 3 or Keras 2."""
    layers, known = package.layers, weights()
    image = package.Input((_SIDE, _SIDE, 1), name="image")
    value = image
    for index, stride, pooled in _CONVOLUTIONS:
        # Not "same": with a stride of two that pads on the other side than PyTorch does.
        value = layers.ZeroPadding2D(1)(value)
        filters = known[f"{index}.weight"].shape[0]
        name = f"conv_{index}"
        value = layers.Conv2D(filters, 3, strides=stride, activation="relu", name=name)(value)
        value = layers.MaxPooling2D(2)(value) if pooled else value
    value = layers.GlobalAveragePooling2D()(value)
    model = package.Model(image, layers.Dense(10, name="logits")(value))
    for index, _, _ in _CONVOLUTIONS:
        kernel = known[f"{index}.weight"].transpose(2, 3, 1, 0)
        model.get_layer(f"conv_{index}").set_weights([kernel, known[f"{index}.bias"]])
    head = known[f"{_HEAD}.weight"].T
    model.get_layer("logits").set_weights([head, known[f"{_HEAD}.bias"]])
    return model


def _onnx(folder: Path) -> Path:
    return Path(shutil.copy(_DIGITS / "digits.onnx", folder / "digits.onnx"))


def _program(folder: Path) -> Path:
    import torch

    example = torch.zeros(1, 1, _SIDE, _SIDE)
    return write_program(torch_network(), [example], folder / "digits.pt2")


def _script(folder: Path) -> Path:
    import torch

    path = folder / "digits.pt"
    torch.jit.trace(torch_network(), torch.zeros(1, 1, _SIDE, _SIDE)).save(path)
    return path


def _keras(folder: Path) -> Path:
    import keras

    path = folder / "digits.keras"
    keras_network(keras).save(path)
    return path


def _keras_2(folder: Path) -> Path:
    import tf_keras

    path = folder / "digits.h5"
    keras_network(tf_keras).save(path)
    return path


def _saved_model(folder: Path) -> Path:
    import keras

    path = folder / "digits"
    keras_network(keras).export(path, verbose=False)
    return path


_KINDS: Final[Mapping[str, tuple[Callable[[Path], Path], str]]] = {
    ".onnx": (_onnx, "onnx2tf"),
    ".pt2": (_program, "torch.onnx, onnx2tf"),
    "TorchScript .pt": (_script, "torch.onnx, onnx2tf"),
    ".keras": (_keras, "–"),
    ".h5 of Keras 2": (_keras_2, "–"),
    "SavedModel": (_saved_model, "–"),
}


def row(kind: str, folder: Path) -> list[str]:
    """One kind's cells; makes the model and tests it on the held-out digits."""
    make, way = _KINDS[kind]
    folder.mkdir(parents=True)
    model = make(folder)
    steps = "scale=1/255,layout=NHWC" if way == "–" else "scale=1/255"
    data = InputRequest(inputs=_DIGITS / "heldout.npz", preprocess=Preprocess.parse(steps))
    shapes = {"input": (1, 1, _SIDE, _SIDE)} if kind == "TorchScript .pt" else {}
    request = LadderRequest(ModelSpec(model, shapes=shapes), data=data, running=HOST_ONLY)
    report = export_and_test(request, folder / "run").report
    conversion, compression = report.pairs[:2]
    error = max(output.max_abs_error or 0.0 for output in conversion.outputs)
    same = compression.classifications[0].top_1
    right = report.pairs[2].classifications[0].accuracy
    assert right is not None
    return [
        kind,
        report.rungs[0].runner,
        way,
        f"{error:.1e}",
        f"{same.successes} of {same.trials}",
        _share(right.reference),
        _share(right.candidate),
    ]


def _share(rate: Proportion) -> str:
    return f"{rate.successes / rate.trials:.1%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(_KINDS)} (all)")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keeps models and runs")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    unknown = [kind for kind in args.kinds if kind not in _KINDS]
    if unknown:
        parser.error(f"no kind {', '.join(unknown)}: there are {', '.join(_KINDS)}")
    print(f"| {' | '.join(_HEADER)} |")
    print(f"| {' | '.join('---' for _ in _HEADER)} |")
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        for number, kind in enumerate(args.kinds or _KINDS):
            print(f"| {' | '.join(row(kind, work / str(number)))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
