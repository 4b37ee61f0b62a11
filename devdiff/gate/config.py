"""What a team wants tested, as values: models, the matrix of each, and what holds a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import UsageError
from devdiff.exporter import recipe
from devdiff.exporter.compression import Compression, with_recipes
from devdiff.exporter.errors import CompressionError
from devdiff.gate import config_file
from devdiff.gate.requirements import Requirements
from devdiff.housekeeping.retention import Retention, parse_age, parse_size
from devdiff.inputs.input_set import SYNTHETIC, InputRequest
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder.request import LadderRequest
from devdiff.options import (
    DEFAULT_GATES,
    DEFAULT_RULES,
    DEFAULT_RUNNING,
    DEFAULT_SCAN,
    Gates,
    ModelSpec,
    Rules,
    Running,
    ScanSettings,
)
from devdiff.system.errors import DevdiffError
from devdiff.system.suggest import did_you_mean
from devdiff.tasks.request import TaskRequest

if TYPE_CHECKING:
    from devdiff.exporter.recipe import Recipe

T = TypeVar("T")
FINISHED: Final = "as it is"
"""The compression of a finished .tflite: none of devdiff's doing."""
DEFAULT_REQUIREMENTS: Final = Requirements()
KEEP_ALL: Final = Retention()
ANY_DEVICE: Final = "default"
"""The device of a cell that names none: what is attached, or this machine."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One test of the matrix: a model, a compression, a device."""

    model: str
    compression: str
    device: str
    request: LadderRequest
    requirements: Requirements = DEFAULT_REQUIREMENTS

    @property
    def name(self) -> str:
        """``reader/int8/local``: unique in a configuration, and stable from check to check."""
        return f"{self.model}/{self.compression}/{self.device}"

    def limited(self, limit: int | None) -> Cell:
        """The test on at most ``limit`` of the samples."""
        data = replace(self.request.data, limit=limit)
        return replace(self, request=replace(self.request, data=data))

    @property
    def on_the_host(self) -> tuple[str, str, tuple[str, ...]]:
        """Equal for cells that differ in their device only: all else is the same for them.

        The device has its say in which kernels the host runs.
        """
        return self.model, self.compression, self.request.running.hosts


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a configuration. ``compressions`` empty: int8, or what a .tflite is."""

    name: str
    model: ModelSpec
    compressions: tuple[Compression, ...] = ()
    devices: tuple[str, ...] = ()
    data: InputRequest = SYNTHETIC
    running: Running = DEFAULT_RUNNING
    gates: Gates = DEFAULT_GATES
    scan: ScanSettings | None = None
    task: TaskRequest | None = None
    requirements: Requirements = DEFAULT_REQUIREMENTS

    def cells(self) -> Iterator[Cell]:
        """The matrix, device by device within each compression."""
        for compression in self.compressions or (None,):
            compression_name = str(compression or Compression())
            if compression is None and self.model.finished:
                compression_name = FINISHED
            for device in self.devices or (None,):
                request = LadderRequest(
                    model=self.model,
                    compression=compression,
                    data=self.data,
                    running=replace(self.running, device=device),
                    gates=self.gates,
                    scan=self.scan,
                    task=self.task,
                )
                yield Cell(
                    self.name, compression_name, device or ANY_DEVICE, request, self.requirements
                )

    def files(self) -> Iterator[tuple[str, Path]]:
        """The files and folders that have to be there, by key."""
        data = self.data
        named: dict[str, Path | None] = {
            **dict(self.model.files()),
            "inputs": data.inputs,
            "labels": data.labels,
            "classes": data.classes,
            "calibration": data.calibration,
            "truth": self.task.truth if self.task else None,
        }
        for key, path in named.items():
            if path is not None:
                # A loader's function or a data set's part stands behind a colon.
                part = ":" in path.name and not path.exists()
                yield key, Path(str(path).rpartition(":")[0]) if part else path


@dataclass(frozen=True, slots=True)
class PackageRules:
    """What `devdiff.package.verify_package` is given, as it takes it."""

    allow: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    requirements: Requirements = DEFAULT_REQUIREMENTS


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration file; its paths are absolute."""

    path: Path
    entries: tuple[Entry, ...]
    baseline: Path | None = None
    rules: Rules = DEFAULT_RULES
    package: PackageRules = PackageRules()
    retention: Retention = KEEP_ALL

    @property
    def protected(self) -> dict[Path, str]:
        """Files whose runs are not cleaned away, and why."""
        return (
            {self.baseline: "the baseline of the configuration lies in it"} if self.baseline else {}
        )

    @classmethod
    def load(cls, path: Path, note: Callable[[str], None] = lambda text: None) -> Self:
        """The configuration in a file; ``note`` is told of keys by a former name.

        Raises `UsageError` naming what is wrong in it.
        """
        data = config_file.read(path, note)
        defaults = data.get("defaults", {})
        entries = tuple(
            _entry(name, table, defaults, path) for name, table in data["models"].items()
        )
        rules = data.get("baseline", {})
        file = rules.get("file")
        package = data.get("verify", {})
        return cls(
            path,
            entries,
            path.resolve().parent / file if file else None,
            Rules(
                max_snr_loss_db=rules.get("max-snr-loss", DEFAULT_RULES.max_snr_loss_db),
                max_slowdown=rules.get("max-slowdown"),
                other_inputs=rules.get("allow-other-inputs", False),
            ),
            PackageRules(
                allow=_several(package.get("allow", ())),
                skip=_several(package.get("skip", ())),
                requirements=_requirements(package, f"{path}: [verify]"),
            ),
            _retention(data.get("retention", {}), f"{path}: [retention]"),
        )

    def chosen(self, names: Sequence[str], devices: Sequence[str] = ()) -> tuple[Entry, ...]:
        """The entries of these names, all of them without one, on ``devices`` if there are any.

        Raises `UsageError` for a name that is not there, and for files that are not.
        """
        known = {entry.name: entry for entry in self.entries}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UsageError(
                f"{self.path} has no model {unknown[0]!r}{did_you_mean(unknown[0], known)}; it has "
                f"{', '.join(known)}"
            )
        found = tuple(known[name] for name in dict.fromkeys(names)) or self.entries
        missing = [
            f"[models.{entry.name}] {key}: {path} does not exist"
            for entry in found
            for key, path in entry.files()
            if not path.exists()
        ]
        if missing:
            raise UsageError(f"{self.path}: {'; '.join(missing)}")
        if devices:
            found = tuple(replace(entry, devices=tuple(dict.fromkeys(devices))) for entry in found)
        return found


