"""PyTorch source models on the host. Imported by the host runner's child process only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devdiff.device_runner.host.engine import RefusalError
from devdiff.device_runner.host.source_engine import SourceEngine
from devdiff.exporter.errors import ExporterError
from devdiff.exporter.sources import torch as torch_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array


class TorchEngine(SourceEngine):
    """An exported program, TorchScript, or a trusted module, run eagerly on the CPU."""

    def __init__(self, model: Path, threads: int, trust: bool) -> None:
        import torch

        torch.set_num_threads(threads)
        self._threads = threads
        self._version = torch.__version__
        try:
            self._model = torch_source.load(model, trust)
        except ExporterError as error:
            raise RefusalError(str(error)) from error
        super().__init__(self._model.input_names)

    def about(self) -> dict[str, Any]:
        return {
            "api": "python",
            "runtime": "torch",
            "runtime_version": self._version,
            "kernels": self._model.kind,
            "threads": self._threads,
        }

    def call(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        return self._model.run(arrays)
