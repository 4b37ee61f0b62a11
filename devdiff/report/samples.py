"""A run as CSV, one row a sample. ``report.json`` holds no single samples, so this reads the run.

Rows are written as the results are read, so that memory does not grow with them.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.classify import answers
from devdiff.comparison.rungs import RungOutputs, RungReader, aligned, common_count
from devdiff.comparison.samples import largest_errors
from devdiff.device_runner.errors import PackError
from devdiff.errors import ComparisonError, RunDirectoryError, UsageError
from devdiff.exporter.artifact import Array, Binding, sha256_file
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import binding_from_json
from devdiff.inputs import input_set as data
from devdiff.ladder.ladder import file_name
from devdiff.ladder.run_directory import read_json
from devdiff.report.cases import ALL_OUTPUTS, cases
from devdiff.report.words import one_line
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from devdiff.device_runner.results import Block
    from devdiff.inputs.input_set import InputSet
    from devdiff.report.model import Report, RungRecord

# What a spreadsheet takes for a formula, in either width.
_FORMULAS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NOT_RUN: Final = "not run"

Column = list[str]


def check(folder: Path | None) -> None:
    """Raises `UsageError` without a run directory."""
    if folder is None:
        raise UsageError(
            "a CSV needs the run directory, since report.json does not hold single samples: name "
            "the directory, or the report.json in it"
        )


def write(report: Report, folder: Path | None, path: Path) -> None:
    """Write the samples of a valid report's run in ``folder`` to ``path``, whole or not at all.

    Raises `UsageError` without a run directory, `RunDirectoryError` when what lies there is not
    the report's.
    """
    check(folder)
    assert folder is not None
    samples = _inputs(folder, report)
    rungs = {rung.name: _reader(folder, rung) for rung in report.rungs if rung.error is None}
    table = _Table(report, rungs)
    with whole_file(path, newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sample", "row", "name", "label", *map(cell, table.head)])
        try:
            for start, columns in table.blocks(len(samples)):
                for place, cells in enumerate(zip(*columns, strict=True)):
                    writer.writerow([*_known(samples, start + place), *cells])
        except (PackError, ComparisonError) as error:
            raise RunDirectoryError(f"{error}; run the test again") from error


def cell(text: Any) -> str:
    """Text from outside as a cell that no spreadsheet takes for a formula."""
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULAS) else line


@dataclass(frozen=True, slots=True)
class _OutputStep:
    """An output of a step; ``classes`` when its highest element is an answer."""

    reference: str
    candidate: str
    output: str
    classes: bool


class _Table:
    """The columns behind those that tell which sample a row is."""

    def __init__(self, report: Report, rungs: Mapping[str, RungReader]) -> None:
        self._names = [rung.name for rung in report.rungs]
        self._rungs = rungs
        scored = dict.fromkeys(
            answers.output for pair in report.pairs for answers in pair.classifications
        )
        self._scored = list(scored)
        self._steps = [
            _OutputStep(case.reference, case.candidate, case.output, case.output in scored)
            for case in cases(report)
            if case.output != ALL_OUTPUTS
        ]

    @property
    def head(self) -> list[str]:
        names = []
        for rung in self._names:
            names += [f"{rung} status", f"{rung} ms"]
            names += [f"{rung} {output} top_1" for output in self._scored]
        for step in self._steps:
            pair = f"{step.reference} -> {step.candidate} {step.output}"
            names += [f"{pair} max_abs_error", f"{pair} max_lsb"]
            names += [f"{pair} flipped"] if step.classes else []
        return names

    def blocks(self, samples: int) -> Iterator[tuple[int, list[Column]]]:
        """The first sample of each block, and the columns of its samples."""
        readers = list(self._rungs.values())
        if not readers:
            for sample in range(samples):
                yield sample, self._columns(1, {})
            return
        if common_count(*readers) != samples:
            raise RunDirectoryError(
                f"there are results of {common_count(*readers)} samples, and inputs of {samples}"
            )
        for start, count, blocks in aligned(*readers):
            yield start, self._columns(count, dict(zip(self._rungs, blocks, strict=True)))

    def _columns(self, count: int, blocks: Mapping[str, Block]) -> list[Column]:
        missing = [""] * count
        columns: list[Column] = []
        tops: dict[tuple[str, str], Array] = {}
        for rung in self._names:
            block = blocks.get(rung)
            status = _NOT_RUN if block is None else block.status.name.lower()
            columns.append([status] * count)
            columns.append(missing if block is None else _numbers(block.nanoseconds / 1e6))
            for output in self._scored:
                values = self._values(rung, output, block)
                if values is None:
                    columns.append(missing)
                    continue
                tops[rung, output] = _top(values)
                columns.append(["" if top < 0 else str(top) for top in tops[rung, output].tolist()])
        for step in self._steps:
            columns += self._of_step(step, blocks, tops, missing)
        return columns

    def _of_step(
        self,
        step: _OutputStep,
        blocks: Mapping[str, Block],
        tops: Mapping[tuple[str, str], Array],
        missing: Column,
    ) -> Iterator[Column]:
        sides = [
            (self._binding(rung, step.output), self._values(rung, step.output, blocks.get(rung)))
            for rung in (step.reference, step.candidate)
        ]
        (before, left), (after, right) = sides
        if before is None or after is None or left is None or right is None:
            yield from [missing] * (3 if step.classes else 2)
            return
        errors, steps = largest_errors(before, after, left, right)
        yield _numbers(errors)
        yield missing if steps is None else _numbers(steps)
        if step.classes:
            first, second = (tops[rung, step.output] for rung in (step.reference, step.candidate))
            # An answer on one side only is another answer.
            flips, none = first != second, (first < 0) & (second < 0)
            yield ["" if n else str(int(f)) for f, n in zip(flips, none, strict=True)]

    def _binding(self, rung: str, output: str) -> Binding | None:
        reader = self._rungs.get(rung)
        return None if reader is None else reader.binding(output)

    def _values(self, rung: str, output: str, block: Block | None) -> Array | None:
        """Stored values ``[count, *shape]`` in the source's layout; None of samples that failed."""
        if block is None or not block.arrays or self._binding(rung, output) is None:
            return None
        return self._rungs[rung].values(block, output)


