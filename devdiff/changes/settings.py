"""How two runs were made, and where that differs: model, inputs, environment, versions, options."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from devdiff.changes.record import Group, SettingChange
from devdiff.report.words import what_ran
from devdiff.system.typed_json import encode

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from devdiff.report.model import Report, RungRecord

_HASH_CHARS: Final = 12
# What a runner says of itself and a reader wants to know where it changed.
_REPORTED: Final = ("delegate", "kernels", "nodes_delegated", "threads", "arch", "cpu")


def changed_settings(before: Report, after: Report) -> tuple[SettingChange, ...]:
    """What is not the same, in the order of `Group`."""
    shared = {rung.name for rung in before.rungs} & {rung.name for rung in after.rungs}
    first, second = _settings(before, shared), _settings(after, shared)
    names = dict.fromkeys((*first, *second))
    found = [
        SettingChange(group, name, first.get((group, name)), second.get((group, name)))
        for group, name in names
        if first.get((group, name)) != second.get((group, name))
    ]
    order = ("model", "inputs", "environment", "versions", "options")
    return tuple(sorted(found, key=lambda change: order.index(change.group)))


def _settings(report: Report, shared: Container[str]) -> dict[tuple[Group, str], str]:
    found: dict[tuple[Group, str], str] = {}

    def add(group: Group, values: Iterator[tuple[str, Any]]) -> None:
        for name, value in values:
            if value not in (None, "", (), [], {}):
                found[group, name] = _text(value)

    add("model", _model(report))
    add("inputs", _inputs(report))
    for rung in report.rungs:
        details = itertools.islice(_environment(rung), None if rung.name in shared else 1)
        add("environment", details)
    versions = report.manifest.versions if report.manifest is not None else {}
    add("versions", iter({"devdiff": report.devdiff, **versions}.items()))
    add("options", _options(report))
    return found


def _model(report: Report) -> Iterator[tuple[str, Any]]:
    yield "name", report.model.name
    yield "SHA-256", report.model.sha256[:_HASH_CHARS]
    recipes = {artifact.sha256: artifact.recipe.name for artifact in report.artifacts}
    for rung in report.rungs:
        sha256 = rung.model.sha256
        # The device runs the file of the rung below it.
        if rung.name != "device" and sha256 != report.model.sha256:
            yield f"{rung.name}: SHA-256", sha256[:_HASH_CHARS]
            yield f"{rung.name}: recipe", recipes.get(sha256)
            yield f"{rung.name}: pruning", rung.pruning


def _inputs(report: Report) -> Iterator[tuple[str, Any]]:
    inputs = report.inputs
    yield "origin", inputs.origin
    yield "samples", inputs.samples
    yield "SHA-256", inputs.sha256[:_HASH_CHARS]
    yield "labelled", inputs.labelled
    yield "seed", inputs.seed
    yield "calibration", f"{inputs.calibration.samples} of {inputs.calibration.origin}"
    yield from ((f"preprocess {key}", value) for key, value in inputs.preprocess.items())


def _environment(rung: RungRecord) -> Iterator[tuple[str, Any]]:
    yield f"{rung.name}: what ran", what_ran(rung)
    for name in _REPORTED:
        yield f"{rung.name}: {name}", rung.reported(name)
    identity = rung.identity
    if identity.library is not None:
        yield f"{rung.name}: library, SHA-256", identity.library.sha256[:_HASH_CHARS]
    device = identity.phone
    if device is not None:
        release = f"Android {device.release}" if device.release else device.platform
        yield f"{rung.name}: system", release
        yield f"{rung.name}: SoC", device.soc


def _options(report: Report) -> Iterator[tuple[str, Any]]:
    options = report.options
    for value in (options.running, options.gates):
        if value is not None:
            yield from ((name.replace("_", "-"), inner) for name, inner in encode(value).items())
    yield "classifiers", options.classifiers
    if report.task is not None:
        yield "task", report.task.kind
        yield "max-drop", report.task.max_drop
        yield from ((f"task {key}", value) for key, value in report.task.options.items())
    if report.scan is not None:
        yield "scan budget", report.scan.budget_s
        yield "scan seed", report.scan.seed


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
