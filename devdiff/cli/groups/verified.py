"""The formats of what was verified or signed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.cli.groups import output

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.package.verification import Verification


def add(parser: Parser) -> None:
    output.add_html(parser, "a page for people, one file that needs no network")
    group = parser.group("formats")
    group.add_argument(
        "--junit", type=Path, metavar="FILE", help="JUnit XML: a test case for each model"
    )
    group.add_argument(
        "--sarif",
        type=Path,
        metavar="FILE",
        help="SARIF 2.1.0: what is untested or wrong, for code scanning",
    )


def chosen(args: argparse.Namespace, name: str) -> Path | None:
    """Where the page goes, if there is to be one; see `devdiff.cli.pages.chosen`.

    Raises `UsageError` when a format cannot be written, before anything is read.
    """
    from devdiff.cli import pages
    from devdiff.errors import UsageError

    for option in ("junit", "sarif"):
        path = getattr(args, option)
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise UsageError(f"--{option} {path}: name a file in a folder that exists")
    return pages.chosen(args.html, args.open, name)


def write(args: argparse.Namespace, found: Verification, page: Path | None) -> None:
    """Write the formats that were asked for."""
    from devdiff.package import html, junit, sarif

    command = sys.argv[1:]
    if page is not None:
        html.write(found, command, page)
    if args.junit is not None:
        junit.write(found, args.junit)
    if args.sarif is not None:
        sarif.write(found, command, args.sarif)
