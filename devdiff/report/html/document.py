"""What all pages have in common: templates that escape, one style sheet, one script, a policy.

A page is a template that extends ``document.html.j2``. Nothing that comes from outside reaches a
style, a script or a plot; the policy allows what is hashed here and nothing else.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import importlib.resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from devdiff.report import words
from devdiff.system.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import jinja2


def render(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """A page over runs as text, from a template that may use ``filters`` of its own."""
    style, script = Markup("\n").join([part("page.css"), part("runs.css")]), part("page.js")
    made = environment()
    made.filters |= filters
    return made.get_template(template).render(
        style=style, script=script, policy=policy(style, script), **values
    )


def environment() -> jinja2.Environment:
    """The templates, with the filters that every page has."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("devdiff.report.html"),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    common: dict[str, Callable[..., Any]] = {
        "number": words.number,
        "percent": words.percent,
        "proportion": words.proportion,
        "mark": words.mark,
        "tone": words.tone,
        "when": when,
    }
    made.filters |= common
    return made


def when(finished: str) -> str:
    """A time in ISO form as people write it, in UTC; what is none as it is."""
    try:
        moment = datetime.datetime.fromisoformat(finished)
    except ValueError:
        return finished
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def part(name: str) -> Markup:
    """A static part of the page, which no value of a report reaches."""
    folder = importlib.resources.files("devdiff.report.html") / "templates"
    return Markup((folder / name).read_text(encoding="utf-8"))  # noqa: S704


def policy(style: str, script: str) -> str:
    """What a page may do: its own style sheet and script by their hashes, and images within."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _shown(value: Any) -> Any:
    """A value as the page shows it; names from outside neither hide nor turn anything around."""
    return printable_lines(value) if type(value) is str else value


def _hash(text: str) -> str:
    """What the page's policy names the only style sheet and the only script by."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
