"""What the user asks to be measured: a task, how its outputs are read, and what it may lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from devdiff.errors import UsageError
from devdiff.inputs.request import file_state
from devdiff.options import MAX_DROP
from devdiff.system.suggest import nearest

CLASSIFICATION: Final = "classification"


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A task by name with its options, as ``--task KIND:KEY=VALUE,…`` gives them.

    ``truth`` is a file or folder with the true answers; without, and without class labels, the
    source rung's own answers are taken for them. ``max_drop`` is by how much a step may make the
    first metric worse, None for what `allowed` has. ``gated``: whether that counts for the verdict;
    ``implied``: the task was not named and follows from a limit.
    """

    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    truth: Path | None = None
    max_drop: float | None = None
    gated: bool = True
    implied: bool = False

    @classmethod
    def parse(cls, text: str, truth: Path | None = None, max_drop: float | None = None) -> Self:
        """The value of ``--task``. Raises `UsageError` naming what is wrong."""
        from devdiff.tasks.kinds import KINDS

        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            near = nearest(kind, KINDS)
            meant = f", did you mean {near}?" if near else ""
            raise UsageError(
                f"--task {kind}: there is no such task{meant}; there are {', '.join(KINDS)}"
            )
        if kind == CLASSIFICATION and rest.isdigit():
            rest = f"topk={rest}"
        known = KINDS[kind].options
        options: dict[str, str] = {}
        for part in filter(None, rest.split(",")):
            key, separator, value = part.partition("=")
            if key not in known or not separator or not value:
                raise UsageError(
                    f"--task {kind}: {part!r} is no option of it; they are "
                    f"{', '.join(f'{name}=' for name in known)}"
                )
            if key in options:
                raise UsageError(f"--task {kind}: {key} is given twice")
            options[key] = value
        return cls(kind, options, truth, max_drop)

    @classmethod
    def of(cls, text: str | None, truth: Path | None, max_drop: float | None) -> Self | None:
        """What ``--task``, ``--truth`` and ``--max-drop`` ask for together. Raises `UsageError`."""
        if text is None and truth is not None:
            raise UsageError(
                "--truth needs --task: detection, segmentation, regression or sequence"
            )
        if text is None and max_drop is None:
            return None
        if text is None:
            return cls(CLASSIFICATION, {}, truth, max_drop, implied=True)
        return cls.parse(text, truth, max_drop)

    def allowed(self, own_answers: bool) -> float:
        """The drop that is allowed; ``own_answers``: the source's answers stand for the truth."""
        if self.max_drop is not None:
            return self.max_drop
        from devdiff.tasks.kinds import KINDS

        return KINDS[self.kind].own_answers_max_drop if own_answers else MAX_DROP

    def fingerprint(self) -> dict[str, Any]:
        """Names the request and the state of its files."""
        files = []
        if self.truth is not None and self.truth.exists():
            found = sorted(self.truth.rglob("*")) if self.truth.is_dir() else [self.truth]
            files = [file_state(path) for path in found]
        return {
            "kind": self.kind,
            "options": dict(self.options),
            "truth": files,
            "max_drop": self.max_drop,
            "gated": self.gated,
            "implied": self.implied,
        }

    def number(self, key: str, usual: float) -> float:
        """A numeric option. Raises `UsageError`."""
        try:
            return float(self.options.get(key, usual))
        except ValueError:
            raise UsageError(
                f"--task {self.kind}: {key}={self.options[key]} is not a number"
            ) from None

    def choice(self, key: str, *choices: str) -> str:
        """One of ``choices``, the first where it is left out. Raises `UsageError`."""
        value = self.options.get(key, choices[0])
        if value not in choices:
            raise UsageError(f"--task {self.kind}: {key}={value} is none of {', '.join(choices)}")
        return value
