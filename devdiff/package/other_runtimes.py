"""Native runtimes of models that are no .tflite files: devdiff cannot test with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from devdiff.package.formats import Form

ORT_EXPORT: Final = b"\0OrtGetApiBase\0"
"""What ONNX Runtime exports for apps to call, whatever its file is called."""


@dataclass(frozen=True, slots=True)
class OtherRuntime:
    """``forms`` are the models it runs; none where devdiff does not know them when it sees one."""

    name: str
    forms: tuple[Form, ...] = ()


ONNX_RUNTIME: Final = OtherRuntime("ONNX Runtime", ("onnx", "ort"))
_BY_FILE: Final[tuple[tuple[re.Pattern[str], OtherRuntime], ...]] = tuple(
    (re.compile(pattern), runtime)
    for pattern, runtime in (
        (r"libonnxruntime.*\.so", ONNX_RUNTIME),
        (
            r"lib(executorch|qnn_executorch|neuron_backend).*\.so",
            OtherRuntime("ExecuTorch", ("executorch",)),
        ),
        (r"libpytorch_.*\.so|libtorch(_\w+)?\.so", OtherRuntime("PyTorch", ("pytorch",))),
        (r"libncnn.*\.so", OtherRuntime("ncnn", ("ncnn",))),
        (r"libMNN.*\.so", OtherRuntime("MNN", ("mnn",))),
        (r"libTNN.*\.so", OtherRuntime("TNN", ("tnn",))),
        (r"libSNPE.*\.so", OtherRuntime("SNPE", ("snpe",))),
        (
            r"lib(llama|whisper)([-_.].*)?\.so|libggml.*\.so",
            OtherRuntime("llama.cpp", ("gguf", "ggml")),
        ),
        (r"libmindspore.*\.so", OtherRuntime("MindSpore Lite", ("mindspore",))),
        (r"liblitert_?lm.*\.so", OtherRuntime("LiteRT-LM", ("litertlm",))),
        (r"libpaddle_li.*\.so", OtherRuntime("Paddle Lite")),
        (r"libtensorflow_(inference|jni)\.so", OtherRuntime("TensorFlow")),
    )
)


def runtime_of_file(name: str) -> OtherRuntime | None:
    """The runtime that a library is by its file's name."""
    return next((runtime for pattern, runtime in _BY_FILE if pattern.fullmatch(name)), None)
