"""How much a scan may look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from devdiff.cli.groups.values import given, option, positive, seconds, shown
from devdiff.options import DEFAULT_SCAN, OutputKind

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.options import ScanSettings

_FIELDS: Final = {
    "samples": "samples",
    "budget": "budget_s",
    "placebos": "placebos",
    "input": "input",
    "output": "output",
    "output_kind": "output_kind",
}


def add(parser: Parser, *, optional: bool = False) -> None:
    """``optional``: the verb scans only when it is asked to."""
    group = parser.group("scan")
    if optional:
        group.add_argument(
            "--scan",
            action="store_true",
            help="scan the compressed model for what only it does, too (devdiff scan --help)",
        )
    group.add_argument(
        "--samples",
        type=positive,
        metavar="N",
        help="samples the scan looks at, half to search on, half to measure on "
        f"(default {DEFAULT_SCAN.samples})",
    )
    group.add_argument(
        "--budget",
        type=seconds,
        metavar="SECONDS",
        help="time for the search and its placebos "
        f"(default {shown(DEFAULT_SCAN.budget_s)}); what it leaves undone is stated, and nothing "
        "found is then inconclusive",
    )
    group.add_argument(
        "--placebos",
        type=positive,
        metavar="N",
        help="searches of the model compressed otherwise, for comparison "
        f"(default {DEFAULT_SCAN.placebos})",
    )
    group.add_argument(
        "--input",
        metavar="NAME",
        help="the input that is changed, where there are several float ones; the others stay as "
        "each sample has them",
    )
    group.add_argument("--output", metavar="NAME", help="the output to scan; left out: the scores")
    group.add_argument(
        "--output-kind",
        choices=get_args(OutputKind),
        help="what that output holds; left out: class scores wherever its shape is [1, C]",
    )


def of(args: argparse.Namespace) -> ScanSettings:
    """Raises `UsageError` for a file in the place of an input's name."""
    from devdiff.options import ScanSettings

    _check_changed(args.input)
    return ScanSettings(**given(args, {**_FIELDS, "seed": "seed"}))


def check_no_scan(args: argparse.Namespace) -> None:
    """Raises `UsageError` for an option of the scan where nothing is scanned."""
    from devdiff.errors import UsageError

    _check_changed(args.input)
    for name in _FIELDS:
        if getattr(args, name) is not None:
            raise UsageError(
                f"{option(name)} is for the scan, and none was asked for: add --scan, or leave "
                f"{option(name)} out"
            )


def _check_changed(name: str | None) -> None:
    """Raises `UsageError` for a file in the place of an input's name."""
    from devdiff.errors import UsageError

    if name is None:
        return
    path = Path(name)
    if path.exists() or path.suffix in (".npz", ".npy", ".csv", ".py"):
        raise UsageError(
            f"--input names the input that a scan changes, and {name} is a file; did you mean "
            f"--inputs {name}?"
        )
