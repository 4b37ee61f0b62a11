"""What a scan is given: the rungs it holds together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devdiff.inputs.input_set import InputSet
from devdiff.ladder.ladder import Rung, RungResult


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
