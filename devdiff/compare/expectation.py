"""What each step may change, as values: the defaults are stated here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from devdiff.compare.tolerance import Tolerances

MIN_AGREEMENT: Final = 0.95
MIN_SNR_DB: Final = 10.0
MIN_VARIATION_SNR_DB: Final = 5.0
"""A third of what varies is noise. Honest int8 models keep 6 dB and more, ruined ones under 4."""
MAX_FROZEN: Final = 0.05
"""Share of the moving elements that may never move on the candidate. Honest models: 0.5 %."""
MAX_LSB: Final = 1
MIN_SAMPLES: Final = 8
"""Eight samples see, with 95 % confidence, a fault that hits a third of the inputs."""


@dataclass(frozen=True, slots=True)
class ConversionExpectation:
    """Float to float: every output within its tolerance, NaN and infinities where they were.

    An answer may flip only where the tolerance allows it: where the gap between the two answers on
    the reference is at most twice the tolerance. A pass takes ``min_samples``.
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    min_samples: int = MIN_SAMPLES


@dataclass(frozen=True, slots=True)
class CompressionExpectation:
    """Float to quantized: answers agree often enough, other outputs keep enough signal.

    A classifier must agree in ``min_agreement`` of all cases, judged by the exact interval; with 1
    every sample must agree. Other outputs need ``min_snr_db``, and ``min_variation_snr_db`` when
    the mean of each element over the samples is taken away, in all and in each group of channels;
    a pass takes ``min_samples``. ``synthetic`` inputs have no true answers, so for them agreement
    is shown and the SNR gates every output.
    """

    min_agreement: float = MIN_AGREEMENT
    min_snr_db: float = MIN_SNR_DB
    synthetic: bool = False
    min_variation_snr_db: float = MIN_VARIATION_SNR_DB
    min_samples: int = MIN_SAMPLES


@dataclass(frozen=True, slots=True)
class DeploymentExpectation:
    """One file in two places: quantized outputs within ``max_lsb`` steps an element, and no flipped
    answer but exact ties. Float outputs are held to ``tolerances``. ``exact`` demands that no
    element of any output differs. A pass takes ``min_samples``."""

    max_lsb: int = MAX_LSB
    exact: bool = False
    tolerances: Tolerances = field(default_factory=Tolerances)
    min_samples: int = MIN_SAMPLES


Expectation = ConversionExpectation | CompressionExpectation | DeploymentExpectation
