"""``devdiff demo``: what devdiff is for, shown on models that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import output

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "demo"
HELP: Final = "see in two minutes what a comparison misses and a scan finds"
EXAMPLES: Final = """\
examples:
  devdiff demo check-reader
  devdiff demo check-reader --out /tmp/demo

check-reader tests and scans two digit readers that come with devdiff, one of them backdoored for
this purpose. Nothing is fetched. The runs stay in the folder, with their reports and pages; exit
code 3 says that the story did not come out as it is told here.
"""
_DEFAULT_OUT: Final = Path("devdiff-demo")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("story", choices=["check-reader"], help="what to show")
    output.add_out(parser, f"where the runs go (default {_DEFAULT_OUT})", default=_DEFAULT_OUT)
    output.add_open(parser, "open the page with the finding in a browser")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console, failures, pages
    from devdiff.demo import check_reader

    out = console.stdout()

    quiet = args.verbosity == output.QUIET

    def say(text: str) -> None:
        if not quiet:
            out.print(text, markup=False, soft_wrap=True)

    reports = check_reader.tell(args.out, say, lambda: console.Narrator(args.verbosity))
    if quiet:
        verdict = "pass" if reports.as_planned else "error"
        console.headline(verdict, f"{args.story}: {reports.page}")
    pages.show(reports.page, args)
    if reports.as_planned:
        return 0
    say("\nThis is not how it should have come out: see the reports for what went otherwise.")
    return failures.INFRASTRUCTURE
