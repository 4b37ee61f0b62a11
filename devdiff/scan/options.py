"""What a scan is given: how much it may look at, and the rungs it holds together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from devdiff.inputs.input_set import InputSet
from devdiff.ladder.ladder import Rung, RungResult


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How much a scan may look at: samples, seconds, placebos.

    ``input`` is the one that is changed, the others stay as each sample has them; None takes the
    only float one. ``output`` None chooses one. ``output_kind`` None takes declared scores, and
    any output [1, C >= 2], for class scores.
    """

    images: int = 100
    budget_s: float = 840.0
    placebos: int = 2
    seed: int = 0
    input: str | None = None
    output: str | None = None
    output_kind: Literal["classes", "values"] | None = None


@dataclass(frozen=True, slots=True)
class ScanSubject:
    """What is scanned: the rungs of one run, and what they made of its input set.

    ``full`` runs the float32 artifact of the unpruned model on the host, ``compressed`` the shipped
    one on the host, ``device`` the same file on the device, if there is one.
    """

    full: Rung
    compressed: Rung
    device: Rung | None
    results: Mapping[str, RungResult]
    samples: InputSet
    classifiers: tuple[str, ...]

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in (self.full, self.compressed, self.device) if rung)
