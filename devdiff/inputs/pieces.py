"""The rows of an input that are wanted, without reading what does not have to be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from devdiff.inputs.images import ImageRows
from devdiff.inputs.sound import SoundRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array
    from devdiff.inputs.readers import Rows


def pieces(rows: Rows, wanted: Array) -> Iterator[tuple[int, Array]]:
    """Consecutive rows [n, *shape] with the number of the first, in order; ``wanted`` is bool [N].

    Files of samples are opened only where they are wanted.
    """
    if isinstance(rows, ImageRows | SoundRows) and not wanted.all():
        numbers = np.flatnonzero(wanted)
        files = replace(rows, paths=tuple(rows.paths[number] for number in numbers))
        for number, chunk in zip(numbers, files.chunks(), strict=True):
            yield int(number), chunk
        return
    done = 0
    for chunk in rows.chunks():
        taken = wanted[done : done + len(chunk)]
        edges = np.flatnonzero(np.diff(taken.astype(np.int8), prepend=0, append=0))
        for first, end in edges.reshape(-1, 2):
            yield done + int(first), chunk[first:end]
        done += len(chunk)
