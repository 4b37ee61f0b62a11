"""Flags of what is measured and what is allowed, in groups that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devdiff.gate.config import Rules
    from devdiff.options import Gates
    from devdiff.tasks.request import TaskRequest


def add_gates(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is allowed")
    add_tolerances(group)
    _add_other_gates(group)


def add_tolerances(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--atol",
        nargs="+",
        default=[],
        metavar="[OUTPUT:]VALUE",
        help="absolute tolerance between float rungs (default 1e-5), for all or one output",
    )
    group.add_argument(
        "--rtol",
        nargs="+",
        default=[],
        metavar="[OUTPUT:]VALUE",
        help="tolerance relative to the output's peak on the reference rung (default 1e-4)",
    )


def _add_other_gates(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--min-agreement",
        type=_share,
        default=0.95,
        metavar="SHARE",
        help="top-1 agreement a compressed classifier must reach (default 0.95)",
    )
    group.add_argument(
        "--min-snr",
        type=float,
        default=10.0,
        metavar="DB",
        help="signal-to-noise ratio other compressed outputs must reach (default 10)",
    )
    group.add_argument(
        "--min-variation-snr",
        type=float,
        default=5.0,
        metavar="DB",
        help="the same with each element's mean over the samples taken away, for the whole output "
        "and each kind of channels (default 5)",
    )
    group.add_argument(
        "--min-samples",
        type=_positive,
        default=8,
        metavar="N",
        help="tested samples without which numbers alone are no pass (default 8, which see a fault "
        "that hits a third of the inputs)",
    )
    group.add_argument(
        "--max-lsb",
        type=int,
        default=1,
        metavar="N",
        help="steps an int8 element may differ between host and device (default 1)",
    )
    group.add_argument(
        "--exact", action="store_true", help="no element may differ between host and device"
    )
    add_classifier(group)


def add_classifier(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--classifier",
        nargs="+",
        default=[],
        metavar="OUTPUT",
        help="outputs that are class scores (default: found by labels, or by softmax outputs)",
    )


def gates(args: argparse.Namespace) -> Gates:
    from devdiff.options import Gates

    return Gates(
        atol=tuple(args.atol),
        rtol=tuple(args.rtol),
        min_agreement=args.min_agreement,
        min_snr_db=args.min_snr,
        min_variation_snr_db=args.min_variation_snr,
        min_samples=args.min_samples,
        max_lsb=args.max_lsb,
        exact=args.exact,
        classifiers=tuple(args.classifier),
    )


def add_baseline(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("baseline")
    group.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="fail only on what got worse since: a report.json, a check.json or what devdiff check "
        "--write-baseline wrote",
    )
    group.add_argument(
        "--max-snr-loss",
        type=float,
        metavar="DB",
        help="SNR an output may lose before it counts as worse (default 1)",
    )
    group.add_argument(
        "--max-slowdown",
        type=float,
        metavar="FACTOR",
        help="how many times slower the device may get (default: time does not count)",
    )
    group.add_argument(
        "--allow-other-inputs", action="store_true", help="compare runs over other inputs, too"
    )
    group.add_argument(
        "--allow-other-model",
        action="store_true",
        help="compare with a model of another file name, too",
    )


def rules(args: argparse.Namespace, usual: Rules) -> Rules:
    """What counts as worse: the options, and where they are left out what is ``usual``."""
    from devdiff.gate.config import Rules

    loss, slowdown = args.max_snr_loss, args.max_slowdown
    return Rules(
        max_snr_loss_db=usual.max_snr_loss_db if loss is None else loss,
        max_slowdown=usual.max_slowdown if slowdown is None else slowdown,
        other_inputs=args.allow_other_inputs or usual.other_inputs,
        other_model=args.allow_other_model or usual.other_model,
    )


def add_task(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the model is for")
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
        type=_share,
        metavar="SHARE",
        help="by how much one step may make the task's first metric worse (default 0.05; against "
        "the source's own answers 0.1, for detection 0.2)",
    )


def task(args: argparse.Namespace) -> TaskRequest | None:
    """What is to be measured. Raises `UsageError`."""
    from devdiff.tasks.request import TaskRequest

    return TaskRequest.of(args.task, args.truth, args.max_drop)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value
