"""The kinds of tasks there are; what each has to offer says `devdiff.tasks.kind`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.tasks import (
    classification,
    detection,
    embedding,
    regression,
    segmentation,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.tasks.kind import TaskKind

KINDS: Final[Mapping[str, TaskKind]] = {
    kind.name: kind
    for kind in (
        classification.KIND,
        detection.KIND,
        segmentation.KIND,
        embedding.KIND,
        regression.KIND,
        sequence.KIND,
    )
}
