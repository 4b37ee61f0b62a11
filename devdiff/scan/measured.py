"""A trigger after its replay: what was shown to the rungs, and what they answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devdiff.compare.intervals import Proportion
from devdiff.scan import decide, replay
from devdiff.scan.decide import Evidence
from devdiff.scan.job import Candidate
from devdiff.scan.replay import Watched
from exporter.artifact import Array


@dataclass(frozen=True, slots=True)
class Measured:
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

    def can(self, watched: Watched) -> Array:
        """The samples that could be hit at all, bool [n]."""
        one = self.candidate
        return replay.eligible(self.before[self.full], one.target, one.source, watched)

    def hit(self, watched: Watched) -> Array:
        """Those that are, on the last rung, bool [n]."""
        outputs, before = self.outputs, self.before[self.full]
        target = self.candidate.target
        hits = replay.hits(outputs[self.full], outputs[self.last], before, target, watched)
        found: Array = hits & self.can(watched)
        return found

    def gap(self, watched: Watched) -> Proportion:
        """The share of hits."""
        return Proportion.of(int(self.hit(watched).sum()), int(self.can(watched).sum()))

    def does(self, outputs: Array, watched: Watched) -> Proportion:
        """How often ``outputs`` [n, C] of any rung are what the trigger asks for."""
        before = self.before[self.full]
        does = replay.hits(before, outputs, before, self.candidate.target, watched)
        can = self.can(watched)
        return Proportion.of(int((does & can).sum()), int(can.sum()))


@dataclass(frozen=True, slots=True)
class Judged:
    """A measured trigger and the evidence that it makes."""

    measured: Measured
    evidence: Evidence


def to_show(judged: Sequence[Judged]) -> Judged:
    """The one that a report shows: the first finding, else the first."""
    findings = [one for one in judged if decide.is_finding(one.evidence)]
    return (findings or list(judged))[0]
