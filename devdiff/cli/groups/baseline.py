"""What counts as worse than before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.cli.groups.values import number, option, shown
from devdiff.options import DEFAULT_RULES

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.options import Rules


def add(parser: Parser) -> None:
    group = parser.group("baseline")
    group.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="fail only on what got worse since: a report.json, a check.json or what devdiff check "
        "--write-baseline wrote",
    )
    add_rules(group)
    group.add_argument(
        "--allow-other-inputs", action="store_true", help="compare runs over other inputs, too"
    )
    group.add_argument(
        "--allow-other-model",
        action="store_true",
        help="compare with a model of another file name, too",
    )


def add_rules(group: argparse._ArgumentGroup) -> None:
    """How much worse may be before it counts."""
    group.add_argument(
        "--max-snr-loss",
        type=number,
        metavar="DB",
        help="SNR an output may lose before it counts as worse "
        f"(default {shown(DEFAULT_RULES.max_snr_loss_db)})",
    )
    group.add_argument(
        "--max-slowdown",
        type=number,
        metavar="FACTOR",
        help="how many times slower the device may get (default: time does not count)",
    )


def check_beside(args: argparse.Namespace, baseline: Path | None) -> None:
    """Raises `UsageError` for a limit beside a baseline where there is none."""
    from devdiff.errors import UsageError

    for name in ("max_snr_loss", "max_slowdown"):
        if getattr(args, name) is not None and baseline is None:
            raise UsageError(f"{option(name)} is beside a baseline: name one with --baseline")


def rules(args: argparse.Namespace, usual: Rules = DEFAULT_RULES) -> Rules:
    """What counts as worse: the options, and where they are left out what is ``usual``."""
    from devdiff.options import Rules

    loss, slowdown = args.max_snr_loss, args.max_slowdown
    return Rules(
        max_snr_loss_db=usual.max_snr_loss_db if loss is None else loss,
        max_slowdown=usual.max_slowdown if slowdown is None else slowdown,
        other_inputs=getattr(args, "allow_other_inputs", False) or usual.other_inputs,
        other_model=getattr(args, "allow_other_model", False) or usual.other_model,
    )
