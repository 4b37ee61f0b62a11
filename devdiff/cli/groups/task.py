"""What the model is for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.cli.groups.values import share, shown
from devdiff.options import MAX_DROP, OWN_ANSWERS_MAX_DROP, OWN_BOXES_MAX_DROP

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.tasks.request import TaskRequest


def add(parser: Parser) -> None:
    group = parser.group("what the model is for")
    group.add_argument(
        "--task",
        metavar="TASK[:OPTIONS]",
        help="classification[:K], detection, segmentation, embedding, regression or sequence, with "
        "options as in detection:format=yolo,nms=0.7 (docs/tasks.md); left out: classification if "
        "there are labels, not judged",
    )
    group.add_argument(
        "--truth",
        type=Path,
        metavar="PATH",
        help="true boxes, masks, values or texts of the inputs; left out: labels, else the "
        "source's own answers are judged against",
    )
    group.add_argument(
        "--max-drop",
        type=share,
        metavar="SHARE",
        help="by how much one step may make the task's first metric worse "
        f"(default {shown(MAX_DROP)}; "
        f"against the source's own answers {shown(OWN_ANSWERS_MAX_DROP)}, for detection "
        f"{shown(OWN_BOXES_MAX_DROP)})",
    )


def of(args: argparse.Namespace) -> TaskRequest | None:
    """What is to be measured. Raises `UsageError`."""
    from devdiff.tasks.request import TaskRequest

    return TaskRequest.of(args.task, args.truth, args.max_drop)
