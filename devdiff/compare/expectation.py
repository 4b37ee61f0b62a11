"""What each step may change, as values: the defaults are stated here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from devdiff.compare.tolerance import Tolerances

MIN_AGREEMENT: Final = 0.95
MIN_SNR_DB: Final = 10.0
MAX_LSB: Final = 1


@dataclass(frozen=True, slots=True)
class ConversionExpectation:
    """Float to float: every output within its tolerance, NaN and infinities where they were.

    An answer may flip only where the tolerance allows it: where the gap between the two answers on
    the reference is at most twice the tolerance.
    """

    tolerances: Tolerances = field(default_factory=Tolerances)


@dataclass(frozen=True, slots=True)
class CompressionExpectation:
    """Float to quantized: answers agree often enough, other outputs keep enough signal.

    A classifier must agree in ``min_agreement`` of all cases, judged by the exact interval; with 1
    every sample must agree. Other outputs need ``min_snr_db``. ``synthetic`` inputs have no true
    answers, so for them agreement is shown and the SNR gates every output.
    """

    min_agreement: float = MIN_AGREEMENT
    min_snr_db: float = MIN_SNR_DB
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentExpectation:
    """One file in two places: quantized outputs within ``max_lsb`` steps an element, and no flipped
    answer but exact ties. Float outputs are held to ``tolerances``. ``exact`` demands that no
    element of any output differs."""

    max_lsb: int = MAX_LSB
    exact: bool = False
    tolerances: Tolerances = field(default_factory=Tolerances)


Expectation = ConversionExpectation | CompressionExpectation | DeploymentExpectation
