"""Two sides of small models for the tests, and a whole search over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devdiff.bisect import given
from devdiff.bisect.bench import Bench, Seen, Side
from devdiff.bisect.finding import find
from devdiff.bisect.isolate import SUSPECTS, Isolated
from devdiff.bisect.search import Found
from devdiff.compare import Deployment
from devdiff.data import inputs as data
from devdiff.events import Silent
from device_runner.runner import Runner
from exporter.manifest import bind
from exporter.tflite_cut import Whole
from exporter.tflite_file import inspect
from tests.support.in_process import InProcess

EXACT = Deployment(0)


def side(path: Path, runner: Runner | None = None) -> Side:
    record = inspect(path)
    artifact = bind(record, path.parent)
    precision = record.recipe.precision
    return Side(path.name, artifact, precision, Whole(path), runner or InProcess())


def bench(
    folder: Path, reference: Side, candidate: Side, limits: Deployment = EXACT, samples: int = 3
) -> Bench:
    bindings = reference.artifact.inputs
    specs = tuple(binding.source for binding in bindings)
    made = data.prepare(data.SYNTHETIC, specs, {}, folder / "inputs", calibrate=False)
    few = given.chosen(made, range(samples))
    place = folder / "cuts"
    place.mkdir(exist_ok=True)
    return Bench(reference, candidate, few, limits, place, 60.0, Silent())


@dataclass(frozen=True)
class Searched:
    """A `Finding` of two sides that differ."""

    whole: Seen
    cuts: Mapping[tuple[int, ...], Seen]
    found: Found
    isolated: Isolated


def searched(on: Bench, suspects: int = SUSPECTS) -> Searched:
    finding = find(on, suspects)
    assert finding.found is not None
    assert finding.isolated is not None
    return Searched(finding.whole, finding.cuts, finding.found, finding.isolated)
