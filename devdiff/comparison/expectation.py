"""What each step may change, as values; what is left out is what `Gates` has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from devdiff.comparison.tolerance import Tolerances
from devdiff.options import DEFAULT_GATES

MAX_FROZEN: Final = 0.05
"""Share of the moving elements that may never move on the candidate. Honest models: 0.5 %."""


@dataclass(frozen=True, slots=True)
class ConversionExpectation:
    """Float to float: every output within its tolerance, NaN and infinities where they were.

    An answer may flip only where the tolerance allows it: where the gap between the two answers on
    the reference is at most twice the tolerance. A pass takes ``min_samples``.
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    min_samples: int = DEFAULT_GATES.min_samples


@dataclass(frozen=True, slots=True)
class CompressionExpectation:
    """Float to quantized: answers agree often enough, other outputs keep enough signal.

    A classifier must agree in ``min_agreement`` of all cases, judged by the exact interval; with 1
    every sample must agree. Other outputs need ``min_snr_db``, and ``min_variation_snr_db`` when
    the mean of each element over the samples is taken away, in all and in each group of channels;
    a pass takes ``min_samples``. ``synthetic`` inputs have no true answers, so for them agreement
    is shown and the SNR gates every output.
    """

    min_agreement: float = DEFAULT_GATES.min_agreement
    min_snr_db: float = DEFAULT_GATES.min_snr_db
    synthetic: bool = False
    min_variation_snr_db: float = DEFAULT_GATES.min_variation_snr_db
    min_samples: int = DEFAULT_GATES.min_samples


@dataclass(frozen=True, slots=True)
class DeploymentExpectation:
    """One file in two places: quantized outputs within ``max_lsb`` steps an element, and no flipped
    answer but exact ties. Float outputs are held to ``tolerances``. ``exact`` demands that no
    element of any output differs. A pass takes ``min_samples``."""

    max_lsb: int = DEFAULT_GATES.max_lsb
    exact: bool = False
    tolerances: Tolerances = field(default_factory=Tolerances)
    min_samples: int = DEFAULT_GATES.min_samples


Expectation = ConversionExpectation | CompressionExpectation | DeploymentExpectation