def _entry(name: str, table: Mapping[str, Any], defaults: Mapping[str, Any], path: Path) -> Entry:
    folder = path.resolve().parent
    values = {**defaults, **table}
    if table.get("require-real-inputs") and "accept-synthetic" not in table:
        values["accept-synthetic"] = False
    if table.get("accept-synthetic") and "require-real-inputs" not in table:
        values["require-real-inputs"] = False

    def at(key: str) -> Path | None:
        return folder / values[key] if key in values else None

    def parsed(key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        found = []
        for text in _several(values.get(key, ())):
            try:
                found.append(parse(text))
            except DevdiffError as error:
                raise UsageError(f"{path}: [models.{name}] {key}: {error}") from error
        return tuple(found)

    seed = values.get("seed", 0)
    runtime = values.get("runtime")
    if runtime is not None and (folder / runtime).exists():
        runtime = str(folder / runtime)
    parsed("host-runtimes", lambda text: HostRunner.parse(text, 1))

    def recipe_of(text: str) -> Recipe:
        return recipe.parse(text if text in recipe.BUILTIN else str(folder / text))

    try:
        compressions = with_recipes(
            parsed("compressions", Compression.parse), parsed("recipes", recipe_of)
        )
    except CompressionError as error:
        raise UsageError(f"{path}: [models.{name}] recipes: {error}") from error
    try:
        task = TaskRequest.of(values.get("task"), at("truth"), values.get("max-drop"))
    except UsageError as error:
        raise UsageError(f"{path}: [models.{name}] task: {error}") from error
    return Entry(
        name=name,
        model=ModelSpec(
            folder / values["model"],
            source=at("source"),
            floating=at("float"),
            shapes={key: tuple(dims) for key, dims in values.get("shapes", {}).items()},
            signature=values.get("signature"),
            trust=values.get("trust", False),
        ),
        compressions=compressions,
        devices=_several(values.get("devices", ())),
        data=InputRequest(
            inputs=at("inputs"),
            labels=at("labels"),
            classes=at("classes"),
            calibration=at("calibration"),
            preprocess=next(iter(parsed("preprocess", Preprocess.parse)), SYNTHETIC.preprocess),
            seed=seed,
        ),
        running=Running(
            host_runtimes=_several(values.get("host-runtimes", ())),
            runtime=runtime,
            delegate=values.get("delegate", DEFAULT_RUNNING.delegate),
            threads=values.get("threads", DEFAULT_RUNNING.threads),
            keep_going=values.get("keep-going", DEFAULT_RUNNING.keep_going),
            timeout_s=float(values.get("timeout", DEFAULT_RUNNING.timeout_s)),
        ),
        gates=_gates({**defaults.get("gates", {}), **table.get("gates", {})}),
        scan=_scan(table.get("scan"), defaults.get("scan", False), seed),
        task=task,
        requirements=_requirements(values, f"{path}: [models.{name}]"),
    )


def _retention(values: Mapping[str, Any], where: str) -> Retention:
    def parsed(key: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(values[key]) if key in values else None
        except UsageError as error:
            raise UsageError(f"{where} {key}: {error}") from error

    return Retention(
        keep_runs=values.get("keep-runs"),
        max_age_s=parsed("max-age", parse_age),
        max_bytes=parsed("max-size", parse_size),
    )


def _requirements(values: Mapping[str, Any], where: str) -> Requirements:
    accepted = values.get("accept-synthetic", DEFAULT_REQUIREMENTS.accept_synthetic)
    if accepted and values.get("require-real-inputs", False):
        raise UsageError(
            f"{where} has both accept-synthetic and require-real-inputs: leave one out, or set it "
            "to false"
        )
    return Requirements(
        min_samples=values.get("min-samples", DEFAULT_REQUIREMENTS.min_samples),
        accept_synthetic=accepted,
    )


def _gates(values: Mapping[str, Any]) -> Gates:
    return Gates(
        atol=_tolerance(values.get("atol")),
        rtol=_tolerance(values.get("rtol")),
        min_agreement=values.get("min-agreement", DEFAULT_GATES.min_agreement),
        min_snr_db=values.get("min-snr", DEFAULT_GATES.min_snr_db),
        min_variation_snr_db=values.get("min-variation-snr", DEFAULT_GATES.min_variation_snr_db),
        min_samples=values.get("min-samples", DEFAULT_GATES.min_samples),
        max_lsb=values.get("max-lsb", DEFAULT_GATES.max_lsb),
        exact=values.get("exact", DEFAULT_GATES.exact),
        classifiers=_several(values.get("classifiers", ())),
    )


def _tolerance(value: float | Mapping[str, float] | None) -> tuple[str, ...]:
    """As ``--atol`` takes it: a value for all outputs, or one for each by name."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(
            f"{number!r}" if output == "*" else f"{output}:{number!r}"
            for output, number in value.items()
        )
    return (f"{value!r}",)


def _scan(
    own: bool | Mapping[str, Any] | None, shared: bool | Mapping[str, Any], seed: int
) -> ScanSettings | None:
    """A table switches the scan on, and has what it does not say from the defaults' table."""
    wanted = shared if own is None else own
    if wanted is False:
        return None
    values = {
        **(shared if isinstance(shared, Mapping) else {}),
        **(wanted if isinstance(wanted, Mapping) else {}),
    }
    return ScanSettings(
        samples=values.get("samples", DEFAULT_SCAN.samples),
        budget_s=float(values.get("budget", DEFAULT_SCAN.budget_s)),
        placebos=values.get("placebos", DEFAULT_SCAN.placebos),
        seed=seed,
        input=values.get("input"),
        output=values.get("output"),
        output_kind=values.get("output-kind"),
    )


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
