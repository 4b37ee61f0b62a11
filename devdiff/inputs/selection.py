"""Which samples a limited run tests: spread over the whole set, and the same for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array


def spread(rows: Array, limit: int, seed: int) -> Array:
    """At most ``limit`` of ``rows`` int64 [N], in their order.

    One is drawn from each of ``limit`` equal parts of them: data are often sorted by class or by
    time, and the first ones would be all of one kind.
    """
    if limit >= len(rows):
        return rows
    # Whole numbers, so that no two parts share a row.
    edges = np.linspace(0, len(rows), limit + 1).astype(np.int64)
    places = np.random.default_rng(seed).integers(edges[:-1], edges[1:])
    chosen: Array = rows[places]
    return chosen
