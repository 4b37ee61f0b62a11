"""Reports of a classifier with four classes whose answers a step changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support.bare_reports import bare_report, typed, with_pair
from tests.support.pair_packs import compare_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.report.model import Report

BEFORE, AFTER = [0, 1, 2, 3, 0, 1], [1, 1, 1, 2, 1, 2]
LABELS = [1, 1, 2, 0, 0, 1]


def report_of(
    folder: Path,
    before: Sequence[int],
    after: Sequence[int],
    labels: Sequence[int] | None,
    names: Sequence[str] | None = None,
) -> Report:
    """A device that answers ``after`` where its source answers ``before``."""
    sides = [np.eye(4, dtype=np.float32)[list(side)][:, None] for side in (before, after)]
    truth = None if labels is None else np.array(labels)
    comparison = compare_arrays(folder, *sides, labels=truth)
    data: dict[str, Any] = with_pair(bare_report(), "fail", comparison=comparison.to_json())
    data["samples"] = {
        str(place): {"row": place, "name": None, "label": labels[place] if labels else None}
        for place in range(len(before))
    }
    if names is not None:
        data["classes"] = {"names": list(names), "origin": "labels.txt"}
    return typed(data)
