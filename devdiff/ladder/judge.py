"""Every step of a ladder, compared and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import structs

from devdiff.comparison import (
    CompressionExpectation,
    ConversionExpectation,
    DeploymentExpectation,
    Expectation,
    Judgement,
    PairComparison,
    RungOutputs,
    Tolerances,
    compare,
    judge,
)
from devdiff.comparison.dependence import Dependence
from devdiff.device_runner.runtimes import known_faults
from devdiff.errors import ComparisonError, UsageError
from devdiff.ladder.ladder import RungPair, RungResult, Step
from devdiff.system.suggest import did_you_mean
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from devdiff.exporter.artifact import Array, Binding
    from devdiff.options import Gates


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """One step: its comparison (None when a side did not run) and what came of it.

    ``dependence`` is the check that outputs still answer each input, of the steps that have one.
    """

    pair: RungPair
    comparison: PairComparison | None
    judgement: Judgement
    dependence: Dependence | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "reference": self.pair.reference,
            "candidate": self.pair.candidate,
            "step": self.pair.step,
            "gates": self.pair.gates,
            "judgement": self.judgement.to_json(),
            "comparison": self.comparison.to_json() if self.comparison else None,
            **({"dependence": self.dependence.to_json()} if self.dependence else {}),
        }


def judge_pairs(
    pairs: Sequence[RungPair],
    results: Sequence[RungResult],
    *,
    labels: Array | None,
    synthetic: bool,
    classifiers: Collection[str],
    gates: Gates,
) -> list[JudgedPair]:
    """Compare and judge each pair; one whose side could not run is judged ``error``.

    ``labels`` are the true classes of the samples, ``classifiers`` the outputs that are class
    scores. Raises `UsageError` when options name outputs the model does not have.
    """
    by_name = {result.name: result for result in results}
    return [
        _judge_pair(
            pair,
            by_name[pair.reference],
            by_name[pair.candidate],
            labels,
            synthetic,
            classifiers,
            gates,
        )
        for pair in pairs
    ]


def _judge_pair(
    pair: RungPair,
    reference: RungResult,
    candidate: RungResult,
    labels: Array | None,
    synthetic: bool,
    classifiers: Collection[str],
    gates: Gates,
) -> JudgedPair:
    expected = expectation(pair.step, reference, candidate, synthetic, gates)
    broken = [result for result in (reference, candidate) if result.error]
    if broken:
        reasons = tuple(f"rung {r.name} could not run: {r.error}" for r in broken)
        return JudgedPair(pair, None, Judgement(Verdict.ERROR, reasons, {}))
    try:
        comparison = compare(
            _outputs(reference),
            _outputs(candidate),
            labels=labels,
            labelled_output=labelled_output(classifiers, labels),
            classifier_outputs=classifiers,
        )
    except ComparisonError as error:
        return JudgedPair(pair, None, Judgement(Verdict.ERROR, (str(error),), {}))
    judgement = judge(comparison, expected)
    hints: list[str] = []
    if judgement.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        hints += _known_faults(reference, candidate)
    if judgement.verdict is Verdict.FAIL:
        hints += _other_runtime(pair, reference, candidate)
    judgement = structs.replace(judgement, reasons=(*judgement.reasons, *hints))
    return JudgedPair(pair, comparison, judgement)


def _known_faults(*results: RungResult) -> Iterator[str]:
    """Kernels that are known to be wrong, before the model is blamed for them."""
    for result in results:
        for fault in known_faults.found(result.identity, result.precision, result.kinds):
            yield f"Rung {result.name} is not to be trusted: {fault}."


def _other_runtime(pair: RungPair, reference: RungResult, candidate: RungResult) -> Iterator[str]:
    """The first thing to rule out when one file answers differently in two places."""
    versions = [result.runtime_version for result in (reference, candidate)]
    if pair.step != "deployment" or None in versions or versions[0] == versions[1]:
        return
    yield (
        f"Rung {reference.name} ran runtime version {versions[0]} and rung {candidate.name} "
        f"{versions[1]}: kernels change between versions, so run both with the one the app ships "
        "(--runtime) to see what is left."
    )


def _outputs(result: RungResult) -> RungOutputs:
    return RungOutputs(result.name, result.pack, result.outputs)


def expectation(
    step: Step, reference: RungResult, candidate: RungResult, synthetic: bool, gates: Gates
) -> Expectation:
    """What a step may change: by tolerance, by agreement and SNR, or by quantization steps."""
    names = [binding.source.name for binding in reference.outputs]
    same_weights = candidate.precision == "float32" and candidate.pruning == reference.pruning
    return expected(step, same_weights, names, synthetic, gates)


def expected(
    step: Step, same_weights: bool, outputs: Sequence[str], synthetic: bool, gates: Gates
) -> Expectation:
    """`expectation` of a step between rungs that are known only from a report."""
    tolerances = Tolerances.parse(gates.atol, gates.rtol, outputs)
    if step in ("deployment", "runtime"):
        return DeploymentExpectation(gates.max_lsb, gates.exact, tolerances, gates.min_samples)
    if same_weights:
        return ConversionExpectation(tolerances, gates.min_samples)
    return CompressionExpectation(
        gates.min_agreement,
        gates.min_snr_db,
        synthetic,
        gates.min_variation_snr_db,
        gates.min_samples,
    )


def labelled_output(classifiers: Collection[str], labels: Array | None) -> str | None:
    """The output that labels speak of; the first classifier where there are several."""
    return next(iter(classifiers), None) if labels is not None else None


def check_names(outputs: Sequence[str], gates: Gates) -> None:
    """A look at options that name outputs, before hours are spent. Raises `UsageError`."""
    Tolerances.parse(gates.atol, gates.rtol, outputs)
    for name in gates.classifiers:
        if name not in outputs:
            raise UsageError(
                f"--classifier {name}: there is no such output{did_you_mean(name, outputs)}; there "
                f"are {', '.join(outputs)}"
            )


def classifier_outputs(
    outputs: Sequence[Binding], produced_by: Mapping[str, str], labelled: bool, gates: Gates
) -> tuple[str, ...]:
    """Which outputs are class scores, in the order of ``outputs``.

    Those the user names; else those behind a softmax; else, when there are labels, the first of
    shape (1, classes). ``produced_by`` maps artifact tensor names to operators. Raises `UsageError`
    when there are labels and nothing they could speak of.
    """
    check_names([binding.source.name for binding in outputs], gates)
    if gates.classifiers:
        return gates.classifiers
    scores = [
        binding
        for binding in outputs
        if sum(size > 1 for size in binding.source.shape) == 1 and binding.source.shape[0] == 1
    ]
    found = [b.source.name for b in scores if produced_by.get(b.artifact.name) == "SOFTMAX"]
    if not found and labelled:
        found = [binding.source.name for binding in scores[:1]]
    if labelled and not found:
        raise UsageError(
            "there are labels, but no output of shape (1, classes) they could speak of: name one "
            "with --classifier, or leave the labels out"
        )
    return tuple(found)
