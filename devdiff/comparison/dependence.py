"""How an output answers a changed input on two rungs, and whether the second still follows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from devdiff.comparison.judge import Judgement, OutputJudgement
from devdiff.comparison.variation import NOISE, RESOLVED_STEPS
from devdiff.comparison.wording import number, percent
from devdiff.system.typed_json import Extended, Record, fields
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, Quantization

LEAST_SHARE: Final = 0.25
"""A candidate that follows less of the reference's change than this has lost the input."""

Figures = npt.NDArray[np.float64]


class Response(Record, frozen=True):
    """How one output answers one input on both rungs of a step.

    ``reference`` and ``candidate`` are the root mean square changes of the output, in real units;
    of outputs that are integers the share of elements that change. ``followed`` is the part of the
    reference's change that the candidate's has (its projection): 1 where both change alike, 0 where
    the candidate's does not change; None where nothing can be judged, as ``reason`` says.
    """

    input: str
    output: str
    reference: Extended
    candidate: Extended
    followed: float | None
    verdict: Literal["pass", "fail", "not judged"]
    reason: str


class Dependence(Record, frozen=True):
    """The check of one step; ``reason`` says why it could not be made at all, if it could not."""

    verdict: Verdict
    samples: int
    seed: int
    least_share: float
    reason: str | None
    responses: tuple[Response, ...]

    def to_json(self) -> dict[str, Any]:
        return fields(self)


def with_check(judgement: Judgement, check: Dependence) -> Judgement:
    """The graver of the two verdicts, with the reasons of both that stand against the step."""
    against = [
        (response.output, response.reason)
        for response in check.responses
        if response.verdict == "fail"
    ]
    reasons = [reason for _, reason in against] + ([check.reason] if check.reason else [])
    verdict = combine((judgement.verdict, check.verdict))
    outputs = dict(judgement.outputs)
    for output, reason in against:
        if output in outputs:
            own = outputs[output]
            kept = () if own.verdict is Verdict.PASS else own.reasons
            outputs[output] = OutputJudgement(combine((own.verdict, Verdict.FAIL)), (*kept, reason))
    if check.verdict is Verdict.PASS:
        responses = [r.reason for r in check.responses] if verdict is Verdict.PASS else []
        return replace(judgement, reasons=(*judgement.reasons, *responses))
    earlier = () if judgement.verdict is Verdict.PASS else judgement.reasons
    # No limit would pass an output that has lost an input.
    lost = {output for output, _ in against}
    passing = {name: {} if name in lost else limits for name, limits in judgement.passing.items()}
    graver = check.verdict.severity > judgement.verdict.severity
    ordered = (*reasons, *earlier) if graver else (*earlier, *reasons)
    return Judgement(verdict, ordered, passing, outputs)


def change(before: Array, after: Array, integers: bool) -> Figures:
    """What exchanging changed, element by element; of integers, whether they changed."""
    if integers:
        other: Figures = np.not_equal(before, after).astype(np.float64)
        return other
    with np.errstate(invalid="ignore", over="ignore"):
        distance = after.astype(np.float64) - before.astype(np.float64)
    finite: Figures = np.where(np.isfinite(distance), distance, 0.0)
    return finite


def response(
    name: str,
    output: str,
    wanted: Figures,
    seen: Figures,
    values: Array,
    scale: Quantization | None,
    integers: bool,
) -> Response:
    """How ``output`` answers the input ``name``: ``wanted`` and ``seen`` are the `change` on the
    reference and the candidate, ``values`` the reference's own, ``scale`` the candidate's."""
    of = f"Output {output} when input {name} is exchanged between samples"
    size = max(1, wanted.size)
    before, after = (math.sqrt(float((change * change).sum()) / size) for change in (wanted, seen))
    largest = float(np.abs(wanted).max(initial=0.0))
    finite = np.abs(values[np.isfinite(values)]).astype(np.float64)
    floor = 0.0 if integers else NOISE * float(finite.max(initial=0.0))
    if integers:
        before, after = before**2, after**2

    def unjudged(why: str) -> Response:
        reason = f"{of}: {why}."
        return Response(name, output, before, after, None, "not judged", reason)

    if largest <= floor:
        return unjudged("it does not change on the reference")
    still = not seen.any()
    if scale is not None and largest < RESOLVED_STEPS * scale.scale:
        return unjudged(
            f"it changes by at most {number(largest)} on the reference, too little beside the "
            f"candidate's step of {number(scale.scale)} to be judged"
        )
    if scale is not None and before < scale.scale / math.sqrt(12) and not still:
        return unjudged(
            f"it changes by {number(before)} on the reference, which drowns in the candidate's "
            f"step of {number(scale.scale)}"
        )
    followed = float((wanted * seen).sum() / (wanted * wanted).sum())
    good = followed >= LEAST_SHARE
    unit = " of its elements" if integers else ""
    figures = (
        f"it changes by {_amount(before, integers)}{unit} on the reference and by "
        f"{_amount(after, integers)} on the candidate, which follows {100 * followed:.3g} % "
        f"of it, with {percent(LEAST_SHARE)} required"
    )
    if still:
        figures = (
            f"it changes by {_amount(before, integers)}{unit} on the reference and not at all on "
            "the candidate"
        )
    verdict: Literal["pass", "fail"] = "pass" if good else "fail"
    return Response(name, output, before, after, followed, verdict, f"{of}: {figures}.")


def _amount(change: float, integers: bool) -> str:
    return percent(change) if integers else number(change)


def not_judged(name: str, output: str, why: str) -> Response:
    """An output that cannot be asked for its answer."""
    reason = f"Output {output} when input {name} is exchanged between samples: {why}."
    return Response(name, output, 0.0, 0.0, None, "not judged", reason)
