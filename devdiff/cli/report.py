"""``devdiff report``: a finished run's report in other formats."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import output
from devdiff.report.formats import FORMATS

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.report.model import Report

NAME: Final = "report"
HELP: Final = "make other formats of a finished run's report, for people and for pipelines"
EXAMPLES: Final = """\
examples:
  devdiff report devdiff-runs/20260101-120000-model --html report.html
  devdiff report report.json --junit junit.xml --markdown summary.md
  devdiff report devdiff-runs/20260101-120000-model --sarif scan.sarif --csv samples.csv

In a run directory the page also shows the samples it names as pictures, with every rung's
answers; report.json alone gives a page without them, and no CSV. Where GITHUB_STEP_SUMMARY is
set, the Markdown summary is appended to that file, too.
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "report", type=Path, metavar="RUN_DIR|report.json", help="what a finished run left"
    )
    group = parser.group("formats", "at least one, each whole or not at all")
    for name, known in FORMATS.items():
        group.add_argument(f"--{name}", type=Path, metavar="FILE", help=known.help)
    output.add_open(parser, "open the page that --html makes in a browser")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import pages
    from devdiff.errors import UsageError
    from devdiff.report import load

    wanted = _wanted(args)
    if args.open and "html" not in wanted:
        raise UsageError("--open opens the page: name it with --html, or give devdiff open RUN_DIR")
    path = load.locate(args.report)
    report, folder = load.load(path), load.run_directory(path)
    for name in wanted:
        check = FORMATS[name].check
        if check is not None:
            check(report, folder)
    for name, file in wanted.items():
        FORMATS[name].write(report, folder, file)
        if args.verbosity != output.QUIET:
            print(f"{FORMATS[name].title}: {file}")
    summarize(report)
    pages.show(wanted.get("html"), args)
    return 0


def _wanted(args: argparse.Namespace) -> dict[str, Path]:
    """The formats that are asked for, and their files. Raises `UsageError`."""
    from devdiff.errors import UsageError

    wanted = {name: getattr(args, name) for name in FORMATS if getattr(args, name) is not None}
    if not wanted:
        flags = [f"--{name} FILE" for name in FORMATS]
        raise UsageError(f"nothing to make: give {', '.join(flags[:-1])} or {flags[-1]}")
    for name, file in wanted.items():
        if not file.parent.is_dir():
            raise UsageError(f"--{name} {file}: there is no folder {file.parent}")
        if file.is_dir():
            raise UsageError(f"--{name} {file} is a folder: name the file")
        for other in wanted:
            if other != name and wanted[other].resolve() == file.resolve():
                raise UsageError(f"--{name} and --{other} name the same file: {file}")
    return wanted


def summarize(report: Report) -> None:
    """The summary of this step of a GitHub workflow, if there is one; without it is only a note."""
    from devdiff.report import markdown

    try:
        markdown.append_step_summary(report)
    except OSError as error:
        print(f"note: no summary of this step: {error}", file=sys.stderr)
