"""What ``import devdiff`` offers: a function for each verb that tests, compares or signs.

Paths may be text. ``inputs`` is a file or folder as ``--inputs`` takes it (a file's array names are
the model's inputs, float32 or the model's own type, samples first), or an `InputRequest` for all
that belongs to an input set; None makes synthetic samples. ``events`` is told of the progress.
Everything that devdiff raises on purpose is a `DevdiffError` that carries its exit code; a model
that fails its test is a verdict and raises nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devdiff.inputs.request import InputRequest
from devdiff.options import (
    DEFAULT_GATES,
    DEFAULT_RULES,
    DEFAULT_RUNNING,
    HOST_ONLY,
    BisectSettings,
    Gates,
    ModelSpec,
    Rules,
    Running,
    ScanSettings,
)
from devdiff.progress import SilentEvents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from devdiff.attestation.sign import Signed
    from devdiff.bisection.bisect import BisectOutcome
    from devdiff.changes.record import RunComparison
    from devdiff.device_runner.adb.inventory import InventoryEntry
    from devdiff.exporter.compression import Compression
    from devdiff.gate.check import CheckOutcome
    from devdiff.ladder.export_run import ExportOutcome
    from devdiff.ladder.request import LadderOutcome
    from devdiff.ladder.run_diff import DiffOutcome
    from devdiff.package.check import PackageCheck
    from devdiff.progress import Events
    from devdiff.tasks.request import TaskRequest

AnyModel = Path | str | ModelSpec
AnyInputs = Path | str | InputRequest | None


def export(
    model: AnyModel,
    inputs: AnyInputs = None,
    *,
    out: Path | str,
    compression: Compression | str = "int8",
    gates: Gates = DEFAULT_GATES,
    events: Events | None = None,
) -> ExportOutcome:
    """Convert and compress ``model`` into the folder ``out``, and hold the float artifact to it.

    ``compression`` is an object or its text: ``int8``, ``prune:0.3+int8``, ``float16``, ``none``.
    """
    from devdiff.ladder.export_run import ExportRequest, export_model

    request = ExportRequest(
        model=_model(model), data=_inputs(inputs), compression=_compression(compression),
        gates=gates,
    )  # fmt: skip
    return export_model(request, Path(out), events)


def run(
    model: AnyModel,
    inputs: AnyInputs = None,
    *,
    out: Path | str,
    running: Running = HOST_ONLY,
    events: Events | None = None,
) -> Mapping[str, Any]:
    """Run ``model`` in one place, and leave its outputs in the folder ``out`` for `diff`.

    Returns what ``run.json`` says: the model's SHA-256, what ran, and how many samples failed.
    """
    from devdiff.ladder.single_run import RunRequest, run_model

    request = RunRequest(model=_model(model), data=_inputs(inputs), running=running)
    return run_model(request, Path(out), events)


def diff(
    reference: Path | str,
    candidate: Path | str,
    *,
    gates: Gates = DEFAULT_GATES,
    task: TaskRequest | None = None,
    events: Events | None = None,
) -> DiffOutcome:
    """Compare the outputs of two runs over the same inputs: each a folder of `run`, or
    ``FOLDER:RUNG`` of `export_and_test`."""
    from devdiff.ladder.run_diff import DiffRequest, diff_runs

    request = DiffRequest(str(reference), str(candidate), gates=gates, task=task)
    return diff_runs(request, events)


def compare(
    before: Path | str,
    after: Path | str,
    *,
    max_snr_loss_db: float = DEFAULT_RULES.max_snr_loss_db,
    max_slowdown: float | None = DEFAULT_RULES.max_slowdown,
    events: Events | None = None,
) -> RunComparison:
    """What changed between two finished runs of `export_and_test` or `scan`: each the run's folder
    or its report.json.

    An SNR is worse that lost more than ``max_snr_loss_db``, a device that is ``max_slowdown`` times
    slower; None: time does not count.
    """
    from devdiff.changes.compare import compare_runs

    rules = Rules(max_snr_loss_db=max_snr_loss_db, max_slowdown=max_slowdown)
    return compare_runs(Path(before), Path(after), rules, events)


def export_and_test(
    model: AnyModel,
    inputs: AnyInputs = None,
    *,
    out: Path | str | None = None,
    compression: Compression | str | None = None,
    running: Running = DEFAULT_RUNNING,
    gates: Gates = DEFAULT_GATES,
    task: TaskRequest | None = None,
    scan: ScanSettings | None = None,
    events: Events | None = None,
) -> LadderOutcome:
    """Export ``model``, run it on every rung up to the device, compare, and give a verdict.

    ``out`` None continues an unfinished run of the same test under ``devdiff-runs``, or makes a new
    folder there. ``scan`` looks for backdoors, too.
    """
    return _tested(
        *(model, inputs, out, compression, events),
        running=running,
        gates=gates,
        task=task,
        scan=scan,
    )


def scan(
    model: AnyModel,
    inputs: AnyInputs = None,
    *,
    out: Path | str | None = None,
    compression: Compression | str | None = None,
    running: Running = DEFAULT_RUNNING,
    gates: Gates = DEFAULT_GATES,
    settings: ScanSettings | None = None,
    events: Events | None = None,
) -> LadderOutcome:
    """Look for what only the compressed model does; the verdict is the scan's."""
    return _tested(
        *(model, inputs, out, compression, events),
        running=running,
        gates=gates,
        scan=settings or ScanSettings(),
        gated=False,
    )


