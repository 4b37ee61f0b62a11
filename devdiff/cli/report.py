"""``devdiff report``: a finished run's report in other formats."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

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
FORMATS: Final = {
    "html": "a page for people, one file that needs no network",
    "junit": "JUnit XML: a test case for each output of each step",
    "sarif": "SARIF 2.1.0: what the scan found, for code scanning",
    "markdown": "a summary for a pull request",
    "csv": "a row for each sample: largest errors, answers, times",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "report", type=Path, metavar="RUN_DIR|report.json", help="what a finished run left"
    )
    group = parser.add_argument_group("formats", "at least one, each whole or not at all")
    for name, description in FORMATS.items():
        group.add_argument(f"--{name}", type=Path, metavar="FILE", help=description)


def run(args: argparse.Namespace) -> int:
    from devdiff.report import junit, load, markdown, samples, sarif
    from devdiff.report.html import page

    wanted = _wanted(args)
    path = load.locate(args.report)
    report, folder = load.load(path), load.run_directory(path)
    if "sarif" in wanted:
        sarif.check(report)
    if "csv" in wanted:
        samples.check(folder)
    writers: dict[str, Callable[[Path], None]] = {
        "html": lambda file: page.write(report, file, folder),
        "junit": lambda file: junit.write(report, file),
        "sarif": lambda file: sarif.write(report, file),
        "markdown": lambda file: markdown.write(report, file),
        "csv": lambda file: samples.write(report, folder, file),
    }
    for name, file in wanted.items():
        writers[name](file)
        print(f"{'page' if name == 'html' else name}: {file}")
    summarize(report)
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
