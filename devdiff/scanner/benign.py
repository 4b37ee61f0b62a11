"""How much harm random rounding does where nobody planted anything: answers that change.

A trigger that an honest model obeys rides on rounding noise, and noise that carries many inputs one
way changes the answers to many clean ones, too. A planted trigger needs no such noise.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from devdiff.scanner.search_job import SearchJob

MOST: Final = 30
FEWEST: Final = 8
"""So many placebos there are at the least, more while it takes no longer than a few seconds."""
_SECONDS: Final = 3.0


def benign_flips(job: SearchJob) -> float:
    """The mean share of the job's clean samples whose class a placebo changes.

    ``job`` says what is compressed; its seed is that of the first placebo. Raises `TimeoutError`
    at its deadline.
    """
    import torch

    from devdiff.scanner.twin_pair import Twins, all_of

    torch.set_num_threads(1)
    twins, began = Twins(job), time.monotonic()
    shares: list[float] = []
    while len(shares) < MOST:
        if len(shares) >= FEWEST and time.monotonic() > began + _SECONDS:
            break
        if time.monotonic() > job.deadline:
            raise TimeoutError
        sides = twins.sides(job.seed + len(shares))
        outputs = all_of(sides.compressed, sides.samples, torch.arange(len(sides.samples)))
        shares.append(float((outputs.argmax(1) != sides.before.argmax(1)).float().mean()))
    return sum(shares) / len(shares)
