"""The command line's grammar: options as they are spelled, and messages of two lines."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from devdiff.system.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class CommandLineError(Exception):
    """The command line cannot be read; ``command`` is the part of it that can (``devdiff run``)."""

    def __init__(self, text: str, command: str) -> None:
        super().__init__(text)
        self.command = command


class Parser(argparse.ArgumentParser):
    """A parser that takes options in full only, and raises instead of leaving the process.

    An abbreviation would change its meaning with the next option that begins alike, and a mistyped
    ``--input`` for ``--inputs`` would be another option.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**(options | {"allow_abbrev": False}))

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


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """``words`` as ``parser`` reads them. Raises `CommandLineError`."""
    args, left = parser.parse_known_args(words)
    if left:
        chain = list(_chosen(parser, words))
        raise CommandLineError(_unknown(left[0], chain, parser), chain[-1].prog)
    return args


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
