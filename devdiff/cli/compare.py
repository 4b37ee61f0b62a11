"""``devdiff compare``: what changed from one finished run to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import baseline, output

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "compare"
HELP: Final = "show what changed between two runs: verdicts, accuracy, latency, size, versions"
EXAMPLES: Final = """\
examples:
  devdiff compare devdiff-runs/last-release devdiff-runs/this-one
  devdiff compare old/report.json new/report.json --html changes.html
  devdiff compare devdiff-runs/last-release devdiff-runs/this-one --max-slowdown 1.2 --json

Each is the run directory of export-and-test or scan, or its report.json, the earlier one first.
Exit code 0: nothing got worse. 1: something did, by the rules of a baseline, or in accuracy or the
task's metric on the model that ships. 3: a step, output or scan of the first is gone, or could not
run. 4: a new finding. 5: undecided now, and not before. Latency and size are shown, and latency on
a device counts with --max-slowdown alone. A failure that both have is known, and is exit code 0.

Whether two places give the same answers, sample by sample and within limits, is devdiff diff's
business.
"""


def add_arguments(parser: Parser) -> None:
    group = parser.group("runs")
    for name, description in (("before", "the earlier run"), ("after", "the later run")):
        group.add_argument(
            name, type=Path, metavar=name.upper(), help=f"RUN_DIR or report.json: {description}"
        )
    baseline.add_rules(parser.group("what is allowed"))
    output.add_html(parser, "a page for people, one file that needs no network")
    output.add_json(parser, "print the comparison as JSON")
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.changes import html, terminal
    from devdiff.changes.compare import compare_runs
    from devdiff.cli import console, pages

    page = pages.chosen(args.html, args.open, "compare")
    with console.Narrator(args.verbosity) as narrator:
        comparison = compare_runs(args.before, args.after, baseline.rules(args), narrator)
    if page is not None:
        html.write(comparison, page)
    verdict = comparison.verdict.value
    if args.json:
        print(json.dumps(comparison.to_json(), indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(verdict, terminal.title(comparison))
    else:
        out = console.stdout()
        terminal.show(comparison, out)
        pages.name(page, out)
        out.repeat(verdict, terminal.title(comparison))
    pages.show(page, args)
    return comparison.exit_code
