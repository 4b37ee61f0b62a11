"""Classes of a report by number and name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devdiff.report.model import Report


class ClassWords:
    """Calls classes by their names, where the report knows them."""

    def __init__(self, report: Report) -> None:
        known = report.classes
        self._names = known.names if known is not None else ()
        self._sizes: dict[str, int] = {}
        self._named: set[str] = set()
        for pair in report.pairs:
            for answers in pair.classifications:
                self._sizes[answers.output] = answers.classes
                if answers.accuracy is not None:
                    self._named.add(answers.output)
        if report.scan is not None and report.scan.output and report.scan.classes:
            self._sizes[report.scan.output] = report.scan.classes

    def name(self, index: Any, output: str | None = None) -> str:
        """The name of a class alone; empty where there is none.

        Names are those of ``output`` if it has as many classes, or the labels are of it.
        """
        if not isinstance(index, int) or not 0 <= index < len(self._names):
            return ""
        if output is None:
            fits = not self._sizes or bool(self._named) or len(self._names) in self._sizes.values()
        else:
            size = self._sizes.get(output, len(self._names))
            fits = output in self._named or size == len(self._names)
        return self._names[index] if fits else ""

    def __call__(self, index: Any, output: str | None = None) -> str:
        """``7 cat``; the number alone where the class has no name, or is called by it."""
        name = self.name(index, output)
        return f"{index} {name}" if name and name != str(index) else str(index)

    def symbols(self, classes: tuple[int, ...]) -> str | None:
        """A sequence of classes as the text that their names make; None where one has none."""
        if not all(0 <= index < len(self._names) for index in classes):
            return None
        return "".join(self._names[index] for index in classes)
