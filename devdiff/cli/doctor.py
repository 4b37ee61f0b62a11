"""``devdiff doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import output
from devdiff.system.exit_code import ExitCode

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "doctor"
HELP: Final = "say what is installed, what is missing, and how to get it"
EXAMPLES: Final = """\
examples:
  devdiff doctor
  devdiff doctor --json
"""


def add_arguments(parser: Parser) -> None:
    output.add_json(parser, "print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console, installation
    from devdiff.report import parts
    from devdiff.report.parts import escape

    findings = installation.examine()
    if args.json:
        print(json.dumps([finding.to_json() for finding in findings], indent=2))
    else:
        out = console.stdout()
        table = parts.table("", "what", "found", "used for")
        for finding in findings:
            mark = "[green]ok[/green]" if finding.ok else "[red]missing[/red]"
            if not finding.ok and not finding.required:
                mark = "[yellow]absent[/yellow]"
            table.add_row(mark, *map(escape, (finding.name, finding.found, finding.purpose)))
        if args.verbosity != output.QUIET:
            out.print(table)
        for finding in findings:
            if not finding.ok and (finding.required or args.verbosity != output.QUIET):
                parts.say(escape(f"{finding.name}: {finding.remedy}"), out)
    missing = any(not f.ok and f.required for f in findings)
    return ExitCode.ERROR if missing else ExitCode.PASS
