"""The two models of a search as functions of the one input that is changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from devdiff.exporter.tflite_graph import Graph, read_graph
from devdiff.scanner.objective import Moved, ToClass
from devdiff.scanner.placebo import compress_otherwise
from devdiff.scanner.successive_halving import Model
from devdiff.scanner.twin import Twin, before_softmax
from devdiff.scanner.weights import LayerWeights, pair_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.scanner.objective import Objective
    from devdiff.scanner.search_job import Candidate, Kind, SearchJob
    from devdiff.scanner.trigger import Trigger

_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Sides:
    """What is held together: ``aimed`` is ``compressed`` with the drift taken out, where it is.

    ``samples`` float32 [N, *shape] are the changed input of every sample, ``before`` [N, C] what
    the full model says to them.
    """

    full: Model
    compressed: Model
    aimed: Model
    samples: Tensor
    before: Tensor

    def measure(
        self, objective: Objective, trigger: Trigger, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of ``rows`` those that are hit, are hit with the drift taken out, and could be hit."""
        before = self.before[rows]
        changed = torch.from_numpy(trigger.apply(self.samples[rows].numpy()))
        outputs = all_of(self.full, changed, rows)
        hits, calibrated = (
            objective.hits(outputs, all_of(side, changed, rows), before)
            for side in (self.compressed, self.aimed)
        )
        return hits, calibrated, objective.eligible(before)

    def hits_of(self, objective: Objective, found: Sequence[Candidate]) -> int:
        """How many of their own samples these triggers hit, with the drift taken out."""
        hits = 0
        for candidate in found:
            _, hit, could = self.measure(objective, candidate.trigger, torch.tensor(candidate.rows))
            hits += int((hit & could).sum())
        return hits


class Twins:
    """The twins of a job, read once. Raises `ScanError` for a model that they cannot express."""

    def __init__(self, job: SearchJob) -> None:
        self._job = job
        self._graphs = read_graph(job.full), read_graph(job.compressed)
        self._full, self.compressed = (
            Twin(graph, [_looked_at(graph, output, job.kind)])
            for graph, output in zip(self._graphs, job.outputs, strict=True)
        )
        self._inputs = [
            [torch.from_numpy(np.load(path, allow_pickle=False)) for path in paths]
            for paths in job.inputs
        ]

    @cached_property
    def layers(self) -> Sequence[LayerWeights]:
        return pair_layers(*self._graphs)

    def objective_of(self, found: Candidate) -> Objective:
        """What a trigger that was found aims at."""
        if found.target is None:
            return Moved.measured(self.sides().before[list(self._job.searched)])
        return ToClass(found.target, found.source)

    def sides(self, placebo: int | None = None, mirrored: bool = False) -> Sides:
        """Both models; with a ``placebo`` seed the full one compressed otherwise.

        ``mirrored`` swaps them.
        """
        twin = self.compressed
        if placebo is not None:
            twin = twin.with_constants(compress_otherwise(self.layers, placebo))
        return self.beside(twin, mirrored)

    def beside(self, twin: Twin, mirrored: bool = False) -> Sides:
        """The full model and ``twin``, some form of the compressed one."""
        job = self._job
        full = _model(self._full, self._inputs[0], job.changed[0])
        compressed = _model(twin, self._inputs[1], job.changed[1])
        if mirrored:
            full, compressed = compressed, full
        samples = self._inputs[0][job.changed[0]]
        before = all_of(full, samples, torch.arange(len(samples)))
        aimed = compressed
        if job.calibrated and job.kind == "classes":
            aimed = _calibrated(compressed, samples, before, torch.tensor(job.searched))
        return Sides(full, compressed, aimed, samples, before)


def _calibrated(compressed: Model, samples: Tensor, before: Tensor, rows: Tensor) -> Model:
    scale, offset = calibration(before[rows], all_of(compressed, samples[rows], rows))

    def aimed(changed: Tensor, numbers: Tensor) -> Tensor:
        return compressed(changed, numbers) * scale + offset

    return aimed


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


def all_of(model: Model, samples: Tensor, rows: Tensor) -> Tensor:
    """The model's outputs for many samples, batch by batch and without gradients."""
    with torch.no_grad():
        parts = zip(samples.split(_BATCH), rows.split(_BATCH), strict=True)
        return torch.cat([model(*part) for part in parts])


def _looked_at(graph: Graph, position: int, kind: Kind) -> int:
    output = graph.outputs[position]
    return before_softmax(graph, output) if kind == "classes" else output


def _model(twin: Twin, inputs: Sequence[Tensor], changed: int) -> Model:
    """The twin as a function of one input; the others are those of the sample that was changed."""

    def run(samples: Tensor, rows: Tensor) -> Tensor:
        values = (
            samples if place == changed else value[rows] for place, value in enumerate(inputs)
        )
        return twin(*values)[0].flatten(1)

    return run
