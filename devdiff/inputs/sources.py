"""A data set the user names: what kind it is, and the rows behind each input of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs import listing, readers, staging
from devdiff.inputs.images import ImageRows, image_fit
from devdiff.inputs.listing import Labels, Listing
from devdiff.inputs.preprocess import Preprocess
from devdiff.inputs.readers import ArrayRows, Rows
from devdiff.inputs.sound import SoundRows, check_sound

Kind = Literal["arrays", "folder", "csv", "generator", "dataset"]

_FORMS: Final = (
    "a folder of images or WAV files, a .csv of their paths, an .npz or .npy file, "
    "loader.py:FUNCTION, or a folder that datasets.save_to_disk wrote"
)


@dataclass(frozen=True, slots=True)
class InputSource:
    """``path`` is what is read, ``part`` the function of a loader or the split of a data set."""

    kind: Kind
    path: Path
    part: str = ""

    @classmethod
    def of(cls, named: Path) -> InputSource:
        """What a user means by a path. Raises `UsageError` when there is no such thing."""
        path, part = named, ""
        if not path.exists() and ":" in named.name:
            head, _, part = str(named).rpartition(":")
            path = Path(head)
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        if path.suffix == ".py" and path.is_file():
            if not part.isidentifier():
                raise UsageError(f"{named}: name the function that gives batches, {path}:batches")
            return cls("generator", path, part)
        if path.is_dir() and any((path / name).is_file() for name in staging.DATASET_FILES):
            return cls("dataset", path, part)
        if part:
            raise UsageError(f"{named} does not exist")
        if path.is_dir():
            return cls("folder", path)
        if path.suffix == ".csv":
            return cls("csv", path)
        if path.suffix in (".npy", ".npz"):
            return cls("arrays", path)
        raise UsageError(f"{path}: inputs are {_FORMS}")

    def files(self) -> tuple[Path, ...]:
        """Every file it consists of."""
        if self.kind == "folder":
            return listing.of_folder(self.path, None).paths
        if self.kind == "csv":
            return (self.path, *listing.of_csv(self.path, None).paths)
        if self.kind == "dataset":
            return tuple(sorted(path for path in self.path.rglob("*") if path.is_file()))
        return (self.path,)


@dataclass(frozen=True, slots=True)
class Opened:
    """The rows of each input by name, and what else the data set holds.

    ``names`` are the files of the rows under ``root``, where each has its own. ``preprocess`` is
    the pipeline with what the data and the model settle filled in. ``classes`` are the names of
    the classes that the labels number, where the data set has them.
    """

    rows: Mapping[str, Rows]
    preprocess: Preprocess
    labels: Labels | None = None
    names: tuple[str, ...] = ()
    root: Path | None = None
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return next(iter(self.rows.values())).count


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens data sets for a model's inputs; ``scratch`` is a folder for what a loader gives."""

    inputs: tuple[TensorSpec, ...]
    preprocess: Preprocess
    scratch: Path
    classes: Sequence[str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.inputs)

    def open(self, named: Path) -> Opened:
        """Raises `UsageError` when the data cannot be read or does not fit the inputs."""
        source = InputSource.of(named)
        if source.kind == "folder":
            return self._files(listing.of_folder(source.path, self.classes), source.path)
        if source.kind == "csv":
            return self._files(listing.of_csv(source.path, self.classes), source.path)
        if source.kind == "arrays":
            return self._arrays(readers.open_arrays(source.path), source.path)
        return self._staged(source)

    def _files(self, files: Listing, path: Path) -> Opened:
        if len(self.inputs) > 1:
            raise UsageError(
                f"{path}: one file a sample cannot feed the {len(self.inputs)} inputs "
                f"{', '.join(self.names)}: give an .npz with one array for each, or a loader.py"
            )
        (spec,) = self.inputs
        rows: Rows
        if files.sound:
            check_sound(spec, self.preprocess)
            filled = self.preprocess
            rows = SoundRows(files.paths, filled, spec)
            steps = filled.describe() or "samples in -1..1, at the rate they were recorded with"
        else:
            fit = image_fit(spec, self.preprocess)
            filled = fit.pipeline
            rows = ImageRows(files.paths, fit, spec)
            steps = filled.describe()
        noun = "sound files" if files.sound else "images"
        notes = [f"{rows.count} {noun} of {path.name}: {steps}"]
        return Opened(
            {spec.name: rows}, filled, files.labels, files.names, files.root, tuple(notes)
        )

    def _arrays(self, arrays: dict[str, ArrayRows], path: Path) -> Opened:
        labels = None
        if readers.LABELS_KEY not in self.names:
            labels = arrays.pop(readers.LABELS_KEY, None)
        if len(self.names) == 1 and len(arrays) == 1:
            arrays = {self.names[0]: next(iter(arrays.values()))}
        if set(arrays) != set(self.names):
            raise UsageError(
                f"{path} has arrays {', '.join(sorted(arrays)) or 'none'}; the model's inputs are "
                f"{', '.join(self.names)}"
            )
        counts = {name: rows.count for name, rows in arrays.items()}
        if len(set(counts.values())) > 1:
            raise UsageError(f"{path}: arrays differ in their number of samples: {counts}")
        found = None
        if labels is not None:
            count = next(iter(counts.values()))
            values = np.concatenate(list(labels.chunks())) if labels.count else np.zeros(0, int)
            found = Labels(readers.check_labels(values, count, str(path)))
        return Opened(dict(arrays), self.preprocess, found)

    def _staged(self, source: InputSource) -> Opened:
        staged = staging.stage(
            source.kind, source.path, source.part, self.inputs, self.preprocess, self.scratch
        )
        arrays = {
            name: replace(readers.open_arrays(file)[""], ready=staged.ready)
            for name, file in staged.files.items()
        }
        opened = self._arrays(arrays, source.path)
        return Opened(
            opened.rows,
            staged.preprocess,
            opened.labels,
            notes=staged.notes,
            classes=staged.classes,
        )
