"""Two rungs' result packs side by side: streamed, matched by name, compared in real units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.comparison.classify import ClassifierAccumulator, ClassifierAgreement
from devdiff.comparison.elements import Scratch
from devdiff.comparison.intervals import CONFIDENCE
from devdiff.comparison.metrics import OutputAccumulator, OutputMetrics
from devdiff.comparison.rungs import Failure, RungOutputs, RungReader, aligned, common_count
from devdiff.errors import ComparisonError, UsageError
from devdiff.system.typed_json import Count, Record, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from devdiff.exporter.artifact import Array, Binding


class PairComparison(Record, frozen=True):
    """How the candidate rung differs from the reference rung over one input set.

    ``compared`` of ``samples`` ran on both; the others are counted by rung, and the first
    few of each rung kept. ``outputs`` and ``classifications`` are in the source model's
    layout and order.
    """

    reference: str
    candidate: str
    samples: Count
    compared: Count
    reference_failed: Count
    candidate_failed: Count
    failures: tuple[Failure, ...]
    outputs: tuple[OutputMetrics, ...]
    classifications: tuple[ClassifierAgreement, ...]

    def output(self, name: str) -> OutputMetrics:
        """The metrics of one output. Raises `KeyError`."""
        return next((o for o in self.outputs if o.name == name), None) or _missing(name)

    def classification(self, name: str) -> ClassifierAgreement | None:
        """The agreement on one output, if it was compared as a classifier's."""
        return next((c for c in self.classifications if c.output == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; infinities are the strings ``"inf"`` and ``"-inf"``."""
        return fields(self)


def _missing(name: str) -> OutputMetrics:
    raise KeyError(name)


def compare(
    reference: RungOutputs,
    candidate: RungOutputs,
    *,
    labels: Array | None = None,
    labelled_output: str | None = None,
    classifier_outputs: Collection[str] | None = None,
    confidence: float = CONFIDENCE,
    progress: Callable[[int], None] | None = None,
) -> PairComparison:
    """Compare every output of two rungs, sample by sample, in memory that does not grow.

    ``classifier_outputs`` names the outputs whose highest element is an answer; by default those
    of shape ``(1, classes)`` with two classes or more. ``labels``, integers ``[samples]``, are the
    true classes of ``labelled_output``, by default of the only classifier output. ``progress`` is
    called with the number of samples done.

    Raises `ComparisonError` when the rungs do not have the same outputs or number of samples,
    `UsageError` when labels or names do not fit, `PackError` when a pack is damaged or cut off.
    """
    sides = RungReader(reference), RungReader(candidate)
    samples = common_count(*sides)
    bindings = _common_outputs(reference, candidate)
    classifiers = _classifiers(bindings, classifier_outputs, confidence)
    labelled = _labelled_output(bindings, classifiers, labels, labelled_output, samples)
    scratch = Scratch()
    accumulators = {
        name: OutputAccumulator(left, right, scratch) for name, (left, right) in bindings.items()
    }
    compared = 0
    for start, count, blocks in aligned(*sides):
        ran = [side.ran(block) for side, block in zip(sides, blocks, strict=True)]
        if all(ran):
            compared += count
            for name, accumulator in accumulators.items():
                left, right = (s.values(b, name) for s, b in zip(sides, blocks, strict=True))
                accumulator.add(start, left, right)
                # A classifier with dynamic shapes may give no classes at all.
                scored = left.shape == right.shape and math.prod(left.shape[1:]) > 1
                if name in classifiers and scored:
                    mine = labels if name == labelled else None
                    classifiers[name].add(
                        start,
                        left.reshape(count, -1),
                        right.reshape(count, -1),
                        mine[start : start + count] if mine is not None else None,
                    )
        if progress is not None:
            progress(start + count)
    return PairComparison(
        reference=reference.name,
        candidate=candidate.name,
        samples=samples,
        compared=compared,
        reference_failed=sides[0].failed,
        candidate_failed=sides[1].failed,
        failures=(*sides[0].failures, *sides[1].failures),
        outputs=tuple(accumulator.result() for accumulator in accumulators.values()),
        classifications=tuple(classifier.result() for classifier in classifiers.values()),
    )


def _common_outputs(
    reference: RungOutputs, candidate: RungOutputs
) -> dict[str, tuple[Binding, Binding]]:
    left = {binding.source.name: binding for binding in reference.outputs}
    right = {binding.source.name: binding for binding in candidate.outputs}
    if left.keys() != right.keys():
        raise ComparisonError(
            f"rung {reference.name} has the outputs {', '.join(left)}, rung {candidate.name} has "
            f"{', '.join(right)}: both must come from one source model"
        )
    return {name: (binding, right[name]) for name, binding in left.items()}


def _classifiers(
    bindings: Mapping[str, tuple[Binding, Binding]],
    chosen: Collection[str] | None,
    confidence: float,
) -> dict[str, ClassifierAccumulator]:
    for name in chosen or ():
        if name not in bindings:
            raise UsageError(
                f"there is no output {name!r} to take classes from; the outputs are "
                f"{', '.join(bindings)}"
            )
    classifiers = {}
    for name, (left, right) in bindings.items():
        shape = left.source.shape
        if chosen is None:
            scores = left.source.numpy_dtype.kind == "f" or left.artifact.quantization
            wanted = bool(scores) and len(shape) == 2 and shape[0] == 1 and shape[1] >= 2
        else:
            wanted = name in chosen
            if wanted and (math.prod(shape) < 2 or math.prod(shape) != max(shape)):
                raise UsageError(
                    f"output {left.source.describe()} is no list of class scores: it needs one "
                    "axis of two or more, and all others of one"
                )
        if wanted:
            classifiers[name] = ClassifierAccumulator(
                name,
                math.prod(shape),
                left.artifact.quantization,
                right.artifact.quantization,
                confidence,
            )
    return classifiers


def _labelled_output(
    bindings: Mapping[str, tuple[Binding, Binding]],
    classifiers: Collection[str],
    labels: Array | None,
    chosen: str | None,
    samples: int,
) -> str | None:
    """The output that ``labels`` speak of, after a check that they can."""
    if labels is None:
        return None
    if chosen is None and len(classifiers) != 1:
        raise UsageError(
            "labels need one output with class scores; "
            + (f"name one of {', '.join(classifiers)}" if classifiers else "this model has none")
        )
    output = chosen if chosen is not None else next(iter(classifiers))
    if output not in classifiers:
        raise UsageError(f"labels cannot be of output {output!r}: it gives no class scores")
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise UsageError(
            f"labels must be {samples} integers, one a sample; they are "
            f"{labels.dtype}{list(labels.shape)}"
        )
    classes = bindings[output][0].source.elements
    if samples and not 0 <= int(np.min(labels)) <= int(np.max(labels)) < classes:
        raise UsageError(
            f"labels run from {np.min(labels)} to {np.max(labels)}, but output {output!r} has the "
            f"classes 0 to {classes - 1}"
        )
    return output


def stored_output(outputs: RungOutputs, name: str) -> Array:
    """One output of every sample as stored, [N, *shape] in the artifact's layout.

    Raises `ComparisonError` when the rung has no such output, or a sample failed.
    """
    rung = RungReader(outputs)
    parts = []
    for block in rung.reader.read_blocks():
        if not rung.ran(block):
            raise ComparisonError(
                f"rung {rung.name}: sample {block.start} failed: {block.message or block.status}"
            )
        parts.append(rung.stored(block, name).copy())
    return np.concatenate(parts)
