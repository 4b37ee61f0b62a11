"""The command line's grammar: options as they are spelled, and messages of two lines."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from devdiff.system.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WIDTH: Final = 100
MODEL_SUFFIXES: Final = (".onnx", ".pt2", ".pt", ".keras", ".h5", ".tflite")
_INDENT: Final = 30


class CommandLineError(Exception):
    """The command line cannot be read; ``command`` is the part of it that can (``devdiff run``)."""

    def __init__(self, text: str, command: str) -> None:
        super().__init__(text)
        self.command = command


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, and not wider than people read."""

    def __init__(self, prog: str) -> None:
        columns = WIDTH
        if sys.stdout is not None and sys.stdout.isatty():
            columns = min(WIDTH, shutil.get_terminal_size().columns)
        super().__init__(prog, max_help_position=_INDENT, width=columns)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """A description of one line is wrapped; what has lines of its own keeps them."""
        if "\n" in text.strip():
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser that takes options in full only, and raises instead of leaving the process.

    An abbreviation would change its meaning with the next option that begins alike, and a mistyped
    ``--input`` for ``--inputs`` would be another option.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"formatter_class": HelpFormatter} | options | {"allow_abbrev": False}))
        self._titled: dict[str, argparse._ArgumentGroup] = {}

    def group(self, title: str, description: str | None = None) -> argparse._ArgumentGroup:
        """The group of this title, made where it is asked for first."""
        if title not in self._titled:
            self._titled[title] = self.add_argument_group(title, description)
        return self._titled[title]

    def titles(self) -> list[str]:
        """The titles of its groups, in the order of its help."""
        return list(self._titled)

    def format_help(self) -> str:
        """Help whose first line shows what must be given: the options have their groups."""
        before, self.usage = self.usage, self.usage or self._usage()
        try:
            return super().format_help()
        finally:
            self.usage = before

    def _usage(self) -> str:
        required = [_shown(action) for action in self._get_optional_actions() if action.required]
        required += [
            f"({' | '.join(map(_shown, group._group_actions))})"
            for group in self._mutually_exclusive_groups
            if group.required
        ]
        places = [_place(action) for action in self._get_positional_actions()]
        optional = ["[OPTIONS]"] if self._get_optional_actions() else []
        words = [*(place for place in places if place), *required, *optional]
        if any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            words = [*optional, *places]
        return " ".join(["%(prog)s", *words])

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(message, self.prog)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        where = f"{argparse.ArgumentError(action, '').argument_name}: there is no choice"
        if isinstance(action, argparse._SubParsersAction):
            where = "there is no command"
        meant = did_you_mean(str(value), choices) or f"; there are {', '.join(choices)}"
        if action.dest == "verb" and _is_file(str(value)):
            meant = f": it is a file; to test a model, devdiff export-and-test {value}"
        raise CommandLineError(f"{where} {value!r}{meant}", self.prog)

    def options(self) -> list[str]:
        """The long options that it takes itself, without those of its subcommands."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def subparsers(self) -> dict[str, Parser]:
        """The parsers of its subcommands by name."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def leaves(self) -> Iterator[Parser]:
        """The parsers that take a command's own options: its subcommands', or itself."""
        below = self.subparsers()
        for parser in below.values():
            yield from parser.leaves()
        if not below:
            yield self


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """``words`` as ``parser`` reads them. Raises `CommandLineError`."""
    args, left = parser.parse_known_args(words)
    if left:
        chain = list(_chosen(parser, words))
        raise CommandLineError(_unknown(left[0], chain, parser), chain[-1].prog)
    return args


def verb_of(parser: Parser, words: Sequence[str]) -> int | None:
    """The place of the command among the words, None where there is none."""
    known = parser.subparsers()
    return next((place for place, word in enumerate(words) if word in known), None)


def _shown(action: argparse.Action) -> str:
    """An option that takes a value, as the usage shows it."""
    return f"{action.option_strings[-1]} {action.metavar or action.dest.upper()}"


def _place(action: argparse.Action) -> str:
    """A positional argument as the usage shows it."""
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices and not action.metavar:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    return {"?": f"[{name}]", "*": f"[{name} …]", "+": f"{name} [{name} …]"}.get(
        str(action.nargs), name
    )


def _is_file(word: str) -> bool:
    """Whether a word in the place of a command is a file, or looks like a model."""
    return Path(word).exists() or Path(word).suffix in MODEL_SUFFIXES


def _chosen(parser: Parser, words: Iterable[str]) -> Iterator[Parser]:
    """The parser and the subcommand that ``words`` name, and that one's."""
    yield parser
    subparsers = parser.subparsers()
    for word in words:
        if word in subparsers:
            parser = subparsers[word]
            subparsers = parser.subparsers()
            yield parser


def _unknown(word: str, chain: Sequence[Parser], top: Parser) -> str:
    name = word.partition("=")[0]
    if not name.startswith("-"):
        return f"{word!r} is one argument too many"
    own = [option for parser in chain for option in parser.options()]
    text = f"there is no option {name}"
    others = [verb for verb, parser in top.subparsers().items() if name in parser.options()]
    if others:
        return f"{text} here: it is one of devdiff {', '.join(others)}"
    # The dashes that all have in common would bring any two of them near.
    meant = nearest(name.lstrip("-"), [option.lstrip("-") for option in own])
    return f"{text}; did you mean --{meant}?" if meant else text
