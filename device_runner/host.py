"""Runners on this machine: the source model in onnxruntime, artifacts in Python interpreters."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from device_runner import process
from device_runner.errors import RunnerChoiceError, RunnerError
from device_runner.process import Command
from device_runner.runner import Job, Outcome

Kernels = Literal["xnnpack", "builtin", "reference"]
KERNELS: Final[tuple[Kernels, ...]] = ("xnnpack", "builtin", "reference")

DISTRIBUTIONS: Final[Mapping[str, str]] = {
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
    "tensorflow": "tensorflow",
    "onnxruntime": "onnxruntime",
}
_ENVIRONMENT: Final = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


@dataclass(frozen=True, slots=True)
class HostRunner:
    """An interpreter in a child process of its own.

    ``runtime`` is ``litert``, ``tflite-runtime``, ``tensorflow`` or, for ONNX, ``onnxruntime``.
    ``kernels`` chooses TensorFlow Lite's kernels: with the XNNPACK delegate, the optimized builtin
    ones, or the reference ones.
    """

    runtime: str = "litert"
    kernels: Kernels = "xnnpack"
    threads: int = 1

    @classmethod
    def parse(cls, text: str, threads: int = 1) -> Self:
        """``RUNTIME`` or ``RUNTIME:KERNELS``, as ``--host-runtime`` takes it.

        Raises `RunnerChoiceError` when there is no such runtime or kernels.
        """
        runtime, _, kernels = text.partition(":")
        known = [name for name in DISTRIBUTIONS if name != "onnxruntime"]
        if runtime not in known or kernels not in ("", *KERNELS):
            raise RunnerChoiceError(
                f"no host runtime {text!r}: give {', '.join(known)}, with :xnnpack (the default), "
                ":builtin or :reference behind it"
            )
        chosen: Kernels = next((choice for choice in KERNELS if choice == kernels), "xnnpack")
        return cls(runtime, chosen, threads)

    @property
    def name(self) -> str:
        plain = self.runtime == "onnxruntime" or self.kernels == "xnnpack"
        return self.runtime if plain else f"{self.runtime}:{self.kernels}"

    def identity(self) -> Mapping[str, Any]:
        """Runtime, version and kernels. Raises `RunnerError` when it is not installed."""
        distribution = DISTRIBUTIONS[self.runtime]
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError as error:
            raise RunnerError(
                f"{distribution} is not installed: pip install {distribution}, or choose another "
                "--host-runtime"
            ) from error
        return {"runtime": self.runtime, "version": version, "kernels": self.kernels}

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        argv = (
            *(sys.executable, "-m", "device_runner.host_child"),
            *("--model", str(job.model.resolve())),
            *("--runtime", self.runtime),
            *("--kernels", self.kernels),
            *("--threads", str(self.threads)),
        )
        return process.run(Command(argv, _ENVIRONMENT), job, progress)


SOURCE_RUNNER: Final = HostRunner("onnxruntime")
