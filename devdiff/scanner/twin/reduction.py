"""Sums, means and extremes over axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from devdiff.scanner.twin.site import Run, Site, builds, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REDUCTIONS: Final[Mapping[str, Callable[..., Tensor]]] = {
    "MEAN": torch.mean,
    "SUM": torch.sum,
    "REDUCE_MAX": torch.amax,
    "REDUCE_MIN": torch.amin,
}


@builds(*_REDUCTIONS)
def reduction(site: Site) -> Run:
    function = _REDUCTIONS[site.operator.kind]
    rank, shape = len(site.input(0).shape), site.output.shape
    # The samples' axis comes before the graph's.
    axes = sorted({axis % rank + 1 for axis in site.integers(1)})
    ratio, finish = site.ratio(0), site.finish()

    def run(value: Tensor, _: Tensor) -> Tensor:
        made = function(value, dim=axes) if axes else value
        return finish(scaled(made, ratio)).reshape(value.shape[0], *shape)

    return run


@builds("ARG_MAX", "ARG_MIN")
def arg_extreme(site: Site) -> Run:
    """Indices carry no gradient; of equal values the first one counts."""
    function: Any = torch.argmax if site.operator.kind == "ARG_MAX" else torch.argmin
    axis = site.integers(1)[0] % len(site.input(0).shape) + 1
    return lambda value, _: function(value, dim=axis)
