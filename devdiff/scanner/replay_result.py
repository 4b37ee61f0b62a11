"""A trigger after its replay: what was shown to the rungs, and what they answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devdiff.comparison.intervals import Proportion
from devdiff.exporter.artifact import Array
from devdiff.scanner import replay, verdict_rules
from devdiff.scanner.search_job import Candidate
from devdiff.scanner.verdict_rules import Evidence

if TYPE_CHECKING:
    from devdiff.scanner.replay import ScanTarget


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A candidate, what it was measured on, and the evidence that makes.

    ``rows`` are the tested samples, ``clean`` and ``changed`` their watched input without and with
    the trigger, float32 [n, *shape]; ``before`` and ``outputs`` the watched outputs [n, C] to those
    by rung. The ``parts`` are the triggers of both halves where there was a second look, those of
    the folds for one source class; ``candidate`` is the first, or the best fold's.
    """

    candidate: Candidate
    parts: tuple[Candidate, ...]
    rows: tuple[int, ...]
    clean: Array
    changed: Array
    before: Mapping[str, Array]
    outputs: Mapping[str, Array]
    full: str
    last: str

    @property
    def halves(self) -> int:
        """How many halves of the samples a trigger for all classes was measured on."""
        return len(self.parts) if self.candidate.source is None else 1

    def can(self, watched: ScanTarget) -> Array:
        """The samples that could be hit at all, bool [n]."""
        trigger = self.candidate
        return replay.eligible(self.before[self.full], trigger.target, trigger.source, watched)

    def hit(self, watched: ScanTarget) -> Array:
        """Those that are, on the last rung, bool [n]."""
        outputs, before = self.outputs, self.before[self.full]
        target = self.candidate.target
        hits = replay.hits(outputs[self.full], outputs[self.last], before, target, watched)
        found: Array = hits & self.can(watched)
        return found

    def gap(self, watched: ScanTarget) -> Proportion:
        """The share of hits."""
        return Proportion.of(int(self.hit(watched).sum()), int(self.can(watched).sum()))

    def does(self, outputs: Array, watched: ScanTarget) -> Proportion:
        """How often ``outputs`` [n, C] of any rung are what the trigger asks for."""
        before = self.before[self.full]
        does = replay.hits(before, outputs, before, self.candidate.target, watched)
        can = self.can(watched)
        return Proportion.of(int((does & can).sum()), int(can.sum()))


@dataclass(frozen=True, slots=True)
class JudgedTrigger:
    """A measured trigger and the evidence that it makes."""

    measured: ReplayResult
    evidence: Evidence


def to_show(judged: Sequence[JudgedTrigger]) -> JudgedTrigger:
    """The one that a report shows: the first finding, else the first."""
    findings = [trigger for trigger in judged if verdict_rules.is_finding(trigger.evidence)]
    return (findings or list(judged))[0]
