"""Runners on this machine: source models in their frameworks, artifacts in Python interpreters."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from devdiff.device_runner import process
from devdiff.device_runner.errors import RunnerChoiceError
from devdiff.device_runner.process import Command
from devdiff.system import extras

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.device_runner.runner import Job, Outcome

Kernels = Literal["xnnpack", "builtin", "reference"]
KERNELS: Final[tuple[Kernels, ...]] = ("xnnpack", "builtin", "reference")

SOURCE_RUNTIMES: Final = ("onnxruntime", "torch", "keras", "tf-keras", "tensorflow")
DISTRIBUTIONS: Final[Mapping[str, str]] = {
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
    "tensorflow": "tensorflow",
}
_EXTRAS: Final[Mapping[str, str]] = {
    "keras": "export",
    "onnxruntime": "export",
    "tensorflow": "export",
    "tf-keras": "export",
    "torch": "torch",
}
_ENVIRONMENT: Final = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    # Keras 2, which onnx2tf needs as well, stands beside Keras 3.
    "TF_USE_LEGACY_KERAS": "1",
}


@dataclass(frozen=True, slots=True)
class HostRunner:
    """An interpreter in a child process of its own.

    ``runtime`` is ``litert``, ``tflite-runtime`` or ``tensorflow``. ``kernels`` chooses TensorFlow
    Lite's kernels: with the XNNPACK delegate, the optimized builtin ones, or the reference ones.
    """

    runtime: str = "litert"
    kernels: Kernels = "xnnpack"
    threads: int = 1

    @classmethod
    def parse(cls, text: str, threads: int = 1) -> Self:
        """``RUNTIME`` or ``RUNTIME:KERNELS``, as ``--host-runtime`` takes it.

        Raises `RunnerChoiceError` when there is no such runtime or kernels, or it is not installed.
        """
        runtime, _, kernels = text.partition(":")
        if runtime not in DISTRIBUTIONS or kernels not in ("", *KERNELS):
            raise RunnerChoiceError(
                f"no host runtime {text!r}: give {', '.join(DISTRIBUTIONS)}, with :xnnpack (the "
                "default), :builtin or :reference behind it"
            )
        chosen: Kernels = next((choice for choice in KERNELS if choice == kernels), "xnnpack")
        found = cls(runtime, chosen, threads)
        found.identity()
        return found

    @property
    def name(self) -> str:
        return self.runtime if self.kernels == "xnnpack" else f"{self.runtime}:{self.kernels}"

    def identity(self) -> Mapping[str, Any]:
        """Runtime, version and kernels. Raises `RunnerChoiceError` when it is not installed."""
        version = _version(DISTRIBUTIONS[self.runtime], ", or choose another --host-runtime")
        return {"runtime": self.runtime, "version": version, "kernels": self.kernels}

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        argv = (
            *(sys.executable, "-m", "devdiff.device_runner.host.child"),
            *("--model", str(job.model.resolve())),
            *("--runtime", self.runtime),
            *("--kernels", self.kernels),
            *("--threads", str(self.threads)),
        )
        return process.run(Command(argv, _ENVIRONMENT), job, progress)


@dataclass(frozen=True, slots=True)
class SourceRunner:
    """A source model in the framework it comes from, in a child process of its own.

    ``runtime`` is one of `SOURCE_RUNTIMES`. ``signature`` chooses a SavedModel's function,
    ``trust`` allows code in the file to run.
    """

    runtime: str = "onnxruntime"
    signature: str | None = None
    trust: bool = False
    threads: int = 1

    @property
    def name(self) -> str:
        return self.runtime

    def identity(self) -> Mapping[str, Any]:
        """Runtime and version. Raises `RunnerChoiceError` when it is not installed."""
        return {"runtime": self.runtime, "version": _version(self.runtime)}

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        argv = (
            *(sys.executable, "-m", "devdiff.device_runner.host.child", "--source"),
            *("--model", str(job.model.resolve())),
            *("--runtime", self.runtime),
            *("--threads", str(self.threads)),
            *(("--signature", self.signature) if self.signature else ()),
            *(("--trust",) if self.trust else ()),
        )
        return process.run(Command(argv, _ENVIRONMENT), job, progress)


def _version(distribution: str, otherwise: str = "") -> str:
    version = extras.installed(distribution)
    if version is None:
        pinned = extras.pinned(distribution)
        package = f"pip install {distribution}{f'=={pinned}' if pinned else ''}"
        how = extras.install(_EXTRAS[distribution]) if distribution in _EXTRAS else package
        raise RunnerChoiceError(f"{distribution} is not installed: {how}{otherwise}")
    return version


SOURCE_RUNNER: Final = SourceRunner()
