"""What a trigger rides on: weights that are rounded, activations that are clipped, or pruning.

Each part of the compression is made alone, on the twin, and the found trigger put on it. Attacks
that train through the rounding of weights (Ma et al., arXiv 2108.09187) sleep where activations are
clipped alone, and attacks that learn what clipping cuts off sleep where weights are rounded alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from devdiff.comparison.intervals import Proportion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.scanner.search_job import Candidate, SearchJob
    from devdiff.scanner.twin import Twin
    from devdiff.scanner.twin_pair import Twins

Carrier = Literal["rounding", "clipping", "pruning"]
_ENOUGH: Final = 0.5
"""A part of the compression that shows so much of the whole's rate alone carries the trigger."""
WIDENED: Final = 19
"""So many models with wider ranges, which give p = 0.05 at the least."""
_WIDEST: Final = 3.0


@dataclass(frozen=True, slots=True)
class Carriers:
    """The held-out inputs that obey ``whole``, the compressed model, and each part ``alone``.

    ``widened`` are the shares of them in as many models with wider ranges, of each activation its
    own, the last of which clips nothing.
    """

    whole: Proportion
    alone: Mapping[Carrier, Proportion]
    widened: tuple[float, ...]

    @property
    def names(self) -> tuple[Carrier, ...]:
        """Those that carry the trigger alone; all parts where none does."""
        bar = _ENOUGH * (self.whole.rate or 0.0)
        found = tuple(name for name, rate in self.alone.items() if (rate.rate or 0.0) >= bar)
        return found or tuple(self.alone)

    @property
    def together(self) -> bool:
        """Whether no part carries it alone."""
        bar = _ENOUGH * (self.whole.rate or 0.0)
        return all((rate.rate or 0.0) < bar for rate in self.alone.values())


def carriers(job: SearchJob, found: Sequence[Candidate]) -> Carriers | None:
    """Put ``found``, one trigger or those of halves or folds, on each part of the compression.

    Each on its own samples. ``job`` says what is compressed. None where nothing could be hit.
    """
    import torch

    from devdiff.scanner.twin_pair import Twins

    torch.set_num_threads(1)
    twins = Twins(job)
    objective = twins.objective_of(found[0])
    trials = sum(candidate.eligible for candidate in found)
    if not trials:
        return None

    def rate(twin: Twin) -> Proportion:
        return Proportion.of(twins.beside(twin).hits_of(objective, found), trials)

    whole = twins.compressed
    return Carriers(
        whole=rate(whole),
        alone={name: rate(part) for name, part in _parts(twins).items()},
        widened=tuple((rate(wider).rate or 0.0) for wider in _widened(whole)),
    )


def _parts(twins: Twins) -> dict[Carrier, Twin]:
    """The parts that the compression is made of, each alone."""
    from devdiff.scanner.placebo import is_pruned, is_quantized, pruned_only

    layers, twin = twins.layers, twins.compressed
    parts: dict[Carrier, Twin] = {}
    unclipped = twin.with_ranges(dict.fromkeys(twin.activations, math.inf))
    floating = {layer.tensor: layer.floating for layer in layers}
    pruned = is_pruned(layers)
    if is_quantized(layers):
        rounded = {layer.tensor: layer.compressed for layer in layers}
        if pruned:
            rounded = {
                layer.tensor: layer.floating
                if layer.stored is None
                else layer.nearest(layer.floating)
                for layer in layers
            }
        parts["rounding"] = unclipped.with_constants(rounded)
    if twin.activations:
        parts["clipping"] = twin.with_constants(floating)
    if pruned:
        masked = {layer.tensor: pruned_only(layer) for layer in layers}
        parts["pruning"] = unclipped.with_constants(masked)
    return parts


def _widened(twin: Twin) -> list[Twin]:
    activations = twin.activations
    if not activations:
        return []
    random = np.random.default_rng(0)
    drawn = [random.uniform(1, _WIDEST, len(activations)) for _ in range(WIDENED - 1)]
    drawn.append(np.full(len(activations), math.inf))
    return [
        twin.with_ranges(dict(zip(activations, factors.tolist(), strict=True))) for factors in drawn
    ]
