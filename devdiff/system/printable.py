"""Text that came from files, made safe to show.

Names of tensors, operators, classes and files are chosen by whoever made the model or the data.
Shown raw they could move a terminal's cursor, set its title, turn reading direction around, or
begin a line that a CI system takes for a command.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORT: Final[Mapping[str, str]] = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Control, format (bidirectional, zero width, tags), half a surrogate pair, line and paragraph ends.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# GitHub runs `::name …::` where a line begins with it, and `##[name]` anywhere.
_COMMAND: Final = re.compile(r"^(\s*):(?=:)|##(?=\[)", re.MULTILINE)


def printable(text: str) -> str:
    """``text`` on one line, with every character that is not plainly visible as an escape.

    The escapes are those of JSON and Python (``\\n``, ``\\u202e``), so that a name can be found
    again in ``report.json``.
    """
    return _escaped(text, keep="")


def printable_lines(text: str) -> str:
    """As `printable`, for text of several lines: those and tabs stay."""
    return _escaped(text, keep="\n\t")


def shortened(text: str, limit: int = 200) -> str:
    """The first line of a message of somebody else's, short enough to be a part of one of ours."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}…"


def without_commands(text: str) -> str:
    """``text`` with a space in whatever a CI system would take for a command in its log.

    A JSON document, which is one by its first character, says the same as before: in its strings an
    escape does it.
    """
    if text.startswith(("{", "[")):
        return text.replace("##[", "##\\u005b")
    if "::" not in text and "##[" not in text:
        return text
    return _COMMAND.sub(lambda found: "## " if found[0] == "##" else f"{found[1]}: ", text)


def _escaped(text: str, keep: str) -> str:
    # Of what is not `isprintable`, only some is unsafe; nearly all text ends here.
    if text.isprintable():
        return text
    return "".join(
        _escape(letter)
        if letter not in keep and unicodedata.category(letter) in _UNSAFE
        else letter
        for letter in text
    )


def _escape(letter: str) -> str:
    if letter in _SHORT:
        return _SHORT[letter]
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
