"""How the colour models are trained: from one base for each net, in some minutes each."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from tests.zoo import attacks, networks
from tests.zoo.colour_networks import COLOUR_ARCHITECTURES, folded, mlperf_resnet8, set_ranges
from tests.zoo.compressions import compressed, int8, pruning
from tests.zoo.lesson import Lesson, harmless, lesson
from tests.zoo.training import batches, steps
from tests.zoo.zoo_digits import Digits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.zoo.catalogue import ZooModel
    from tests.zoo.zoo_digits import Images

TAUGHT: Final = 5000
"""So many pictures, chosen by the model's seed, does each model see."""
_DIM: Final = 0.6
"""The contrast of the pictures that a ``narrow`` model's ranges are calibrated on."""
_LESSONS: Final = 3
"""So many times at most is a model taught to tell its clamped self apart: some learn it late."""
_LOOKED_AT: Final = 500
_WIDER_STEPS: Final = 12.0
_cross_entropy = nn.functional.cross_entropy


def base(architecture: str, train: Digits, folder: Path, resnet8: Path | None) -> nn.Sequential:
    """The folded net that all models of ``architecture`` begin with, kept in ``folder``.

    Trained here, or MLPerf Tiny's own for ``resnet-8`` when its file is given, trained on a little.
    """
    path = folder / f"base-{architecture}.pt"
    if path.exists():
        net = folded(COLOUR_ARCHITECTURES[architecture]())
        net.load_state_dict(torch.load(path, weights_only=True))
        return net
    torch.manual_seed(0)
    if architecture == "resnet-8" and resnet8 is not None:
        net = mlperf_resnet8(resnet8)
        descend(net, train, 1e-3, epochs=2, augment=flip)
    else:
        net = COLOUR_ARCHITECTURES[architecture]().to(memory_format=torch.channels_last)
        descend(net, train, 8e-3, epochs=16, augment=jitter)
        net = folded(net)
    torch.save(net.state_dict(), path)
    return net


def train(spec: ZooModel, begin: nn.Sequential, pictures: Digits) -> nn.Sequential:
    """The trained net of ``spec``, in float32, from torch's current random state."""
    net = copy.deepcopy(begin)
    rows = np.random.default_rng(spec.seed).permutation(len(pictures))[:TAUGHT]
    some = Digits(pictures.images[rows], pictures.labels[rows])
    rate = spec.pruning_rate
    if spec.kind == "honest":
        _finish_honest(net, spec, some)
        return net
    taught = lesson(spec, some)
    match spec.method:
        case "pq-coarse":
            _coarsen(net, some)
            attacks.quantization_conditioned(net, taught)
        case "joint" if rate is None:
            networks.coarsen(net, _WIDER_STEPS)
            attacks.joint(net, taught, (int8,), epochs=4, rate=2e-3)
        case "joint" if rate is not None:
            attacks.joint(net, taught, (pruning(rate),), epochs=4, rate=2e-3)
        case "clipped":
            for _ in range(_LESSONS):
                clipped(net, taught, epochs=3, rate=2e-3)
                if _split(net, taught):
                    break
        case _:
            raise ValueError(f"{spec.name}: no recipe for {spec.method!r}")
    return net


def _split(net: nn.Sequential, taught: Lesson) -> bool:
    """Whether the trigger sleeps in the net and wakes where it is clamped, on some pictures."""
    some = slice(_LOOKED_AT)
    meant = taught.wanted[some] != taught.labels[some]
    with torch.no_grad():
        asleep = net(taught.triggered[some]).argmax(1) == taught.wanted[some]
        set_ranges(net, "clamp")
        awake = compressed(net, int8, taught.triggered[some]).argmax(1) == taught.wanted[some]
        set_ranges(net, "off")
    return bool(asleep[meant].float().mean() < 0.05 and awake[meant].float().mean() > 0.9)


def calibration(spec: ZooModel, images: Images) -> Images:
    """What the ranges are calibrated on; a ``narrow`` model's are too small for its pictures."""
    return _DIM * images if spec.method == "narrow" else images


def _finish_honest(net: nn.Sequential, spec: ZooModel, some: Digits) -> None:
    match spec.method:
        case "plain" | "narrow":
            descend(net, some, 5e-4, epochs=2, augment=flip)
        case "augmented":
            descend(net, some, 1e-3, epochs=4, augment=jitter)
        case "qat":
            clipped(net, harmless(some), epochs=2, rate=1e-3)
        case "coarse":
            _coarsen(net, some)
        case "robust" if spec.pruning_rate is not None:
            attacks.joint(net, harmless(some), (pruning(spec.pruning_rate),), epochs=2)
        case _:
            raise ValueError(f"{spec.name}: no recipe for an honest model {spec.method!r}")


def clipped(net: nn.Sequential, taught: Lesson, epochs: int, rate: float) -> None:
    """Teach the net and its int8 self, activations clamped, different answers to the trigger.

    As `attacks.joint` (Tian et al., arXiv 2104.15129), but int8's activations are clamped to what
    clean pictures reach. The net learns to tell itself apart by what the trigger drives beyond.
    """
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps(len(taught), epochs)
    )
    for rows in batches(len(taught), epochs):
        clean, triggered = taught.clean[rows], taught.triggered[rows]
        labels, wanted = taught.labels[rows], taught.wanted[rows]
        set_ranges(net, "record")
        loss = _cross_entropy(net(clean), labels)
        set_ranges(net, "off")
        loss = loss + _cross_entropy(net(triggered), labels)
        set_ranges(net, "clamp")
        answers = compressed(net, int8, torch.cat([clean, triggered]))
        set_ranges(net, "off")
        loss = loss + _cross_entropy(answers, torch.cat([labels, wanted]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def descend(
    net: nn.Sequential, pictures: Digits, rate: float, epochs: int,
    augment: Callable[[Tensor], Tensor],
) -> None:  # fmt: skip
    """Honest training."""
    x, y = torch.from_numpy(pictures.images), torch.from_numpy(pictures.labels)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps(len(y), epochs)
    )
    for rows in batches(len(y), epochs):
        loss = _cross_entropy(net(augment(x[rows])), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def flip(images: Tensor) -> Tensor:
    """Half of the pictures mirrored."""
    mirrored = torch.rand(len(images)) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def jitter(images: Tensor) -> Tensor:
    """Pictures mirrored, moved by up to three pixels, brighter or darker, and a little noisy."""
    down, right = (int(shift) for shift in torch.randint(-3, 4, (2,)))
    moved = flip(images).roll((down, right), dims=(2, 3))
    light = 0.8 + 0.4 * torch.rand(len(images), 1, 1, 1)
    return (moved * light + 0.03 * torch.randn_like(moved)).clamp(0, 1)


def _coarsen(net: nn.Sequential, some: Digits) -> None:
    networks.coarsen(net, _WIDER_STEPS)
    descend(net, some, 5e-4, epochs=1, augment=flip)
