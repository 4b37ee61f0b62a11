"""One search from files to measured hypotheses, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from devdiff.scan.objective import AnyClass, Moved, Objective, ToClass
from devdiff.scan.placebo import compress_otherwise
from devdiff.scan.search import Arm, Hypothesis, Model, Settings, search
from devdiff.scan.trigger import FORMS, Trigger
from devdiff.scan.twin import Twin, before_softmax
from devdiff.scan.weights import pair_layers
from exporter.artifact import Array
from exporter.tflite_graph import Graph, read_graph

Kind = Literal["classes", "values"]
Variant = Literal["compressed", "mirrored", "placebo"]
FEW_CLASSES: Final = 24
"""Up to so many classes every one is tried; of more, those that a target-free start points to."""
_STARTS: Final = 3
_CANDIDATES: Final = 8
_SEARCHES: Final = 2
"""A job has at most so many searches that share its time."""
_FEWEST_IMAGES: Final = 3
_TIMED: Final = 4
_BATCH: Final = 64
_PRUNED_SIZE_WEIGHT: Final = 100.0
"""A model that lost weights is easier to lead astray: only a smaller change tells."""
_PAIR_SETTINGS: Final = {
    "images": 6,
    "rounds": (12, 16, 24, 40),
    "survivors": 0.25,
    "size_weight": 400.0,
}
"""For one source class: a change that carries one class over to another is easily found, so only a
small one tells. More hypotheses, so fewer samples for each."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process is to search.

    ``samples`` is an .npy file float32 [N, *shape] in the artifacts' layout; ``searched`` and
    ``held`` are its rows. ``outputs`` are the positions of the output that is looked at, in the
    full and in the compressed graph. The variant ``mirrored`` swaps the models' roles; ``placebo``
    compresses otherwise, by ``seed``. ``calibrated`` searches with the drift taken out.
    ``seconds`` is what it may take: where the models are too slow for the whole plan, every step
    shows each arm fewer samples.
    """

    full: Path
    compressed: Path
    outputs: tuple[int, int]
    kind: Kind
    samples: Path
    searched: tuple[int, ...]
    held: tuple[int, ...]
    low: float
    high: float
    settings: Settings
    deadline: float
    seconds: float = float("inf")
    variant: Variant = "compressed"
    seed: int = 0
    pairs: bool = False
    calibrated: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trigger as measured on the twin: ``hits`` of ``eligible`` held-out samples.

    ``calibrated`` counts hits after the compressed model's scores were brought back onto the full
    model's, see `calibration`. ``success`` is the share on the samples it was searched on.
    """

    target: int | None
    source: int | None
    trigger: Trigger
    success: float
    hits: int
    calibrated: int
    eligible: int
    steps: int


@dataclass(frozen=True, slots=True)
class Hunted:
    """What one job found, best first by its success.

    ``full`` and ``compressed`` are the twins' outputs for all samples unchanged, float32 [N, C],
    before a softmax where there is one.
    """

    candidates: tuple[Candidate, ...]
    pairs: tuple[Candidate, ...]
    full: Array
    compressed: Array


