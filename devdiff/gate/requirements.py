"""What a passed run must stand on to count as the test of a model.

A run on synthetic samples is a verdict about numerics, and one on a few samples can have missed
much: neither stands between a model and the store unless that was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from devdiff.options import DEFAULT_GATES
from devdiff.system.typed_json import Count, Record, fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devdiff.attestation.predicate import Excerpt
    from devdiff.report.model import Report


class BasisSummary(Record, frozen=True, omit_defaults=True):
    """What a verdict stands on: samples that every step which counts was compared on, and their
    sort. ``available`` are those of a run without a limit, null where all were tested."""

    samples: Count
    inputs: Literal["real", "synthetic"]
    labelled: bool
    available: Count | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """How many ``samples`` every step that counts was compared on, and of what sort they were; of
    how many ``available`` ones, where a limit was given."""

    samples: int
    synthetic: bool
    labelled: bool
    available: int | None = None

    @classmethod
    def of(cls, report: Report | Excerpt) -> Self:
        """That of a report, or of its excerpt in a statement."""
        inputs = report.inputs
        counted = [pair for pair in report.pairs if pair.gates] or report.pairs
        compared = [pair.comparison.compared for pair in counted if pair.comparison is not None]
        samples = min((inputs.samples, report.basis.samples, *compared))
        return cls(samples, inputs.synthetic, inputs.labelled, report.basis.available)

    def record(self) -> BasisSummary:
        sort: Literal["real", "synthetic"] = "synthetic" if self.synthetic else "real"
        return BasisSummary(self.samples, sort, self.labelled, self.available)

    def to_json(self) -> dict[str, Any]:
        return fields(self.record())

    def __str__(self) -> str:
        kind = "synthetic" if self.synthetic else "labelled" if self.labelled else "unlabelled"
        if self.available is not None:
            return f"{self.samples} of {self.available} {kind} samples"
        return f"{self.samples} {kind} sample{'' if self.samples == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is required of the basis of a pass."""

    min_samples: int = DEFAULT_GATES.min_samples
    accept_synthetic: bool = False

    def refusal(self, basis: Basis) -> str | None:
        """Why a pass on this basis is no test of a model, and what would mend it; None: it is."""
        if basis.synthetic and not self.accept_synthetic:
            return (
                f"passed on {basis}, which speak of numerics and not of answers: test with real "
                "inputs (--inputs), or take it with --accept-synthetic"
            )
        if basis.samples < self.min_samples:
            return (
                f"passed on {basis}, and {self.min_samples} are required: test with more, or take "
                f"it with --min-samples {basis.samples}"
            )
        return None

    def refusal_of_all(self, bases: Iterable[Basis]) -> str | None:
        """Why none of several passes is a test; the reason against the one on most samples."""
        known = sorted(bases, key=lambda basis: (basis.synthetic, -basis.samples))
        refusals = [self.refusal(basis) for basis in known]
        if None in refusals:
            return None
        return refusals[0] if refusals else "passed, and on what is not known: test it again"
