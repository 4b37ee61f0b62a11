"""A source model in the framework it comes from, as an engine of the host runner."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from devdiff.device_runner.host.engine import Engine, RefusalError
from devdiff.device_runner.pack import PackTensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.exporter.artifact import Array


class SourceEngine(Engine):
    """A function from arrays by name to outputs by name.

    ``names`` are the model's inputs. What the outputs are is found by running zeros once, which
    also compiles what the framework compiles on the first call.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._known = names

    @abstractmethod
    def call(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run one sample."""

    def bind(self, tensors: Sequence[PackTensor]) -> None:
        names = [tensor.name for tensor in tensors]
        if set(names) != set(self._known):
            raise RefusalError(
                f"the inputs are {', '.join(names)}, the model has {', '.join(self._known)}"
            )
        self._names = names
        zeros = {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in tensors}
        try:
            first = self.call(zeros)
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise RefusalError(
                f"the model does not run with inputs of these shapes and types: {reason}"
            ) from error
        self._outputs = tuple(
            PackTensor(name, value.dtype.name, value.shape) for name, value in first.items()
        )

    def outputs(self) -> tuple[PackTensor, ...]:
        return self._outputs

    def invoke(self, arrays: Sequence[Array]) -> tuple[int, list[Array]]:
        sample = dict(zip(self._names, arrays, strict=True))
        start = time.perf_counter_ns()
        found = self.call(sample)
        elapsed = time.perf_counter_ns() - start
        return elapsed, [np.ascontiguousarray(found[tensor.name]) for tensor in self._outputs]
