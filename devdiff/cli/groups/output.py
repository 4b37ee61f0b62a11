"""What a verb leaves and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from devdiff.cli.parsing import Parser

QUIET: Final = "quiet"
VERBOSE: Final = "verbose"


def add_json(parser: Parser, description: str = "print the report as JSON") -> None:
    parser.group("output").add_argument("--json", action="store_true", help=description)


def add_html(parser: Parser, description: str) -> None:
    parser.group("formats", "each whole or not at all").add_argument(
        "--html", type=Path, metavar="FILE", help=description
    )


def add_open(parser: Parser, description: str = "open the page in a browser") -> None:
    parser.group("output").add_argument("--open", action="store_true", help=description)


def add_out(parser: Parser, description: str, *, metavar: str = "DIR", **options: Any) -> None:
    parser.group("output").add_argument(
        "--out", type=Path, metavar=metavar, help=description, **options
    )


def add_verbosity(parser: Parser, **options: Any) -> None:
    """``-v`` and ``-q``, which every verb takes."""
    choice = parser.group("output").add_mutually_exclusive_group()
    for flags, value, description in (
        (("-v", "--verbose"), VERBOSE, "also say what each phase did, and how long it took"),
        (("-q", "--quiet"), QUIET, "print only the verdict and errors"),
    ):
        choice.add_argument(
            *flags,
            dest="verbosity",
            action="store_const",
            const=value,
            help=description,
            **options,
        )
