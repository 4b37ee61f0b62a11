"""What every engine of the host runner does: load a model, and run one sample at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.device_runner.pack import PackTensor
    from devdiff.exporter.artifact import Array


class RefusalError(Exception):
    """Why the runner cannot begin; one clear sentence."""


class Engine(ABC):
    """A loaded model that runs one sample at a time."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What runs, by the runtime's own word."""

    @abstractmethod
    def bind(self, tensors: Sequence[PackTensor]) -> None:
        """Match the pack's tensors to the model's inputs by name. Raises `RefusalError`."""

    @abstractmethod
    def outputs(self) -> tuple[PackTensor, ...]: ...

    @abstractmethod
    def invoke(self, arrays: Sequence[Array]) -> tuple[int, list[Array]]:
        """Nanoseconds of the invocation alone, and the outputs."""


def check_tensor(wanted: PackTensor, known: PackTensor | None, names: list[str]) -> None:
    """Raises `RefusalError` when an input of the pack is none of the model's."""
    if known is None:
        raise RefusalError(f"the model has no input {wanted.name!r}; it has {', '.join(names)}")
    if (wanted.dtype, wanted.shape) != (known.dtype, known.shape):
        raise RefusalError(
            f"input {wanted.name!r} is {known.dtype}{list(known.shape)} in the model, "
            f"{wanted.dtype}{list(wanted.shape)} in the inputs"
        )
