"""``devdiff clean``: runs and caches that are not needed any more."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import output
from devdiff.cli.groups.values import positive

if TYPE_CHECKING:
    from devdiff.cli.parsing import Parser
    from devdiff.gate.config import Config

NAME: Final = "clean"
HELP: Final = "show what earlier runs and caches take, and remove what is old, large or too many"
EXAMPLES: Final = """\
examples:
  devdiff clean
  devdiff clean --older-than 30d
  devdiff clean --keep 10 --max-size 5GB --yes
  devdiff clean old-runs/ --all --yes
  devdiff clean --caches --older-than 4w

Nothing is removed without --yes. What goes is beyond any one of the limits; without one, the
limits are those of [retention] in the nearest devdiff.toml. A run that is in use, or that holds
files of somebody else's, stays; links are not followed, and what is no run of devdiff's is not
touched. Exit code 3: something could not be removed.
"""


def add_arguments(parser: Parser) -> None:
    group = parser.group("what is looked at")
    group.add_argument(
        "places",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="folders of runs, or runs (default: devdiff-runs and devdiff-checks here)",
    )
    group.add_argument(
        "--caches",
        action="store_true",
        help="also what is built or fetched once, and made again when it is needed",
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="the configuration whose limits hold"
    )
    group = parser.group("what goes")
    group.add_argument(
        "--older-than", type=_age, metavar="AGE", help="what was not written since: 12h, 30d, 4w"
    )
    group.add_argument(
        "--larger-than", type=_size, metavar="SIZE", help="each that takes more: 500MB, 2GB"
    )
    group.add_argument(
        "--keep", type=positive, metavar="N", help="all runs of a folder but the newest N"
    )
    group.add_argument(
        "--max-size",
        type=_size,
        metavar="SIZE",
        help="the oldest, until the runs of a folder take no more together",
    )
    group.add_argument("--all", action="store_true", help="everything that may go")
    group.add_argument("--yes", action="store_true", help="remove it; without this it is listed")
    output.add_json(parser, "print what there is and what goes as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.errors import UsageError
    from devdiff.housekeeping import clean, terminal
    from devdiff.housekeeping.retention import Retention
    from devdiff.system.exit_code import ExitCode

    limits = Retention(args.keep, args.older_than, args.max_size, args.larger_than)
    if args.all and not limits.unlimited:
        raise UsageError("--all removes everything that may go: leave the limits out, or --all")
    config = _config(args)
    if limits.unlimited and not args.all and config is not None:
        limits = config.retention
    planned = clean.plan(
        args.places,
        limits,
        caches=args.caches,
        everything=args.all,
        protected=config.protected if config is not None else {},
    )
    cleaning = clean.carry_out(planned) if args.yes and planned.going else planned
    if args.json:
        print(json.dumps(cleaning.to_json(), indent=2))
    elif args.verbosity == output.QUIET:
        print(terminal.summary(cleaning, limits.unlimited))
    else:
        terminal.show(cleaning, limits.unlimited, console.stdout())
    return ExitCode.ERROR if cleaning.failed else ExitCode.PASS


def _config(args: argparse.Namespace) -> Config | None:
    """The configuration that is named, or the nearest one."""
    from devdiff.errors import UsageError
    from devdiff.gate import config_file
    from devdiff.gate.config import Config

    if args.config is not None:
        return Config.load(args.config)
    try:
        path = config_file.find(Path.cwd())
    except UsageError:
        return None
    return Config.load(path)


def _age(text: str) -> float:
    from devdiff.errors import UsageError
    from devdiff.housekeeping.retention import parse_age

    try:
        return parse_age(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _size(text: str) -> int:
    from devdiff.errors import UsageError
    from devdiff.housekeeping.retention import parse_size

    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
