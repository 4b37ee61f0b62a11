"""Keras models and SavedModels on the host. Imported by the host runner's child process only."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from devdiff.device_runner.host.engine import RefusalError
from devdiff.device_runner.host.source_engine import SourceEngine
from devdiff.exporter.errors import ExporterError
from devdiff.exporter.sources import keras, saved_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array


class TensorFlowEngine(SourceEngine):
    """A model as one TensorFlow function on the CPU."""

    def __init__(
        self, model: Path, runtime: str, threads: int, signature: str | None, trust: bool
    ) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._runtime, self._threads = runtime, threads
        self._tensorflow = tf.__version__
        try:
            if runtime == "tensorflow":
                self._model = saved_model.load(model, signature, trust)
            else:
                self._model = keras.load(model, trust)
        except ExporterError as error:
            raise RefusalError(str(error)) from error
        self._run = self._model.runner()
        super().__init__([declared.name for declared in self._model.inputs])

    def about(self) -> dict[str, Any]:
        return {
            "api": "python",
            "runtime": self._runtime,
            "runtime_version": importlib.metadata.version(self._runtime),
            "kernels": f"tensorflow {self._tensorflow}",
            "threads": self._threads,
        }

    def call(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        return self._run(arrays)