def bisect(
    model: AnyModel,
    inputs: AnyInputs = None,
    *,
    out: Path | str | None = None,
    between: tuple[str, str] | None = None,
    against: Path | str | None = None,
    running: Running | None = None,
    settings: BisectSettings | None = None,
    events: Events | None = None,
) -> BisectOutcome:
    """Find the first operator that two places compute differently.

    ``model`` is a .tflite or the folder of a finished run, ``between`` two places as
    ``--between`` takes them, ``against`` another file of the same operators for the second one.
    ``running`` None is the run's own, or the usual.
    """
    from devdiff.bisection.bisect import bisect as find
    from devdiff.bisection.subject import BisectRequest

    request = BisectRequest(
        model=_model(model),
        between=between,
        against=_path(against),
        data=_inputs(inputs),
        running=running or DEFAULT_RUNNING,
    )
    if settings is not None:
        request = replace(request, settings=settings)
    return find(request, _path(out), events)


def check(
    config: Path | str | None = None,
    names: Iterable[str] = (),
    *,
    out: Path | str | None = None,
    trust_config: bool = False,
    events: Events | None = None,
) -> CheckOutcome:
    """Test everything that a configuration names, or the models ``names`` of it.

    ``config`` None finds ``devdiff.toml`` from the working directory upwards. One that runs code of
    its own is refused in CI unless ``trust_config``.
    """
    from devdiff.gate import config_file, trust
    from devdiff.gate.check import run_check
    from devdiff.gate.config import Config

    path = config_file.find(Path.cwd()) if config is None else Path(config)
    loaded = Config.load(path, (events or SilentEvents()).note)
    entries = loaded.chosen(tuple(names), ())
    trust.check(loaded, trust.code_in(entries), trust_config, None)
    cells = [cell for entry in entries for cell in entry.cells()]
    return run_check(cells, _path(out), events, config=loaded.path)


def verify(
    package: Path | str,
    reports: Iterable[Path | str] = (),
    *,
    attestations: Iterable[Path | str] = (),
    public_key: Path | str | None = None,
    skip: Iterable[str] = (),
    allow: Iterable[str] = (),
) -> PackageCheck:
    """Whether every model in an app (.apk, .aab, .xapk, .ipa, .zip) was tested.

    ``reports`` are run folders or report.json files; ``attestations`` signed statements, which
    need the ``public_key``. ``skip`` and ``allow`` are patterns as on the command line.
    """
    from devdiff.attestation import check as signed
    from devdiff.errors import UsageError
    from devdiff.package import Tested, verify_package

    tested = Tested.from_reports([Path(report) for report in reports])
    for statement in attestations:
        if public_key is None:
            raise UsageError("a statement says nothing without its signer: give the public_key")
        tested = tested.joined(signed.read(Path(statement), Path(public_key)).tested)
    return verify_package(Path(package), tested, skip=tuple(skip), allow=tuple(allow))


def attest(report: Path | str, key: Path | str, *, out: Path | str | None = None) -> Signed:
    """Sign what a finished run found with a private key (``devdiff attest --new-key`` makes one).

    A key with a passphrase takes it from ``DEVDIFF_KEY_PASSPHRASE``.
    """
    from devdiff.attestation import keys, sign

    signer = keys.signer(Path(key), keys.passphrase())
    return sign.attest(Path(report), signer, _path(out))


def devices() -> list[InventoryEntry]:
    """What is attached through adb, and what can run there."""
    from devdiff.device_runner.adb.inventory import inventory

    return inventory()


def _tested(
    model: AnyModel,
    inputs: AnyInputs,
    out: Path | str | None,
    compression: Compression | str | None,
    events: Events | None,
    **asked: Any,
) -> LadderOutcome:
    from devdiff.ladder.pipeline import export_and_test as test
    from devdiff.ladder.request import LadderRequest

    made_small = None if compression is None else _compression(compression)
    request = LadderRequest(
        model=_model(model), data=_inputs(inputs), compression=made_small, **asked
    )
    return test(request, _path(out), events)


def _model(model: AnyModel) -> ModelSpec:
    spec = model if isinstance(model, ModelSpec) else ModelSpec(Path(model))
    return replace(
        spec, path=Path(spec.path), source=_path(spec.source), floating=_path(spec.floating)
    )


def _inputs(inputs: AnyInputs) -> InputRequest:
    request = inputs if isinstance(inputs, InputRequest) else InputRequest(inputs=_path(inputs))
    return replace(
        request,
        inputs=_path(request.inputs),
        labels=_path(request.labels),
        classes=_path(request.classes),
        calibration=_path(request.calibration),
    )


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _compression(compression: Compression | str) -> Compression:
    from devdiff.exporter.compression import Compression

    return Compression.parse(compression) if isinstance(compression, str) else compression
