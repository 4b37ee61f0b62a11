"""Outputs that an earlier run left, with what is known of the inputs behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.errors import NotTestedError, UsageError
from devdiff.exporter.artifact import TensorSpec, sha256_file
from devdiff.exporter.manifest import binding_from_json
from devdiff.inputs import input_set
from devdiff.inputs.input_set import InputSet
from devdiff.ladder import ladder
from devdiff.ladder.ladder import RungResult
from devdiff.ladder.run_directory import RUN_NAME, read_json
from devdiff.report import load
from devdiff.system.suggest import did_you_mean

SCHEMA_VERSION: Final = 2
OUTPUTS: Final = "outputs"
INPUTS: Final = "inputs"


@dataclass(frozen=True, slots=True)
class KeptRun:
    """One rung's result, by the name it was asked for with.

    ``samples`` are the inputs without their values, unless a test kept those; ``inputs`` says of
    which shape they were. ``classifiers`` are the outputs that a test took for class scores;
    ``produced_by`` maps artifact tensors to operators.
    """

    result: RungResult
    inputs: tuple[TensorSpec, ...]
    samples: InputSet
    classifiers: tuple[str, ...] = ()
    produced_by: Mapping[str, str] | None = None


def read(place: str) -> KeptRun:
    """What ``DIR`` or ``DIR:RUNG`` keeps, its outputs' bytes checked.

    ``DIR`` is a folder that `devdiff.ladder.single_run.run_model` wrote, or the directory of a
    test, whose last rung is taken unless another is named. Raises `UsageError` when it is neither,
    `NotTestedError` when the rung could not run.
    """
    folder, rung = Path(place), ""
    if not folder.exists():
        head, _, rung = place.rpartition(":")
        folder = Path(head) if head else folder
    if not (folder / RUN_NAME).is_file():
        raise UsageError(
            f"{folder} holds no run: make one with devdiff run … --out {folder}, or devdiff "
            f"export-and-test … --out {folder}"
        )
    record = read_json(folder / RUN_NAME)
    try:
        if "request" in record:
            return _of_test(folder, rung)
        if rung:
            raise UsageError(f"{folder} is one run and has no rung {rung}: name it alone")
        return _of_run(folder, record)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder / RUN_NAME} is not a run's record: {error!r}") from error


def _of_run(folder: Path, record: Mapping[str, Any]) -> KeptRun:
    if record.get("schema_version") != SCHEMA_VERSION:
        raise UsageError(f"{folder} was written by another version of devdiff: run it again")
    outputs = tuple(binding_from_json(binding) for binding in record["outputs"])
    result = RungResult.from_json(record["rung"], outputs, folder / f"{OUTPUTS}.pack")
    inputs = tuple(
        TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in record["specs"]
    )
    samples = input_set.load(folder / INPUTS, ())
    if not record["inputs"]["labelled"]:
        samples = replace(samples, labels=None)
    kept = KeptRun(result, inputs, samples, produced_by=record["produced_by"])
    return _checked(kept, folder.name)


def _of_test(folder: Path, rung: str) -> KeptRun:
    report = load.load(load.locate(folder))
    names = [entry.name for entry in report.rungs]
    name = rung or [candidate for candidate in names if ladder.on_the_way(candidate)][-1]
    if name not in names:
        raise UsageError(
            f"{folder} has no rung {name!r}{did_you_mean(name, names)}; it has {', '.join(names)}"
        )
    entry = report.rungs[names.index(name)]
    if entry.error:
        raise NotTestedError(
            f"rung {name} of {folder} could not run: {entry.error}; name another, as "
            f"{folder}:{names[0]}"
        )
    file = folder / "rungs" / ladder.file_name(name)
    record = read_json(file.with_name(f"{file.name}.json"))
    outputs = tuple(binding_from_json(binding) for binding in record["outputs"])
    result = RungResult.from_json(record, outputs, file.with_name(f"{file.name}.pack"))
    inputs = _specs(folder / "inputs")
    samples = input_set.load(folder / "inputs", inputs)
    if not report.inputs.labelled:
        samples = replace(samples, labels=None)
    kept = KeptRun(result, inputs, samples, tuple(report.options.classifiers or ()))
    return _checked(kept, f"{folder.name}:{name}")


def _specs(folder: Path) -> tuple[TensorSpec, ...]:
    """What the arrays of a fixed input set say of the inputs; their names are their places."""
    found: list[TensorSpec] = []
    while (path := folder / f"{len(found)}.npy").exists():
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        found.append(TensorSpec(str(len(found)), array.shape[1:], array.dtype.name))
    return tuple(found)


def _checked(kept: KeptRun, name: str) -> KeptRun:
    """The run under its name. Raises `UsageError` when its outputs are not what it recorded."""
    pack = kept.result.pack
    if not pack.is_file() or sha256_file(pack) != kept.result.results_sha256:
        raise UsageError(f"{pack} was changed after it was written")
    return replace(kept, result=replace(kept.result, name=name))
