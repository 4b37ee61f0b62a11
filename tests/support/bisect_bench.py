"""Two sides of small models for the tests, and a whole search over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devdiff.bisection import subject
from devdiff.bisection.divergence import find
from devdiff.bisection.isolate import SUSPECTS, Isolated
from devdiff.bisection.search import SplitPoint
from devdiff.bisection.side_by_side import Bench, BenchSide
from devdiff.comparison import DeploymentExpectation
from devdiff.exporter.manifest import bind
from devdiff.exporter.tflite_cut import WholeModel
from devdiff.exporter.tflite_file import inspect
from devdiff.inputs import input_set as data
from devdiff.progress import SilentEvents
from devdiff.report.model.bisect import PartComparison
from tests.support.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.device_runner.runner import Runner

EXACT = DeploymentExpectation(0)


def side(path: Path, runner: Runner | None = None) -> BenchSide:
    record = inspect(path)
    artifact = bind(record, path.parent)
    precision = record.recipe.precision
    return BenchSide(path.name, artifact, precision, WholeModel(path), runner or InProcess())


def bench(
    folder: Path,
    reference: BenchSide,
    candidate: BenchSide,
    limits: DeploymentExpectation = EXACT,
    samples: int = 3,
) -> Bench:
    bindings = reference.artifact.inputs
    specs = tuple(binding.source for binding in bindings)
    made = data.prepare(data.SYNTHETIC, specs, {}, folder / "inputs", calibrate=False)
    few = subject.chosen(made, range(samples))
    place = folder / "cuts"
    place.mkdir(exist_ok=True)
    return Bench(reference, candidate, few, limits, place, 60.0, SilentEvents())


@dataclass(frozen=True)
class Searched:
    """A `Finding` of two sides that differ."""

    whole: PartComparison
    cuts: Mapping[tuple[int, ...], PartComparison]
    found: SplitPoint
    isolated: Isolated


def searched(on: Bench, suspects: int = SUSPECTS) -> Searched:
    finding = find(on, suspects)
    assert finding.found is not None
    assert finding.isolated is not None
    return Searched(finding.whole, finding.cuts, finding.found, finding.isolated)
