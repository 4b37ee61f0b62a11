"""A trigger on the real artifacts: what was found on twins is only believed when measured here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from devdiff.comparison.pair import stored_output
from devdiff.comparison.rungs import RungOutputs
from devdiff.errors import ScanError
from devdiff.exporter.artifact import Array, Binding
from devdiff.ladder import ladder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import Rung, RungResult


@dataclass(frozen=True, slots=True)
class ScanTarget:
    """The one input that is changed and the one output that is looked at.

    ``kind`` says what an output means: scores of ``classes``, or ``values``, for which ``unit`` is
    the median distance between the full model's outputs of two samples.
    """

    input: Binding
    output: str
    kind: Literal["classes", "values"]
    unit: float = 0.0


def real_samples(samples: InputSet, binding: Binding, rows: Sequence[int]) -> Array:
    """Tested samples in the artifact's layout, float32 [n, *shape] without the batch axis."""
    stack = np.stack([samples.sample(row)[binding.source.name] for row in rows])
    moved = np.transpose(stack, (0, *(axis + 1 for axis in binding.permutation)))
    return np.ascontiguousarray(moved[:, 0], np.float32)


def stored_outputs(result: RungResult, watched: ScanTarget) -> Array:
    """The watched output of every sample as stored, [N, *shape] in the artifact's layout.

    Raises `ScanError` when the rung did not run, `ComparisonError` when a sample failed.
    """
    if result.error:
        raise ScanError(f"rung {result.name} could not run: {result.error}")
    return stored_output(RungOutputs(result.name, result.pack, result.outputs), watched.output)


def real_outputs(result: RungResult, watched: ScanTarget) -> Array:
    """As `stored_outputs`, in real units, float32 [N, C]."""
    stored = stored_outputs(result, watched)
    binding = next(output for output in result.outputs if output.source.name == watched.output)
    quantization = binding.artifact.quantization
    real = quantization.dequantize(stored) if quantization else stored.astype(np.float32)
    return real.reshape(len(real), -1)


def changed(
    samples: InputSet, changed: Array, watched: ScanTarget, rows: Sequence[int]
) -> InputSet:
    """An input set of tested samples whose watched input is ``changed``, in the order of ``rows``.

    ``changed`` is as `real_samples` gives it. Other inputs stay what they are.
    """
    # Back through the binding: the batch axis, then the source's layout.
    source = np.ascontiguousarray(watched.input.to_source_layout(changed[:, None]))
    tested = samples.tested[list(rows)]
    arrays = {name: np.ascontiguousarray(array[tested]) for name, array in samples.arrays.items()}
    arrays[watched.input.source.name] = source
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return replace(
        samples,
        arrays=arrays,
        tested=np.arange(len(rows)),
        labels=None,
        sha256=digest.hexdigest(),
        names=(),
    )


def run_on(
    rungs: Sequence[Rung], inputs: InputSet, watched: ScanTarget, folder: Path, timeout_s: float
) -> dict[str, Array]:
    """The watched output of every rung by its name, float32 [n, C]. Raises `ScanError`.

    What an earlier process measured of the very same inputs in ``folder`` is taken over.
    """
    folder = folder / inputs.sha256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for rung in rungs:
        result = ladder.run_rung(
            rung, inputs, folder, folder / "log.txt", timeout_s, lambda done: None
        )
        found[rung.name] = real_outputs(result, watched)
    return found


def hits(
    full: Array, compressed: Array, before: Array, target: int | None, watched: ScanTarget
) -> Array:
    """Samples on which the compressed model does what it should not and the full one does not.

    All outputs are [n, C]; bool [n]. For classes: the full model keeps its answer and the
    compressed one says ``target`` (anything else when None). For values: the compressed output
    moved by more than one ``unit``, the full one by less than half of one.
    """
    if watched.kind == "classes":
        answer = before.argmax(1)
        answers = compressed.argmax(1)
        reached: Array = answers != answer if target is None else answers == target
        hit: Array = (full.argmax(1) == answer) & reached
        return hit

    def moved(outputs: Array) -> Array:
        distances: Array = np.sqrt(np.square(outputs - before).sum(1)) / watched.unit
        return distances

    apart: Array = (moved(compressed) > 1) & (moved(full) < 0.5)
    return apart


def eligible(before: Array, target: int | None, source: int | None, watched: ScanTarget) -> Array:
    """The samples that a trigger could hit at all, bool [n]."""
    if watched.kind == "values" or (target is None and source is None):
        return np.ones(len(before), bool)
    answer = before.argmax(1)
    found: Array = answer == source if source is not None else answer != target
    return found
