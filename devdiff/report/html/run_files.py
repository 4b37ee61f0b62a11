"""What lies beside a report: the inputs and every rung's outputs, for the few samples it names.

The report stands on its own; what is not there, or is not what the report names, is left out and
said. Nothing of it is trusted: paths stay inside the run directory, arrays are read without
pickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from devdiff.comparison.rungs import RungOutputs, RungReader
from devdiff.device_runner.errors import PackError
from devdiff.errors import ComparisonError, RunDirectoryError
from devdiff.exporter.artifact import TensorSpec
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import binding_from_json
from devdiff.inputs import input_set, retention
from devdiff.ladder.ladder import file_name
from devdiff.ladder.run_directory import read_json
from devdiff.report.html.pictures import as_image
from devdiff.report.html.sounds import as_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.inputs.input_set import InputSet
    from devdiff.report.model import Report, RungRecord

Answer = TypeVar("Answer")


class RunFiles:
    """The run directory of ``report``. ``problems`` tells what of it could not be used."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._readers: dict[str, RungReader | None] = {}
        self.problems: list[str] = []

    def images(self, samples: Iterable[int]) -> dict[int, Array]:
        """Tested samples as images [H, W] or [H, W, 3] in the model's values.

        Empty when the inputs are not there, are not this report's, or are no images. Of several
        inputs the first that looks like an image is taken.
        """
        return self._inputs(samples, as_image)

    def signals(self, samples: Iterable[int]) -> dict[int, Array]:
        """Tested samples as waveforms [n], in the same manner."""
        return self._inputs(samples, as_signal)

    def samples(self) -> InputSet | None:
        """The run's samples without their tensors; None where they are not this report's."""
        if not self._are_own():
            return None
        try:
            return input_set.load(self._folder / "inputs", ())
        except (OSError, ValueError, KeyError, TypeError):
            self._problem("the inputs beside the report cannot be read")
            return None

    def input_specs(self) -> tuple[TensorSpec, ...]:
        """Shapes and dtypes of the model's inputs, whose names nothing here tells."""
        return tuple(
            TensorSpec(str(position), tuple(shape[1:]), dtype)
            for position, (shape, dtype) in enumerate(
                (array.shape, str(array.dtype)) for _, array in self._arrays()
            )
        )

    def output_specs(self) -> tuple[TensorSpec, ...]:
        """The outputs as the source has them."""
        for rung in self._report.rungs:
            reader = self._reader(rung)
            if reader is not None:
                return tuple(binding.source for binding in reader.bindings)
        return ()

    def answers(
        self,
        outputs: Collection[str],
        samples: Iterable[int],
        read: Callable[[Mapping[str, Array]], Answer],
    ) -> dict[str, dict[int, Answer]]:
        """For each rung what ``read`` makes of the named ``outputs`` of ``samples``, which are in
        real units and the source's layout.

        Rungs whose results are not there, or were changed since, are missing; so are samples that
        failed, or of which ``read`` raises `ComparisonError`.
        """
        wanted = sorted(set(samples))
        found = {}
        for rung in self._report.rungs:
            reader = self._reader(rung) if wanted else None
            if reader is None or any(reader.binding(name) is None for name in outputs):
                continue
            try:
                found[rung.name] = dict(_answers(reader, outputs, wanted, read))
            except (OSError, PackError):
                name = f"rungs/{file_name(rung.name)}.pack"
                self._problem(f"{name} cannot be read: its answers are missing")
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
            self._problem(f"{name} cannot be read")
            return {}

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    def _inside(self, name: str) -> Path | None:
        """The file of that name; None when the name leads out of the run directory."""
        path = (self._folder / name).resolve()
        return path if path.is_relative_to(self._folder.resolve()) else None

    def _are_own(self) -> bool:
        """Whether the inputs that lie there are the report's."""
        try:
            record = read_json(self._folder / "inputs" / retention.RECORD)
        except (RunDirectoryError, OSError):
            self._problem("the inputs do not lie beside the report: no pictures")
            return False
        if record.get("sha256") != self._report.inputs.sha256:
            self._problem("the inputs beside the report are not its own: no pictures")
            return False
        return True

    def _inputs(
        self, samples: Iterable[int], shown: Callable[[Array], Array | None]
    ) -> dict[int, Array]:
        """What ``shown`` makes of the samples, of the first input of which it makes anything."""
        rows = {sample: self._report.samples[str(sample)].row for sample in samples}
        for places, array in self._arrays():
            try:
                found = {
                    sample: shown(array[row if places is None else places[row]])
                    for sample, row in rows.items()
                    if places is None or row in places
                }
            except (OSError, ValueError, IndexError):
                self._problem("the inputs beside the report cannot be read")
                continue
            made = {sample: value for sample, value in found.items() if value is not None}
            if made:
                return made
        return {}

    def _arrays(self) -> Iterator[tuple[Mapping[int, int] | None, Array]]:
        """The values of each input [rows, *shape], and where in them a row stands; None where all
        rows are there."""
        if not self._are_own():
            return
        inputs = self._folder / "inputs"
        if (inputs / retention.SHOWN).is_file():
            try:
                places, values = retention.shown_rows(inputs)
            except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
                self._problem(f"inputs/{retention.SHOWN} cannot be read: no pictures")
                return
            for array in values:
                yield places, array
            return
        for position in range(sum(1 for _ in inputs.glob("[0-9]*.npy"))):
            try:
                yield None, np.load(inputs / f"{position}.npy", mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError):
                self._problem(f"inputs/{position}.npy cannot be read")

    def _reader(self, rung: RungRecord) -> RungReader | None:
        """A rung's results; None where they are not the report's."""
        if rung.name not in self._readers:
            self._readers[rung.name] = None if rung.error else self._opened(rung)
        return self._readers[rung.name]

    def _opened(self, rung: RungRecord) -> RungReader | None:
        name = f"rungs/{file_name(rung.name)}.pack"
        path = self._inside(name)
        try:
            if path is None or not _is_result(path, rung.results_sha256):
                self._problem(f"{name} is not the one of this report")
                return None
            record = read_json(path.with_suffix(".json"))
            bindings = tuple(map(binding_from_json, record["outputs"]))
            return RungReader(RungOutputs(rung.name, path, bindings))
        except (
            OSError,
            PackError,
            ComparisonError,
            RunDirectoryError,
            ArtifactError,
            KeyError,
            TypeError,
        ):
            self._problem(f"{name} cannot be read: its answers are missing")
            return None


def _answers(
    rung: RungReader,
    names: Collection[str],
    wanted: list[int],
    read: Callable[[Mapping[str, Array]], Answer],
) -> Iterator[tuple[int, Answer]]:
    left = iter(wanted)
    sample = next(left, None)
    for block in rung.reader.read_blocks():
        while sample is not None and sample < block.start + block.count:
            if block.arrays:
                part = block.part(sample, 1)
                with contextlib.suppress(ComparisonError):
                    yield sample, read({name: rung.real(part, name)[0] for name in names})
            sample = next(left, None)
        if sample is None:
            return


def _is_result(path: Path, sha256: str | None) -> bool:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
