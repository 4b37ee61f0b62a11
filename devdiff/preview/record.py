"""What a look at an input set comes to, for programs and for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from devdiff.report.model import DataCheckSection
from devdiff.report.model.places import InputsRecord
from devdiff.system.typed_json import Count, Record, fields

if TYPE_CHECKING:
    from devdiff.inputs.lint import DataWarning


class ChannelRange(Record, frozen=True):
    """The values of one channel, or of a whole input that has none."""

    low: float
    high: float
    mean: float
    std: float


class TensorView(Record, frozen=True):
    """An input as the model will see it.

    The figures are of ``samples`` samples, spread over all. ``channels`` are by channel of an
    image, and empty for anything else; ``histogram`` counts values in equal parts of the range.
    """

    name: str
    shape: tuple[Count, ...]
    dtype: str
    samples: Count
    values: ChannelRange
    channels: tuple[ChannelRange, ...]
    histogram: tuple[Count, ...]


class ClassCount(Record, frozen=True):
    """How many of the samples have a class; ``name`` where it is known."""

    label: int
    name: str | None
    samples: Count


class InputsView(Record, frozen=True):
    """What a look at an input set comes to; ``model`` is null where none was named.

    ``classes`` are empty without labels, ``answers`` null where no model could be asked.
    """

    kind: Literal["devdiff inputs"]
    model: str | None
    inputs: InputsRecord
    tensors: tuple[TensorView, ...]
    classes: tuple[ClassCount, ...]
    notes: tuple[str, ...]
    answers: DataCheckSection | None

    @property
    def warnings(self) -> tuple[DataWarning, ...]:
        return self.inputs.warnings

    def to_json(self) -> dict[str, Any]:
        """What ``devdiff inputs --json`` prints."""
        return fields(self)