def _top(values: Array) -> Array:
    """The class with the highest score of each sample, -1 where there is none."""
    scores = values.reshape(len(values), -1)
    if not scores.shape[1]:
        return np.full(len(values), -1)
    best, decided = answers(scores)
    return np.where(decided, best, -1)


def _numbers(values: Array) -> Column:
    """Nine digits tell every float32 from its neighbours."""
    return ["" if math.isnan(value) else f"{value:.9g}" for value in values.tolist()]


def _known(samples: InputSet, index: int) -> list[str]:
    description = samples.describe(index)
    label = "" if description["label"] is None else str(description["label"])
    return [str(index), str(description["row"]), cell(description["name"] or ""), label]


def _inputs(folder: Path, report: Report) -> InputSet:
    """The run's inputs. Raises `RunDirectoryError` when they are not the report's."""
    where = folder / "inputs"
    try:
        samples = data.load(where, ())
        rows = int(samples.tested.max(initial=-1)) + 1
        whole = samples.labels is None or len(samples.labels) == len(samples)
        if not whole or (samples.names and len(samples.names) < rows):
            raise RunDirectoryError(f"{where} was changed: run the test again")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"{where} cannot be read: {error}") from error
    if samples.sha256 != report.inputs.sha256:
        raise RunDirectoryError(f"{where} does not hold the inputs of this report")
    return samples


def _reader(folder: Path, rung: RungRecord) -> RungReader:
    """A rung's results. Raises `RunDirectoryError` when they are not those of the report."""
    pack = folder / "rungs" / f"{file_name(rung.name)}.pack"
    if pack.parent.resolve() != (folder / "rungs").resolve():
        raise RunDirectoryError(f"{rung.name!r} is no name of a rung")
    try:
        if sha256_file(pack) != rung.results_sha256:
            raise RunDirectoryError(f"{pack} is not the one of this report: run the test again")
        record = read_json(pack.with_name(f"{file_name(rung.name)}.json"))
        bindings = tuple(_bindings(record["outputs"]))
        return RungReader(RungOutputs(rung.name, pack, bindings))
    except (KeyError, TypeError, ArtifactError) as error:
        raise RunDirectoryError(
            f"{pack.with_suffix('.json')} does not tell how the outputs are laid out: it was "
            "written by an older devdiff, so run the test again"
        ) from error
    except (OSError, PackError, ComparisonError) as error:
        raise RunDirectoryError(f"{pack} cannot be read: {error}") from error


def _bindings(entries: Iterable[Mapping[str, Any]]) -> Iterator[Binding]:
    return map(binding_from_json, entries)
