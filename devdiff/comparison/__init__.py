"""Two rungs side by side: metrics, agreement, and the verdict on what was expected.

`compare` streams two result packs into a `PairComparison`; `judge` turns that and an expectation
(`ConversionExpectation`, `CompressionExpectation` or `DeploymentExpectation`) into a `Judgement`.
"""

from __future__ import annotations

from devdiff.comparison.classify import Accuracy, ClassifierAgreement, Flip, FlipMatrix
from devdiff.comparison.expectation import (
    CompressionExpectation,
    ConversionExpectation,
    DeploymentExpectation,
    Expectation,
)
from devdiff.comparison.intervals import CONFIDENCE, Proportion
from devdiff.comparison.judge import Judgement, judge
from devdiff.comparison.lsb import LsbHistogram
from devdiff.comparison.metrics import OutputMetrics, OutputSide, ShapeMismatch
from devdiff.comparison.pair import PairComparison, compare
from devdiff.comparison.rungs import Failure, RungOutputs
from devdiff.comparison.tolerance import DEFAULT_TOLERANCE, Tolerance, Tolerances
from devdiff.comparison.variation import ChannelGroup, Variation
from devdiff.comparison.worst import WorstSample

__all__ = [
    "CONFIDENCE",
    "DEFAULT_TOLERANCE",
    "Accuracy",
    "ChannelGroup",
    "ClassifierAgreement",
    "CompressionExpectation",
    "ConversionExpectation",
    "DeploymentExpectation",
    "Expectation",
    "Failure",
    "Flip",
    "FlipMatrix",
    "Judgement",
    "LsbHistogram",
    "OutputMetrics",
    "OutputSide",
    "PairComparison",
    "Proportion",
    "RungOutputs",
    "ShapeMismatch",
    "Tolerance",
    "Tolerances",
    "Variation",
    "WorstSample",
    "compare",
    "judge",
]
