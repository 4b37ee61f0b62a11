"""``devdiff open``: the page of a run, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "open"
HELP: Final = "open the page of a run in a browser: the last one, unless another is named"
EXAMPLES: Final = """\
examples:
  devdiff open
  devdiff open devdiff-runs/20260101-120000-model
  devdiff open devdiff-checks/20260101-120000-check

The last run is the latest below devdiff-runs and devdiff-checks here; where there are none, the
latest of this project in the history. A page that is not there is made again. Without a screen or a
browser its address is printed.
"""


def add_arguments(parser: Parser) -> None:
    parser.group("runs").add_argument(
        "place",
        type=Path,
        nargs="?",
        metavar="RUN",
        help="a run directory, a check's, a report.json or a page; left out: the last run",
    )
    parser.group("output").add_argument(
        "--print", action="store_true", help="print the page's address and open nothing"
    )


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import pages
    from devdiff.cli.groups import output
    from devdiff.system.browser import open_page

    page = pages.of_place(args.place) if args.place is not None else pages.latest(Path.cwd())
    address = page.resolve().as_uri()
    if args.print:
        print(address)
    elif not open_page(page):
        print(f"no browser to open it in: {address}")
    elif args.verbosity != output.QUIET:
        print(f"page: {page}")
    return 0
