"""A verification as one page for people."""

from __future__ import annotations

import importlib.metadata
import shlex
from typing import TYPE_CHECKING

from devdiff.report.html import document
from devdiff.report.words import size
from devdiff.system.atomic_file import whole_file
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.package.verification import Verification


def write(found: Verification, command: Sequence[str], path: Path) -> None:
    """Write the page of a verification to ``path``, whole or not at all."""
    text = render(found, command)
    with whole_file(path) as stream:
        stream.write(text)


def render(found: Verification, command: Sequence[str]) -> str:
    """The page as text."""
    items = list(found.items())
    models = [item.verdict for item in items if item.group == "models"]
    ranked = sorted(Verdict, key=lambda verdict: -verdict.severity)
    return document.render(
        "verify.html.j2",
        {"size": size},
        found=found,
        package=found.package,
        items=items,
        tallies=[(verdict, models.count(verdict)) for verdict in ranked if verdict in models],
        against=[item for item in items if item.group != "package" and item.rule is not None],
        remarks=[item for item in items if item.group == "package"],
        libraries=[
            library
            for library in (found.package.libraries if found.package is not None else ())
            if library.role is not None
        ],
        statements=[
            (statement, statement.verdict_by(found.required), statement.refusal(found.required))
            for statement in found.statements
        ],
        version=importlib.metadata.version("devdiff"),
        command=shlex.join(["devdiff", *command]),
    )
