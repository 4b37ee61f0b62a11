"""What ``devdiff verify`` came to: a package, signed statements, or both, item by item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from devdiff.attestation.check import Attested
from devdiff.gate.requirements import Requirements
from devdiff.package import rules
from devdiff.package.check import PackageCheck
from devdiff.report.rules import Rule
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devdiff.package.lint import Topic
    from devdiff.package.models import PackagedModel

Group = Literal["models", "statements", "package"]
GROUPS: Final[tuple[Group, ...]] = ("models", "statements", "package")
_RULES: Final[Mapping[Topic, Rule]] = {
    "evidence": rules.EVIDENCE_REFUSED,
    "allowed": rules.ALLOWED,
    "skipped": rules.SKIPPED,
    "unread": rules.UNREAD,
    "runtime": rules.RUNTIME,
    "pages": rules.PAGES,
    "storage": rules.STORAGE,
    "device": rules.DEVICE,
}


@dataclass(frozen=True, slots=True)
class VerifiedItem:
    """One thing that was verified.

    ``name`` is its place in the package, or the statement's file. ``rule`` is None where there is
    nothing against it; where it does not ``count``, what is said of it is a warning.
    """

    group: Group
    name: str
    verdict: Verdict
    text: str
    rule: Rule | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Verification:
    """``package`` is None where statements alone were verified; ``files`` are those that were held
    against them."""

    package: PackageCheck | None
    statements: tuple[Attested, ...]
    required: Requirements
    files: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """A statement that does not say pass does not pass, whatever the package makes of it."""
        return combine(
            [
                *(statement.verdict_by(self.required) for statement in self.statements),
                *([self.package.verdict] if self.package is not None else []),
            ]
        )

    @property
    def name(self) -> str:
        """What was verified."""
        if self.package is not None:
            return self.package.name
        return ", ".join(statement.name for statement in self.statements)

    @property
    def summary(self) -> str:
        """One sentence for the first line of every format."""
        if self.package is not None and self.package.verdict is self.verdict:
            return self.package.summary
        against = [item for item in self.items() if item.counts and item.rule is not None]
        if against:
            return f"{against[0].name}: {against[0].text}"
        count = len(self.statements)
        return "the statement was signed" if count == 1 else f"all {count} statements were signed"

    def items(self) -> Iterator[VerifiedItem]:
        """All that was verified: models, statements, then what is to be said of the package."""
        package = self.package
        if package is not None:
            yield from map(_of_model, package.models)
        for statement in self.statements:
            verdict = statement.verdict_by(self.required)
            yield VerifiedItem(
                "statements",
                statement.name,
                verdict,
                statement.refusal(self.required) or statement.excerpt.summary,
                None if verdict is Verdict.PASS else rules.STATEMENT,
            )
        for remark in package.remarks if package is not None else ():
            for place in remark.places:
                yield VerifiedItem(
                    "package",
                    place,
                    Verdict.FAIL if remark.fails else Verdict.PASS,
                    remark.text,
                    _RULES[remark.topic],
                    counts=remark.fails,
                )


def _of_model(model: PackagedModel) -> VerifiedItem:
    verdict = model.verdict
    if verdict is Verdict.PASS:
        text = "ships untested, as was allowed" if model.untested else "was tested and passed"
        return VerifiedItem("models", model.place, verdict, text)
    if model.untested:
        return VerifiedItem("models", model.place, verdict, model.note, rules.UNTESTED)
    text = f"was tested, with the verdict {verdict.value}"
    return VerifiedItem("models", model.place, verdict, text, rules.NOT_PASSED)