def calibration(full: Tensor, compressed: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (one) and offset (one a class) that bring the compressed scores nearest to the full.

    Compression that merely hurts shrinks scores and favours classes; a search finds triggers that
    only amplify this. What is left after the calibration is not explained by such drift. Least
    squares over clean samples, both [n, C].
    """
    full = full - full.mean(1, keepdim=True)
    spread, aim = compressed - compressed.mean(0), full - full.mean(0)
    scale = (spread * aim).sum() / spread.square().sum().clamp(min=1e-12)
    scale = scale.clamp(min=0.05, max=20.0)
    return scale, full.mean(0) - scale * compressed.mean(0)


def run(job: Job, progress: Callable[[float], None] = lambda share: None) -> Hunted:
    """Search as ``job`` says.

    Raises `TimeoutError` at its deadline, and `ScanError` for a model the twin cannot express.
    """
    torch.set_num_threads(1)
    full_graph, graph = read_graph(job.full), read_graph(job.compressed)
    full = _model(Twin(full_graph, [_looked_at(full_graph, job.outputs[0], job.kind)]))
    twin = Twin(graph, [_looked_at(graph, job.outputs[1], job.kind)])
    if job.variant == "placebo":
        layers = pair_layers(full_graph, graph)
        twin = twin.with_constants(compress_otherwise(layers, job.seed))
    compressed = _model(twin)
    stored = torch.from_numpy(np.load(job.samples))
    outputs = _all(full, stored).numpy(), _all(compressed, stored).numpy()
    if job.variant == "mirrored":
        full, compressed = compressed, full
    before = _all(full, stored)
    searched = list(job.searched)
    aimed = compressed
    if job.calibrated and job.kind == "classes":
        scale, offset = calibration(before[searched], _all(compressed, stored[searched]))

        def aimed(samples: Tensor) -> Tensor:
            return compressed(samples) * scale + offset

    def measure(found: Sequence[Hypothesis]) -> tuple[Candidate, ...]:
        held = list(job.held)
        return tuple(
            _measure(one, full, compressed, aimed, stored[held], before[held]) for one in found
        )

    shares = 2 if job.pairs else 1
    settings = job.settings
    if job.calibrated:
        settings = replace(settings, size_weight=_PRUNED_SIZE_WEIGHT)
    cost = _seconds(full, aimed, stored[searched])
    hunt = _Hunt(job, full, aimed, stored[searched], cost)
    arms = hunt.arms(before[searched])
    found = hunt.search(arms, settings, lambda share: progress(share / shares))
    pairs: Sequence[Hypothesis] = ()
    if job.pairs:
        arms = _pair_arms(before[searched], before.shape[1])
        settings = replace(settings, **_PAIR_SETTINGS)  # type: ignore[arg-type]
        pairs = hunt.search(arms, settings, lambda share: progress(0.5 + share / 2)) if arms else ()
    return Hunted(measure(found), measure(pairs), *outputs)


@dataclass(frozen=True, slots=True)
class _Hunt:
    job: Job
    full: Model
    compressed: Model
    samples: Tensor
    cost: float
    """Seconds that one sample takes through both models and back."""

    def search(
        self, arms: Sequence[Arm], settings: Settings, progress: Callable[[float], None]
    ) -> list[Hypothesis]:
        affordable = self.job.seconds / (_SEARCHES * self.cost * settings.shown(len(arms)))
        images = max(_FEWEST_IMAGES, int(min(settings.images, affordable)))
        settings = replace(settings, images=images)
        return search(
            self.full,
            self.compressed,
            self.samples,
            arms,
            settings,
            low=self.job.low,
            high=self.job.high,
            deadline=self.job.deadline,
            progress=lambda done, total: progress(done / total),
        )

    def arms(self, before: Tensor) -> list[Arm]:
        if self.job.kind == "values":
            unit = float(torch.pdist(before.flatten(1)).median())
            return [Arm(Moved(unit), form) for form in FORMS for _ in range(_STARTS)]
        classes: Sequence[int] = range(before.shape[1])
        if len(classes) > FEW_CLASSES:
            classes = self._pointed_to(before)
        return [Arm(ToClass(target), form) for target in classes for form in FORMS]

    def _pointed_to(self, before: Tensor) -> list[int]:
        """The classes that a search without a target runs into most."""
        start = [Arm(AnyClass(), form) for form in FORMS for _ in range(_STARTS)]
        settings = replace(self.job.settings, rounds=self.job.settings.rounds[:2], survivors=1.0)
        counts = torch.zeros(before.shape[1])
        with torch.no_grad():
            for one in self.search(start, settings, lambda share: None):
                changed = torch.from_numpy(one.trigger.apply(self.samples.numpy()))
                scores = torch.softmax(_all(self.compressed, changed), 1)
                kept = self.full(changed).argmax(1) == before.argmax(1)
                scores[torch.arange(len(scores)), before.argmax(1)] = 0
                counts += (scores * kept[:, None]).sum(0)
        best: list[int] = counts.topk(min(_CANDIDATES, len(counts))).indices.tolist()
        return best


def _seconds(full: Model, compressed: Model, samples: Tensor) -> float:
    """What one sample takes through both models and back; the first time does not count."""
    for _ in range(2):
        began = time.monotonic()
        some = samples[:_TIMED].clone().requires_grad_()
        (full(some).sum() + compressed(some).sum()).backward()
    return (time.monotonic() - began) / len(some)


def _pair_arms(before: Tensor, classes: int) -> list[Arm]:
    """Every class that has samples, to every other."""
    if classes > FEW_CLASSES:
        return []
    sources = sorted(set(before.argmax(1).tolist()))
    return [
        Arm(ToClass(target, source), "patch")
        for source in sources
        for target in range(classes)
        if target != source
    ]


def _looked_at(graph: Graph, position: int, kind: Kind) -> int:
    output = graph.outputs[position]
    return before_softmax(graph, output) if kind == "classes" else output


def _model(twin: Twin) -> Model:
    return lambda samples: twin(samples)[0].flatten(1)


def _all(model: Model, samples: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part) for part in samples.split(_BATCH)])


def _measure(
    one: Hypothesis, full: Model, compressed: Model, aimed: Model, samples: Tensor, before: Tensor
) -> Candidate:
    objective: Objective = one.arm.objective
    changed = torch.from_numpy(one.trigger.apply(samples.numpy()))
    said = _all(full, changed)
    return Candidate(
        target=objective.target,
        source=objective.source,
        trigger=one.trigger,
        success=one.success,
        hits=int(objective.hits(said, _all(compressed, changed), before).sum()),
        calibrated=int(objective.hits(said, _all(aimed, changed), before).sum()),
        eligible=int(objective.eligible(before).sum()),
        steps=one.steps,
    )
