"""Flags of what a passed run must stand on, for the verbs that take it for evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.cli import arguments

if TYPE_CHECKING:
    import argparse

    from devdiff.gate.requirements import Requirements


def add_requirements(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what counts as a test")
    group.add_argument(
        "--min-samples",
        type=arguments.positive,
        metavar="N",
        help="tested samples without which a pass does not count (default 8)",
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


def requirements(args: argparse.Namespace, usual: Requirements | None = None) -> Requirements:
    """What is required: the options, and where they are left out what is ``usual``."""
    from devdiff.gate.requirements import Requirements

    usual = usual or Requirements()
    accepted = args.accept_synthetic or usual.accept_synthetic
    return Requirements(
        min_samples=usual.min_samples if args.min_samples is None else args.min_samples,
        accept_synthetic=accepted and not args.require_real_inputs,
    )
