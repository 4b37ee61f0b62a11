"""What the samples themselves say of a mistake: the same, blank or repeated ones, labels that say
nothing or contradict each other, values on another scale than networks are trained with.

Every rung gets the same samples, so none of it shows as a difference between rungs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from devdiff.comparison.wording import count
from devdiff.inputs.input_range import another_scale, unsuited
from devdiff.inputs.variants import channel_axis
from devdiff.system.typed_json import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array, TensorSpec
    from devdiff.inputs.digest import RowFacts
    from devdiff.inputs.preprocess import Preprocess

Kind = Literal[
    "same samples", "blank samples", "repeated samples", "labels", "channel", "scale", "range"
]
_LOOKED_AT: Final = 64
_ROWS_SHOWN: Final = 5
# Few values repeat by chance.
_FEWEST_VALUES: Final = 64


class DataWarning(Record, frozen=True):
    """One thing that looks like a mistake in the inputs; ``input`` is the tensor, empty for all.

    ``range`` is what only a model could refute: values that may be right for it.
    """

    kind: Kind
    input: str
    text: str

    def __str__(self) -> str:
        return f"input {self.input!r}: {self.text}" if self.input else self.text


def warnings(
    folder: Path,
    inputs: Sequence[TensorSpec],
    pipeline: Preprocess,
    tested: Array,
    facts: Sequence[Sequence[RowFacts]],
    labels: Array | None,
    names: Sequence[str] = (),
) -> list[DataWarning]:
    """What is odd about the ``tested`` rows int64 [N] of an input set's folder.

    ``facts`` are those of each tested row, input by input, ``labels`` their classes int64 [N];
    ``pipeline`` made the values. ``names`` are those of all rows, if they have any.
    """
    found = [
        *_alike(inputs, tested, facts, names),
        *_labels(labels, tested, facts, inputs, names),
    ]
    for position, (spec, rows) in enumerate(zip(inputs, facts, strict=True)):
        found += _blank(spec, tested, rows, names)
        array: Array = np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
        seen = some(array, tested)
        found += [DataWarning("scale", spec.name, text) for text in unsuited(seen, spec, pipeline)]
        found += [
            DataWarning("range", spec.name, text) for text in another_scale(seen, spec, pipeline)
        ]
        found += _channels(spec, seen)
    return found


def some(array: Array, rows: Array, most: int = _LOOKED_AT) -> Array:
    """Up to ``most`` of the ``rows`` of an input, spread over them, [n, *shape]."""
    step = max(1, len(rows) // most)
    return np.stack([array[row] for row in rows[::step][:most]])


def _alike(
    inputs: Sequence[TensorSpec],
    tested: Array,
    facts: Sequence[Sequence[RowFacts]],
    names: Sequence[str],
) -> Iterator[DataWarning]:
    """Samples that are copies of one another add nothing, and make intervals too narrow."""
    if len(tested) < 2:
        return
    same = [spec.name for spec, rows in zip(inputs, facts, strict=True) if _distinct(rows) == 1]
    if len(same) == len(inputs):
        text = f"all {len(tested)} samples are the same, so they test no more than one does"
        yield DataWarning("same samples", "", text)
        return
    for name in same:
        text = f"it is the same in all {len(tested)} samples, so nothing is tested of what it does"
        yield DataWarning("same samples", name, text)
    if sum(spec.elements for spec in inputs) < _FEWEST_VALUES:
        return
    groups = _groups(tested, facts)
    copies = len(tested) - len(groups)
    if copies:
        repeated = next(rows for rows in groups if len(rows) > 1)
        text = (
            f"{copies} of {count(len(tested), 'sample')} "
            f"{'is a copy' if copies == 1 else 'are copies'} of others ({_rows(repeated, names)} "
            "are alike): they count as evidence of their own and are not"
        )
        yield DataWarning("repeated samples", "", text)


def _labels(
    labels: Array | None,
    tested: Array,
    facts: Sequence[Sequence[RowFacts]],
    inputs: Sequence[TensorSpec],
    names: Sequence[str],
) -> Iterator[DataWarning]:
    if labels is None or len(labels) < 2:
        return
    if len(np.unique(labels)) == 1:
        text = (
            f"all {len(labels)} labels are class {labels[0]}: accuracy says nothing of the other "
            "classes; take samples of several, in any order"
        )
        yield DataWarning("labels", "", text)
    if sum(spec.elements for spec in inputs) < _FEWEST_VALUES:
        return
    label = dict(zip(tested.tolist(), labels.tolist(), strict=True))
    for rows in _groups(tested, facts):
        if len({label[row] for row in rows}) > 1:
            shown = ", ".join(
                f"{_rows([row], names)}: class {label[row]}" for row in rows[:_ROWS_SHOWN]
            )
            text = f"the same sample has several labels ({shown}): look whether labels are in order"
            yield DataWarning("labels", "", text)
            return


def _blank(
    spec: TensorSpec, tested: Array, rows: Sequence[RowFacts], names: Sequence[str]
) -> Iterator[DataWarning]:
    """Pictures of one colour, where not all are."""
    if channel_axis(spec) is None or spec.elements < _FEWEST_VALUES:
        return
    blank = [int(row) for row, fact in zip(tested, rows, strict=True) if fact.low == fact.high]
    if blank:
        hold = "holds" if len(blank) == 1 else "hold"
        text = (
            f"{len(blank)} of {count(len(tested), 'sample')} {hold} one value throughout "
            f"({_rows(blank, names)}): look whether they are damaged, or empty"
        )
        yield DataWarning("blank samples", spec.name, text)


def _channels(spec: TensorSpec, seen: Array) -> Iterator[DataWarning]:
    """A channel that never changes beside others that do: an alpha channel, or one lost."""
    axis = channel_axis(spec)
    if axis is None or spec.shape[axis] < 3 or spec.elements < _FEWEST_VALUES:
        return
    others = tuple(place for place in range(seen.ndim) if place != axis + 1)
    spans = np.ptp(seen, axis=others)
    still = np.flatnonzero(spans == 0)
    if 0 < len(still) < len(spans):
        text = f"channel {still[0]} holds the same value everywhere, and others vary"
        yield DataWarning("channel", spec.name, text)


def _groups(tested: Array, facts: Sequence[Sequence[RowFacts]]) -> list[list[int]]:
    """Rows that are alike in every input, in the order of the first of each group."""
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for row, *values in zip(tested.tolist(), *facts, strict=True):
        groups.setdefault(tuple(fact.digest for fact in values), []).append(row)
    return list(groups.values())


def _distinct(rows: Sequence[RowFacts]) -> int:
    return len({fact.digest for fact in rows})


def _rows(rows: Sequence[int], names: Sequence[str]) -> str:
    """``row 3``, ``rows 3, 7, 9, …``, or the files where samples have names."""
    more = ", …" if len(rows) > _ROWS_SHOWN else ""
    shown = ", ".join(names[row] if names else str(row) for row in rows[:_ROWS_SHOWN]) + more
    return shown if names else f"row{'' if len(rows) == 1 else 's'} {shown}"
