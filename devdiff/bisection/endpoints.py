"""The two places between which a model is bisected: ``[RUNG@]PLACE``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.bisection.side_by_side import BenchSide
from devdiff.bisection.subject import BisectRequest, BisectSubject, other_file
from devdiff.device_runner.errors import DeviceChoiceError, DeviceError
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import BisectError, UsageError
from devdiff.exporter.tflite_cut import WholeModel
from devdiff.ladder.device_selection import check_device, open_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devdiff.device_runner.runner import Runner
    from devdiff.exporter.artifact import Artifact
    from devdiff.exporter.manifest import ArtifactRecord
    from devdiff.progress import Events

DEVICE: Final = "device"
RUNG_NAMES: Final = ("float", "int8")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A side as it was named: a rung (a file) and a place; the place None is the first host."""

    rung: str
    place: str

    def __str__(self) -> str:
        return f"{self.rung}@{self.place}"


def parse(text: str, rungs: tuple[str, ...], host: str) -> Endpoint:
    """``int8@tflite-runtime``, ``litert:builtin``, ``float``, ``device``, ``float@device``.

    ``rungs`` are those there are, the one that ships last; ``host`` is the usual host runtime.
    Raises `UsageError` when there is no such rung or place.
    """
    rung, at, place = text.rpartition("@")
    if not at and text in (*RUNG_NAMES, *rungs):
        rung, place = text, host
    rung = rung or rungs[-1]
    if rung not in rungs:
        raise UsageError(
            f"--between {text}: there is no {rung} file here, only {', '.join(rungs)}"
            + ("; name the float32 .tflite with --float" if rung == "float" else "")
        )
    if place != DEVICE:
        HostRunner.parse(place)
    return Endpoint(rung, place)


def choose(request: BisectRequest, given: BisectSubject) -> tuple[Endpoint, Endpoint]:
    """The sides that were asked for, else those a run blames, else host and device.

    Raises `UsageError` for a step that has no two graphs of operators to hold together.
    """
    rungs, host = tuple(given.files), given.running.hosts[0]
    if request.between is not None:
        first, second = request.between
        return parse(first, rungs, host), parse(second, rungs, host)
    shipped = Endpoint(rungs[-1], host)
    if request.against is not None:
        return shipped, shipped
    if given.blamed is None:
        return shipped, Endpoint(rungs[-1], DEVICE)
    if not {*given.blamed} <= {*rungs, DEVICE}:
        raise UsageError(
            f"the run failed between {given.blamed[0]} and {given.blamed[1]}, which are not both "
            ".tflite files: a step from a source model changes every operator; bisect two others "
            "with --between"
        )
    sides = [
        Endpoint(rungs[-1], DEVICE) if rung == DEVICE else Endpoint(rung, host)
        for rung in given.blamed
    ]
    return sides[0], sides[1]


@contextlib.contextmanager
def opened(
    named: tuple[Endpoint, Endpoint],
    request: BisectRequest,
    given: BisectSubject,
    log: Path,
    events: Events,
) -> Iterator[tuple[BenchSide, BenchSide]]:
    """Both sides, ready to run; a device is held until the context ends."""
    with contextlib.ExitStack() as stack:
        device: Runner | None = None
        if any(side.place == DEVICE for side in named):
            _check_recorded(given)
            device = stack.enter_context(open_device(given.running, events))
            if device is None:
                raise UsageError(
                    "--device none leaves no device to bisect: name two hosts with --between"
                )
        sides = []
        for place, side in enumerate(named):
            artifact, record = given.files[side.rung]
            name = str(side)
            if place == 1 and request.against is not None:
                artifact, record = other_file(given, request.against, log)
                name = f"{request.against.name}@{side.place}"
            runner = device if side.place == DEVICE else _host(side, given)
            assert runner is not None
            sides.append(_side(name, artifact, record, runner))
        yield sides[0], sides[1]


def _check_recorded(given: BisectSubject) -> None:
    """Raises `DeviceError` or `DeviceChoiceError` when the device of the run is gone."""
    recorded, device = given.recorded_device, given.running.device
    if recorded is None or device != recorded:
        return
    try:
        check_device(given.running)
    except (DeviceError, DeviceChoiceError) as error:
        raise type(error)(
            f"the run was made on {recorded}, which is not to be reached; attach it again, or "
            f"choose another device with --device SERIAL ({error})"
        ) from error


def _host(side: Endpoint, given: BisectSubject) -> HostRunner:
    return HostRunner.parse(side.place, given.running.threads)


def _side(name: str, artifact: Artifact, record: ArtifactRecord, runner: Runner) -> BenchSide:
    return BenchSide(name, artifact, record.recipe.precision, WholeModel(artifact.path), runner)


def check_same_graph(first: BenchSide, second: BenchSide) -> None:
    """Raises `BisectError` when two files do not have the same operators."""
    left, right = (side.whole.graph for side in (first, second))
    if left.inputs != right.inputs or len(left.operators) != len(right.operators):
        raise BisectError(
            f"{first.artifact.path.name} has {len(left.operators)} operators and "
            f"{second.artifact.path.name} {len(right.operators)}: only two files of the same graph "
            "can be bisected"
        )
    for operator, other in zip(left.operators, right.operators, strict=True):
        if (operator.kind, operator.inputs, operator.outputs) != (
            other.kind,
            other.inputs,
            other.outputs,
        ):
            raise BisectError(
                f"operator {operator.index} is {operator.kind} in {first.artifact.path.name} and "
                f"{other.kind} with other tensors in {second.artifact.path.name}: only two files "
                "of the same graph can be bisected"
            )
