"""A found trigger put on the model compressed otherwise, many times, without searching again.

A searched placebo is dear, so there are few. This null is cheap and large, and asks another thing:
whether other roundings, or masks, of the same model obey the very trigger that this one obeys.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devdiff.scanner.search_job import Candidate, SearchJob

MOST: Final = 99
FEWEST: Final = 19
"""So many give p = 0.05 at the least; they take what time they need."""
_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """Shares of the held-out inputs that obey: ``own`` of this model, ``others`` of the rest."""

    own: float
    others: tuple[float, ...]


def transfer(
    job: SearchJob, found: Sequence[Candidate], progress: Callable[[int, int], None]
) -> Transfer | None:
    """Measure ``found`` on up to `MOST` placebos, by twin and with the drift taken out.

    ``found`` is one trigger, or those of the folds of a pair, each on its own samples.
    ``job`` says what is compressed; its seed is that of the first placebo. After some seconds no
    further ones are made; None when the deadline passes before.
    """
    import torch

    from devdiff.scanner.twin_pair import Twins

    torch.set_num_threads(1)
    twins = Twins(job)
    objective = twins.objective_of(found[0])
    trials = sum(candidate.eligible for candidate in found)
    began, rates = time.monotonic(), []
    for number in range(MOST if trials else 0):
        if number >= FEWEST and time.monotonic() > began + _SECONDS:
            break
        if time.monotonic() > job.deadline:
            return None
        rates.append(twins.sides(job.seed + number).hits_of(objective, found) / trials)
        progress(number + 1, MOST)
    own = sum(candidate.calibrated for candidate in found)
    return Transfer(own / trials, tuple(rates)) if rates else None
