"""Options by their former names, which work for one release, with a note of the new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Renamed:
    """``old`` is what ``new`` was called in ``verbs``; ``new`` is asked with the option's value."""

    verbs: tuple[str, ...]
    old: str
    new: Callable[[str], str]


def _always(new: str) -> Callable[[str], str]:
    return lambda value: new


def _place(value: str) -> str:
    return "--device" if value == "local" else "--host-runtime"


RENAMED: Final = (
    Renamed(("export-and-test", "scan", "bisect"), "--run-dir", _always("--out")),
    Renamed(("check",), "--check-dir", _always("--out")),
    Renamed(("export-and-test", "scan"), "--images", _always("--samples")),
    Renamed(("run",), "--on", _place),
)


def by_new_names(verb: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words behind a verb with every option by its present name, and a note for each that
    was not. What stands behind ``--`` is no option."""
    table = {renamed.old: renamed.new for renamed in RENAMED if verb in renamed.verbs}
    found: list[str] = []
    notes: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*found, *words[place:]], notes
        old, equals, value = word.partition("=")
        if old not in table:
            found.append(word)
            continue
        following = words[place + 1] if place + 1 < len(words) else ""
        new = table[old](value if equals else following)
        found.append(f"{new}{equals}{value}")
        notes.append(f"{old} is called {new} now; the old name goes with the next release")
    return found, list(dict.fromkeys(notes))
