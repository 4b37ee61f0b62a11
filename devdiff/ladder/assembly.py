"""The rungs of one test: which there are, in what order, and running them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from devdiff.exporter.recipe import FLOAT32
from devdiff.ladder import details, ladder, subject
from devdiff.scanner.options import ScanSubject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.device_runner.host.host_runner import HostRunner
    from devdiff.device_runner.runner import Runner
    from devdiff.exporter.artifact import Artifact
    from devdiff.exporter.manifest import Manifest
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import Rung, RungResult
    from devdiff.ladder.run_directory import RunDirectory
    from devdiff.ladder.subject import Subject
    from devdiff.progress import Events


def build(
    read: Subject,
    manifest: Manifest | None,
    unquantized: Artifact | None,
    directory: RunDirectory,
    host: list[HostRunner],
    device: Runner | None,
    unpruned: bool,
) -> list[Rung]:
    """The ladder from the source to the device, side rungs last.

    ``host`` are the runners of this machine, the main one first. ``unquantized`` is the float32
    artifact of a finished int8 model; ``unpruned`` asks for that of a pruned one.
    """
    found = subject.artifacts(read, manifest, directory.artifacts)
    main: list[Rung] = []
    side: list[Rung] = []
    for artifact, record in found:
        name, recipe = record.recipe.rung, record.recipe
        main.append(ladder.artifact_rung(name, artifact, recipe, host[0]))
        side += [
            ladder.artifact_rung(f"{name}@{runner.name}", artifact, recipe, runner)
            for runner in host[1:]
        ]
    pruned = manifest.pruned if manifest is not None else None
    if read.source is not None:
        source = ladder.source_rung(
            read.source.path,
            read.source.sha256,
            main[0].inputs,
            main[0].outputs,
            subject.source_runner(read.source),
        )
        main.insert(0, source)
        if manifest is not None and pruned is not None:
            main.insert(
                1, ladder.pruned_rung(source, manifest.pruned_source(directory.artifacts), pruned)
            )
    if device is not None:
        main.append(replace(main[-1], name="device", runner=device))
    if unpruned and manifest is not None and pruned is not None:
        unquantized = manifest.full(directory.artifacts)
    if unquantized is not None:
        side.append(ladder.artifact_rung(ladder.FULL, unquantized, FLOAT32, host[0]))
    return main + side


def run(
    rungs: list[Rung],
    samples: InputSet,
    directory: RunDirectory,
    timeout_s: float,
    events: Events,
) -> list[RungResult]:
    """Run each in turn; one that cannot run is a result that says so."""
    results = []
    for number, rung in enumerate(rungs, 1):
        events.phase(f"running {rung.name} ({rung.runner.name}), rung {number} of {len(rungs)}")
        result = ladder.run_rung(
            rung,
            samples,
            directory.rungs,
            directory.logs / f"{ladder.file_name(rung.name)}.log",
            timeout_s,
            lambda done: events.progress(done, len(samples)),
        )
        if result.error:
            events.note(f"{rung.name}: {result.error}")
        details.of_rung(result, events)
        results.append(result)
    return results


def full(rungs: Sequence[Rung]) -> Rung:
    """The rung of the float32 artifact without pruning."""
    by_name = {rung.name: rung for rung in rungs}
    return by_name.get(ladder.FULL) or by_name["float"]


def scanned(
    rungs: Sequence[Rung],
    results: Sequence[RungResult],
    samples: InputSet,
    classifiers: tuple[str, ...],
) -> ScanSubject:
    """The rungs that a scan holds together."""
    by_name = {rung.name: rung for rung in rungs}
    hosted = [rung for rung in rungs if ladder.on_the_way(rung.name) and rung.name != "device"]
    return ScanSubject(
        full(rungs),
        hosted[-1],
        by_name.get("device"),
        {result.name: result for result in results},
        samples,
        classifiers,
    )
