"""Hugging Face data sets that ``save_to_disk`` wrote; runs in a child process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.images import decode, image_fit, image_preparer
from devdiff.inputs.parallel import in_order
from devdiff.inputs.preprocess import Preprocess
from devdiff.inputs.sound import SoundFitter, read_wav

_LABELS: Final = ("labels", "label")
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class Dataset:
    """A split, with the column behind each input; ``ready`` when batches hold finished tensors."""

    rows: Any
    columns: Mapping[str, str]
    label: str | None
    inputs: tuple[TensorSpec, ...]
    preprocess: Preprocess
    ready: bool
    sound: bool
    named: str
    notes: tuple[str, ...]
    classes: tuple[str, ...] = ()

    def batches(self) -> Iterator[dict[str, Array]]:
        """Arrays [n, ...] by input name, with ``labels`` where the data set has a class column."""
        fitter = SoundFitter(self.preprocess, self.inputs[0]) if self.sound else None
        for number, batch in enumerate(self.rows.iter(batch_size=_BATCH)):
            found = {
                name: self._prepared(batch[column], number * _BATCH, fitter)
                if self.ready
                else np.asarray(batch[column])
                for name, column in self.columns.items()
            }
            if self.label is not None:
                found["labels"] = np.asarray(batch[self.label], np.int64)
            yield found

    def _prepared(self, cells: list[Any], first: int, fitter: SoundFitter | None) -> Array:
        (spec,) = self.inputs
        if fitter is not None:
            clips = [
                fitter.fit(read_wav(_bytes(cell, name), name), name)
                for cell, name in self._named(cells, first)
            ]
            return np.stack(clips)
        fit = image_fit(spec, self.preprocess)
        prepare = image_preparer(fit, spec)

        def sample(cell: Any, name: str) -> Array:
            return prepare(decode(_bytes(cell, name), name, fit))

        jobs = (partial(sample, cell, name) for cell, name in self._named(cells, first))
        return np.stack(list(in_order(jobs, _BATCH)))

    def _named(self, cells: list[Any], first: int) -> Iterator[tuple[Any, str]]:
        for place, cell in enumerate(cells):
            yield cell, f"{self.named}, row {first + place}"


def _bytes(cell: Any, name: str) -> bytes | Path:
    if not cell or not (cell.get("bytes") or cell.get("path")):
        raise UsageError(f"{name} is empty")
    data = cell.get("bytes")
    return data if data is not None else Path(cell["path"])


def open_dataset(
    path: Path, split: str, named: str, inputs: tuple[TensorSpec, ...], steps: Preprocess
) -> Dataset:
    """Raises `UsageError` when it is damaged, or its columns do not fit the inputs."""
    import datasets

    try:
        rows = datasets.load_from_disk(str(path))
    except Exception as error:  # pyarrow, json and datasets each have a tree of their own
        raise UsageError(f"{named} is not a readable data set: {error}") from error
    if isinstance(rows, datasets.DatasetDict):
        if split not in rows:
            raise UsageError(
                f"{named} has the splits {', '.join(rows)}: name one, {named}:{next(iter(rows))}"
            )
        rows = rows[split]
    elif split:
        raise UsageError(f"{named} has no splits: leave out :{split}")
    label = _label(rows, datasets)
    columns = _columns(rows, label, inputs, named, datasets)
    kinds = {type(rows.features[column]) for column in columns.values()}
    sound, image = datasets.Audio in kinds, datasets.Image in kinds
    if (sound or image) and len(inputs) > 1:
        raise UsageError(f"{named}: images and sound can only feed a model with one input")
    filled = steps
    for column in columns.values():
        feature = rows.features[column]
        if isinstance(feature, datasets.Audio | datasets.Image):
            rows = rows.cast_column(column, type(feature)(decode=False))
    if image:
        filled = image_fit(inputs[0], steps).pipeline
    elif not sound:
        rows = rows.with_format("numpy")
    shown = ", ".join(f"{name} from column {column}" for name, column in columns.items())
    notes = [f"{len(rows)} rows of {path.name}: {shown}"]
    if sound or image:
        notes[0] += f"; {filled.describe()}" if filled.describe() else ""
    feature = rows.features.get(label)
    classes = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()
    return Dataset(
        rows, columns, label, inputs, filled, sound or image, sound, named, tuple(notes), classes
    )


def _label(rows: Any, datasets: Any) -> str | None:
    """The column with class indices; one that holds only -1, as sets without truth do, is none."""
    for name in _LABELS:
        feature = rows.features.get(name)
        classes = isinstance(feature, datasets.ClassLabel)
        if classes or str(getattr(feature, "dtype", "")).startswith(("int", "uint")):
            values = rows.select_columns(name)
            if any(value != -1 for batch in values.iter(1000) for value in batch[name]):
                return name
    return None


def _columns(
    rows: Any, label: str | None, inputs: tuple[TensorSpec, ...], named: str, datasets: Any
) -> dict[str, str]:
    names = [spec.name for spec in inputs]
    present = [name for name in rows.column_names if name != label and name not in _LABELS]
    if all(name in present for name in names):
        return {name: name for name in names}
    media = [
        name for name in present if isinstance(rows.features[name], datasets.Image | datasets.Audio)
    ]
    for candidates in (media, present):
        if len(names) == 1 and len(candidates) == 1:
            return {names[0]: candidates[0]}
    raise UsageError(
        f"{named} has the columns {', '.join(rows.column_names)}; the model's inputs are "
        f"{', '.join(names)}: rename the columns"
    )
