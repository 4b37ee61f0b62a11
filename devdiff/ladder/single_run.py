"""Single runs, kept on disk: what `devdiff run` does, callable from Python."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.host.host_runner import DISTRIBUTIONS, SOURCE_RUNTIMES, HostRunner
from devdiff.errors import UsageError
from devdiff.exporter.sources.formats import format_of
from devdiff.exporter.worker_client import ExportWorker
from devdiff.inputs import input_set as data
from devdiff.inputs.input_set import InputRequest
from devdiff.ladder import details, ladder, pairing, subject
from devdiff.ladder.device_selection import check_device, open_device
from devdiff.ladder.kept_run import INPUTS, OUTPUTS, SCHEMA_VERSION
from devdiff.ladder.run_directory import RUN_NAME, write_json
from devdiff.options import HOST_ONLY, ModelSpec, Running
from devdiff.progress import Events, SilentEvents
from devdiff.system.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devdiff.device_runner.runner import Runner
    from devdiff.exporter.artifact import TensorSpec
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import Rung

_BEGUN: Final = ".unfinished"
# What is kept of the inputs: all but the tensors.
_KEPT: Final = ("inputs.json", "tested.npy", "labels.npy")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One model, one place, one input set.

    The place is the device of ``running``; without one, the host: a source model runs in the
    framework it comes from, a .tflite in the first host runtime.
    """

    model: ModelSpec
    data: InputRequest = data.SYNTHETIC
    running: Running = HOST_ONLY

    @property
    def on_device(self) -> bool:
        return self.running.device not in (None, "none")


def run_model(request: RunRequest, out: Path, events: Events | None = None) -> dict[str, Any]:
    """Run the model and leave ``run.json``, ``outputs.pack`` and what is known of the inputs in
    ``out``, for `devdiff.ladder.run_diff`.

    Returns what ``run.json`` says. Raises `RunnerError` when the model cannot run there, and the
    packages' errors for bad models or data.
    """
    events = events or SilentEvents()
    subject.check_paths(request.model)
    _check_place(request)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: give a folder as --out")
    ours = any((out / name).exists() for name in (RUN_NAME, _BEGUN))
    if out.exists() and any(out.iterdir()) and not ours:
        raise UsageError(f"{out} holds something else already: give an empty folder as --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # A run that fails, or is killed, must not stand in the way of the next one.
    (out / _BEGUN).touch()
    work = out / INPUTS
    log = out / "log.txt"
    try:
        events.phase("reading the model")
        with ExportWorker(log) as worker:
            read = subject.read(worker, request.model)
        details.of_model(read, events)
        events.phase("preparing inputs")
        samples = data.prepare(
            request.data,
            read.inputs,
            read.index_limits,
            work,
            calibrate=False,
            progress=events.progress,
        )
        details.of_inputs(samples, events)
        if read.finished and read.source is not None:
            read = _paired(read, samples, request, out / "pairing", events)
        specs = _outputs(read)
        samples, _ = samples.with_labels_of(specs)
        for note in samples.notes:
            events.note(note)
        details.of_warnings(samples, events)
        with _runner(request, read, events) as runner:
            events.phase(f"running on {runner.name}")
            rung = rung_of(read, runner)
            result = ladder.run_rung(
                rung,
                samples,
                out,
                log,
                request.running.timeout_s,
                lambda done: events.progress(done, len(samples)),
            )
        if result.error:
            raise RunnerError(result.error)
        details.of_rung(result, events)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(out / "pairing", ignore_errors=True)
    for path in work.iterdir():
        if path.name not in _KEPT:
            path.unlink()
    record = {
        "schema_version": SCHEMA_VERSION,
        "rung": result.to_json(),
        "inputs": samples.to_json(),
        "specs": [asdict(binding.source) for binding in rung.inputs],
        "outputs": [asdict(binding) for binding in rung.outputs],
        "produced_by": dict(read.finished[0].record.produced_by) if read.finished else {},
    }
    write_json(out / RUN_NAME, record)
    (out / _BEGUN).unlink()
    (out / f"{OUTPUTS}.json").unlink()  # the rung's own record, which run.json holds too
    return record


def _check_place(request: RunRequest) -> None:
    """Raises `UsageError` when such a file does not run where it was asked to."""
    model, running = request.model, request.running
    if model.floating is not None:
        raise UsageError(
            f"--float {model.floating}: a run takes one model; run the float32 .tflite by itself"
        )
    source = format_of(model.path) is not None
    if request.on_device:
        if source:
            raise UsageError(
                f"{model.path.name} does not run on {running.device}: a device takes the .tflite "
                "made from it (devdiff export); without --device it runs where it comes from"
            )
        if running.host_runtimes:
            raise UsageError(
                f"--host-runtime {running.host_runtimes[0]} and --device {running.device}: a run "
                "takes one place"
            )
        check_device(running)
        return
    if len(running.host_runtimes) > 1:
        raise UsageError(
            f"--host-runtime {' and '.join(running.host_runtimes)}: a run takes one place"
        )
    places = SOURCE_RUNTIMES if source else tuple(DISTRIBUTIONS)
    for name in running.host_runtimes:
        if name.partition(":")[0] not in places:
            raise UsageError(
                f"{model.path.name} does not run on {name}: see devdiff run --help"
                f"{did_you_mean(name.partition(':')[0], places)}"
            )


@contextlib.contextmanager
def _runner(request: RunRequest, read: subject.Subject, events: Events) -> Iterator[Runner]:
    """The runner of the place. Raises `UsageError` when it cannot run such a file."""
    running = request.running
    if request.on_device:
        with open_device(running, events) as device:
            assert device is not None
            yield device
    elif read.finished:
        yield HostRunner.parse(running.hosts[0], running.threads)
    else:
        assert read.source is not None
        runner = subject.source_runner(read.source, running.threads)
        for name in running.host_runtimes:
            if name != runner.name:
                raise UsageError(f"{read.model.name} runs on {runner.name}, not on {name}")
        yield runner


def _outputs(read: subject.Subject) -> list[TensorSpec]:
    if read.finished:
        return [binding.source for binding in read.finished[-1].record.outputs]
    assert read.source is not None
    return list(read.source.outputs)


def _paired(
    read: subject.Subject, samples: InputSet, request: RunRequest, folder: Path, events: Events
) -> subject.Subject:
    """The model with its tensors bound to its source's, by running where there is a choice."""
    artifacts = request.model.path.parent
    host = HostRunner("litert", threads=request.running.threads)
    paired = pairing.pair(
        read, None, samples, artifacts, folder, host, request.running.timeout_s, events
    )
    for found in paired.pairings:
        events.note(f"{found.file}: tensors paired with the source's by {found.by}: {found.reason}")
    return paired.subject


def rung_of(read: subject.Subject, runner: Runner) -> Rung:
    """The rung of the model itself on ``runner``; its outputs are called `OUTPUTS`."""
    if read.finished:
        ((artifact, record),) = subject.artifacts(read, None, read.model.parent)
        return ladder.artifact_rung(OUTPUTS, artifact, record.recipe, runner)
    assert read.source is not None
    bindings = [ladder.identity(spec) for spec in read.source.outputs]
    inputs = [ladder.identity(spec) for spec in read.source.inputs]
    rung = ladder.source_rung(read.model, read.sha256, inputs, bindings, runner)
    return replace(rung, name=OUTPUTS)
