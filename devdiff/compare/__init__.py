"""Two rungs side by side: metrics, agreement, and the verdict on what was expected.

`compare` streams two result packs into a `PairComparison`; `judge` turns that and an expectation
(`Conversion`, `Compression` or `Deployment`) into a `Judgement`.
"""

from __future__ import annotations

from devdiff.compare.classify import Accuracy, Classification, Flip
from devdiff.compare.expectation import Compression, Conversion, Deployment, Expectation
from devdiff.compare.intervals import CONFIDENCE, Proportion
from devdiff.compare.judge import Judgement, judge
from devdiff.compare.lsb import LsbHistogram
from devdiff.compare.metrics import OutputMetrics, ShapeMismatch, Side
from devdiff.compare.pair import PairComparison, compare
from devdiff.compare.rungs import Failure, RungOutputs
from devdiff.compare.tolerance import DEFAULT_TOLERANCE, Tolerance, Tolerances
from devdiff.compare.worst import WorstSample

__all__ = [
    "CONFIDENCE",
    "DEFAULT_TOLERANCE",
    "Accuracy",
    "Classification",
    "Compression",
    "Conversion",
    "Deployment",
    "Expectation",
    "Failure",
    "Flip",
    "Judgement",
    "LsbHistogram",
    "OutputMetrics",
    "PairComparison",
    "Proportion",
    "RungOutputs",
    "ShapeMismatch",
    "Side",
    "Tolerance",
    "Tolerances",
    "WorstSample",
    "compare",
    "judge",
]
