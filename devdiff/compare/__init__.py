"""Two rungs side by side: metrics, agreement, and the verdict on what was expected.

`compare` streams two result packs into a `PairComparison`; `judge` turns that and an expectation
(`ConversionExpectation`, `CompressionExpectation` or `DeploymentExpectation`) into a `Judgement`.
"""

from __future__ import annotations

from devdiff.compare.classify import Accuracy, ClassifierAgreement, Flip
from devdiff.compare.expectation import (
    CompressionExpectation,
    ConversionExpectation,
    DeploymentExpectation,
    Expectation,
)
from devdiff.compare.intervals import CONFIDENCE, Proportion
from devdiff.compare.judge import Judgement, judge
from devdiff.compare.lsb import LsbHistogram
from devdiff.compare.metrics import OutputMetrics, OutputSide, ShapeMismatch
from devdiff.compare.pair import PairComparison, compare
from devdiff.compare.rungs import Failure, RungOutputs
from devdiff.compare.tolerance import DEFAULT_TOLERANCE, Tolerance, Tolerances
from devdiff.compare.variation import ChannelGroup, Variation
from devdiff.compare.worst import WorstSample

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
