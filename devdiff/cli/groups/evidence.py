"""What a passed run must stand on, for the verbs that take it for evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.cli.groups.values import positive
from devdiff.options import DEFAULT_GATES

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.gate.requirements import Requirements


def add(parser: Parser) -> None:
    group = parser.group("what counts as a test")
    group.add_argument(
        "--min-samples",
        type=positive,
        metavar="N",
        help="tested samples without which a pass does not count "
        f"(default {DEFAULT_GATES.min_samples})",
    )
    sort = group.add_mutually_exclusive_group()
    sort.add_argument(
        "--accept-synthetic",
        action="store_true",
        help="count a pass on synthetic samples, which is one about numerics only",
    )
    sort.add_argument(
        "--require-real-inputs",
        action="store_true",
        help="do not, whatever devdiff.toml says (the default where it says nothing)",
    )


def of(args: argparse.Namespace, usual: Requirements | None = None) -> Requirements:
    """What is required: the options, and where they are left out what is ``usual``."""
    from devdiff.gate.requirements import Requirements

    usual = usual or Requirements()
    accepted = args.accept_synthetic or usual.accept_synthetic
    return Requirements(
        min_samples=usual.min_samples if args.min_samples is None else args.min_samples,
        accept_synthetic=accepted and not args.require_real_inputs,
    )
