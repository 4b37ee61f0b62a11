"""``devdiff history``: earlier runs, side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import output
from devdiff.cli.groups.values import positive
from devdiff.options import HISTORY_LIMIT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from devdiff.cli.parsing import Parser
    from devdiff.history.record import RunRecord

NAME: Final = "history"
HELP: Final = "show agreement, latency and verdict over earlier runs and devices"
EXAMPLES: Final = """\
examples:
  devdiff history
  devdiff history model.onnx --since 30d
  devdiff history model.onnx --device emulator-5554 --plot history.svg
  devdiff history model.onnx --html history.html
  devdiff history int8.tflite --json
  devdiff history --all
  devdiff history old-model --forget

Runs of the project that this folder belongs to are shown: the nearest folder from here upward with
.git, devdiff.toml or pyproject.toml. A model over time is its file's name; the hash beside it says
which one of that name was tested. MODEL is a name, with or without its suffix, or a file: then runs
that had this very file on a rung are shown, too. The history is a SQLite file in your user data;
DEVDIFF_HISTORY names another one, or 'off'.
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a name or a file; left out: all")
    parser.add_argument("--device", metavar="NAME", help="a device's name or serial, or none")
    parser.add_argument(
        "--since", metavar="WHEN", help="a date or a time (2026-01-31), or an age (12h, 30d, 8w)"
    )
    parser.add_argument(
        "--limit",
        type=positive,
        default=HISTORY_LIMIT,
        metavar="N",
        help=f"show the N latest (default {HISTORY_LIMIT})",
    )
    parser.add_argument(
        "--all", action="store_true", help="runs of all projects, not only of this one"
    )
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--plot", type=Path, metavar="FILE.svg|png", help="draw them, too")
    selection.add_argument(
        "--forget", action="store_true", help="remove them from the history, whatever --limit says"
    )
    output.add_html(parser, "a page of them, with their course over time")
    output.add_json(parser, "print the runs as JSON")
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console, pages
    from devdiff.errors import UsageError
    from devdiff.exporter.artifact import sha256_file
    from devdiff.history import database_path, plot, terminal
    from devdiff.history.store import History, Wanted
    from devdiff.history.time_spec import earliest

    path = database_path.location()
    if path is None:
        raise UsageError(f"the history is off: {database_path.VARIABLE} is '{database_path.OFF}'")
    if args.plot is not None:
        plot.check_format(args.plot)
    page = pages.chosen(args.html, args.open, "history")
    project = database_path.project(Path.cwd())
    file = Path(args.model) if args.model else None
    there = file is not None and file.is_file()
    wanted = Wanted(
        model=file.name if file is not None else None,
        sha256=sha256_file(file) if file is not None and there else None,
        device=args.device,
        since=earliest(args.since) if args.since else None,
        project=None if args.all else str(project),
        limit=args.limit,
    )
    history = History(path)
    if args.forget:
        if page is not None:
            raise UsageError("--forget removes runs and shows none: leave --html and --open out")
        if file is None:
            raise UsageError("--forget needs a MODEL: to forget all, delete the history's file")
        forgotten = history.forget(wanted)
        print(json.dumps({"forgotten": forgotten}) if args.json else f"forgotten: {forgotten} runs")
        return 0
    runs = history.runs(wanted)
    if args.json:
        print(json.dumps([record.to_json() for record in runs], indent=2))
    elif runs:
        terminal.show(runs, console.stdout())
    else:
        others = history.runs(replace(wanted, project=None)) if not args.all else []
        if others:
            print(
                f"no such runs in the project {project}; {path} has {len(others)} of other "
                "projects: give --all"
            )
        else:
            models = ", ".join(history.models())
            print(f"no such runs in {path}; " + (f"it knows {models}" if models else "it is empty"))
    _draw(args, runs, page, "all projects" if args.all else project.name)
    return 0


def _draw(
    args: argparse.Namespace, runs: Sequence[RunRecord], page: Path | None, project: str
) -> None:
    """The plot and the page that were asked for."""
    from devdiff.cli import console, pages
    from devdiff.history import html, plot

    if args.plot is not None:
        plot.draw(runs, args.plot)
        if not args.json:
            print(f"plot: {args.plot}")
    if page is not None:
        html.write(runs, page, args.model or project)
        if not args.json:
            pages.name(page, console.stdout())
    pages.show(page, args)
