"""A verification as JUnit XML: a case for each model, each statement, and each remark.

What is only a warning is skipped; the file is red when, and only when, the verdict is not ``pass``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from devdiff.package.verification import GROUPS, Verification, VerifiedItem
from devdiff.report.words import one_line
from devdiff.system.atomic_file import whole_file
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

_NAME_CHARS: Final = 200


def write(found: Verification, path: Path) -> None:
    """Write a verification as JUnit XML to ``path``, whole or not at all."""
    text = render(found)
    with whole_file(path) as stream:
        stream.write(text)


def render(found: Verification) -> str:
    """The XML document."""
    document = JUnitXml()
    items = list(found.items())
    for group in GROUPS:
        own = [item for item in items if item.group == group]
        if not own:
            continue
        suite = TestSuite(group)
        suite.add_property("package", one_line(found.name))
        if found.package is not None:
            suite.add_property("package.sha256", found.package.sha256)
        suite.add_property("verdict", found.verdict.value)
        for item in own:
            suite.add_testcase(_case(item, found.name))
        document.append(suite)  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    return buffer.getvalue().decode()


def _case(item: VerifiedItem, package: str) -> TestCase:
    # Readers take what stands before the last dot for a package.
    where = ".".join((one_line(package).replace(".", "_"), item.group))
    name = one_line(item.name, _NAME_CHARS)
    if item.rule is not None and item.group == "package":
        name = f"{name}: {item.rule.short}"
    case = TestCase(name, where, 0.0)
    text = one_line(item.text)
    if item.rule is None:
        return case
    if not item.counts:
        outcome: Skipped | Error | Failure = Skipped(text, "does not count")
    elif item.verdict is Verdict.ERROR:
        outcome = Error(text, item.verdict.value)
    else:
        outcome = Failure(text, item.verdict.value)
    outcome.text = text
    case.result = outcome
    return case
