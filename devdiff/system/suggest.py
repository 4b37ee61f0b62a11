"""What somebody who mistyped a name most likely meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` comes nearest to, None where none comes near.

    One that begins with ``word`` counts as near, the shortest first.
    """
    names = list(known)
    begun = sorted((name for name in names if word and name.startswith(word)), key=len)
    close = difflib.get_close_matches(word, names, 1)
    return next(iter([*begun, *close]), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?``, or nothing, to end a message with."""
    found = nearest(word, known)
    return f"; did you mean {found}?" if found is not None else ""
