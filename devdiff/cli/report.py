"""``devdiff report``: a finished run's report in other formats."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

NAME: Final = "report"
HELP: Final = "make a page for people from a finished run's report"
EXAMPLES: Final = """\
examples:
  devdiff report devdiff-runs/20260101-120000-model --html report.html
  devdiff report report.json --html report.html

The page is one file that needs no network. In a run directory it also shows the samples it names
as pictures, with every rung's answers; report.json alone gives a page without them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "report", type=Path, metavar="RUN_DIR|report.json", help="what a finished run left"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", required=True, help="write the page")


def run(args: argparse.Namespace) -> int:
    from devdiff.errors import UsageError
    from devdiff.report import load
    from devdiff.report.html import page

    path = load.locate(args.report)
    if not args.html.parent.is_dir():
        raise UsageError(f"--html {args.html}: there is no folder {args.html.parent}")
    if args.html.is_dir():
        raise UsageError(f"--html {args.html} is a folder: name the file, as in report.html")
    page.write(load.load(path), args.html, load.run_directory(path))
    print(f"page: {args.html}")
    return 0
