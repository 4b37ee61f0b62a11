"""What lies beside a report: the inputs and every rung's outputs, for the few samples it names.

The report stands on its own; what is not there, or is not what the report names, is left out and
said. Nothing of it is trusted: paths stay inside the run directory, arrays are read without
pickles.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.results import ResultReader
from devdiff.errors import RunDirectoryError
from devdiff.inputs import retention
from devdiff.ladder.ladder import file_name
from devdiff.ladder.run_directory import read_json
from devdiff.report.html.pictures import as_image

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.report.model import Report, RungRecord

TOP: Final = 3


@dataclass(frozen=True, slots=True)
class RankedClass:
    """One of a rung's best classes for a sample, with its score in real units."""

    index: int
    score: float


Answers = Mapping[int, tuple[RankedClass, ...]]


class RunFiles:
    """The run directory of ``report``. ``problems`` tells what of it could not be used."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder = folder
        self._report = report
        self.problems: list[str] = []

    def images(self, samples: Iterable[int]) -> dict[int, Array]:
        """Tested samples as images [H, W] or [H, W, 3] in the model's values.

        Empty when the inputs are not there, are not this report's, or are no images. Of several
        inputs the first that looks like an image is taken.
        """
        inputs = self._folder / "inputs"
        try:
            record = read_json(inputs / "inputs.json")
        except (RunDirectoryError, OSError):
            self.problems.append("the inputs do not lie beside the report: no pictures")
            return {}
        if record.get("sha256") != self._report.inputs.sha256:
            self.problems.append("the inputs beside the report are not its own: no pictures")
            return {}
        rows = {sample: self._report.samples[str(sample)].row for sample in samples}
        if (inputs / retention.SHOWN).is_file():
            return self._shown(inputs, rows)
        for position in range(sum(1 for _ in inputs.glob("[0-9]*.npy"))):
            try:
                array = np.load(inputs / f"{position}.npy", mmap_mode="r", allow_pickle=False)
                found = {s: as_image(array[row]) for s, row in rows.items()}
            except (OSError, ValueError, IndexError):
                self.problems.append(f"inputs/{position}.npy cannot be read")
                continue
            images = {sample: image for sample, image in found.items() if image is not None}
            if images:
                return images
        return {}

    def _shown(self, inputs: Path, rows: Mapping[int, int]) -> dict[int, Array]:
        """As `images`, of a set that `devdiff.inputs.retention` released."""
        try:
            places, values = retention.shown_rows(inputs)
            for array in values:
                found = {
                    s: as_image(array[places[row]]) for s, row in rows.items() if row in places
                }
                images = {sample: image for sample, image in found.items() if image is not None}
                if images:
                    return images
        except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
            self.problems.append(f"inputs/{retention.SHOWN} cannot be read: no pictures")
        return {}

    def answers(self, output: str, samples: Iterable[int]) -> dict[str, Answers]:
        """For each rung the best `TOP` classes of ``output`` for ``samples``, the best first.

        Rungs whose results are not there, or were changed since, are missing.
        """
        wanted = sorted(set(samples))
        found = {}
        for rung in self._report.rungs:
            if rung.error or not wanted:
                continue
            name = f"rungs/{file_name(rung.name)}.pack"
            path = self._inside(name)
            try:
                if path is None or not _is_result(path, rung.results_sha256):
                    self.problems.append(f"{name} is not the one of this report")
                    continue
                answers = self._read(path, rung, output, wanted)
            except (OSError, PackError):
                self.problems.append(f"{name} cannot be read: its answers are missing")
                continue
            if answers is not None:
                found[rung.name] = answers
        return found

    def arrays(self, name: str) -> dict[str, Array]:
        """The arrays of an .npz inside the run directory; empty when there is no such file."""
        path = self._inside(name)
        if path is None or not path.is_file():
            return {}
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            self.problems.append(f"{name} cannot be read")
            return {}

    def _inside(self, name: str) -> Path | None:
        """The file of that name; None when the name leads out of the run directory."""
        path = (self._folder / name).resolve()
        return path if path.is_relative_to(self._folder.resolve()) else None

    def _read(self, path: Path, rung: RungRecord, output: str, wanted: list[int]) -> Answers | None:
        reader = ResultReader(path)
        place = self._place(reader, rung, output)
        if place is None:
            return None
        scale, zero_point = self._quantization(rung.name, output)
        answers: dict[int, tuple[RankedClass, ...]] = {}
        left = list(wanted)
        for block in reader.read_blocks():
            while left and left[0] < block.start + block.count:
                sample = left.pop(0)
                if block.arrays:
                    scores = block.arrays[place][sample - block.start].reshape(-1)
                    answers[sample] = _best((scores.astype(np.float64) - zero_point) * scale)
            if not left:
                break
        return answers

    def _place(self, reader: ResultReader, rung: RungRecord, output: str) -> int | None:
        """Where the pack's table has the output: by its name there, or by the only one it has."""
        names = {output}
        for record in self._report.artifacts:
            if record.sha256 == rung.model.sha256:
                for binding in record.outputs:
                    if binding.source.name == output:
                        names = {binding.artifact.name, binding.signature_name} - {""}
        for place, tensor in enumerate(reader.tensors):
            if tensor.name in names or tensor.signature_name in names:
                return place
        return 0 if len(reader.tensors) == 1 else None

    def _quantization(self, rung: str, output: str) -> tuple[float, int]:
        """Scale and zero point of a rung's output, as the comparisons found them."""
        for pair in self._report.pairs:
            for metrics in pair.outputs:
                sides = (pair.reference, metrics.reference), (pair.candidate, metrics.candidate)
                for name, stored in sides:
                    if name == rung and metrics.name == output:
                        if stored.scale is not None and stored.zero_point is not None:
                            return stored.scale, stored.zero_point
                        return 1.0, 0
        return 1.0, 0


def _best(scores: Array) -> tuple[RankedClass, ...]:
    """Of equal scores the lower class is first, as everywhere in the comparison."""
    ranked = np.argsort(-np.nan_to_num(scores, nan=-math.inf), kind="stable")[:TOP]
    return tuple(RankedClass(int(index), float(scores[index])) for index in ranked)


def _is_result(path: Path, sha256: str | None) -> bool:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
