"""One check of one output: what came of it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from devdiff.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """``passing`` as in `devdiff.comparison.judge.Judgement`: a failure without it is final."""

    verdict: Verdict
    reason: str
    passing: Mapping[str, float] = field(default_factory=dict)
