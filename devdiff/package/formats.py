"""The kinds of model that apps ship, known by their content first and by their names second.

devdiff tests .tflite files. What it cannot test must be seen all the same, or an app would pass
with a model in it that nobody looked at.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final, Literal

from devdiff.device_runner.runtimes.archive import ZIP
from devdiff.package.onnx_layout import begins_like_onnx, is_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

Form = Literal[
    "tflite",
    "onnx",
    "ort",
    "executorch",
    "pytorch",
    "litertlm",
    "ncnn",
    "mnn",
    "tnn",
    "snpe",
    "gguf",
    "ggml",
    "mindspore",
    "unknown",
]

TITLES: Final[Mapping[Form, str]] = {
    "tflite": "a .tflite model",
    "onnx": "an ONNX model",
    "ort": "an ONNX Runtime model (.ort)",
    "executorch": "an ExecuTorch model",
    "pytorch": "a PyTorch model",
    "litertlm": "a LiteRT-LM bundle",
    "ncnn": "an ncnn model",
    "mnn": "an MNN model",
    "tnn": "a TNN model",
    "snpe": "an SNPE model",
    "gguf": "a GGUF model",
    "ggml": "a GGML model",
    "mindspore": "a MindSpore Lite model",
    "unknown": "named like a model",
}

HEAD: Final = 512
"""How many bytes `form_of` wants of a file's beginning; a tar archive has its mark at 257."""

# A flatbuffer has its identifier behind the offset of its root.
_IDENTIFIERS: Final[tuple[tuple[re.Pattern[bytes], Form], ...]] = (
    (re.compile(rb"TFL3"), "tflite"),
    (re.compile(rb"ORTM"), "ort"),
    (re.compile(rb"(ET|BP|FT)\d\d"), "executorch"),
    (re.compile(rb"PTMF"), "pytorch"),
    (re.compile(rb"MSL\d"), "mindspore"),
)
# .param files of ncnn begin with one number, as text or as four bytes; weights with what they are.
_BEGINNINGS: Final[tuple[tuple[re.Pattern[bytes], Form], ...]] = (
    (re.compile(rb"LITERTLM"), "litertlm"),
    (re.compile(rb"GGUF"), "gguf"),
    (re.compile(rb"(lmgg|fmgg|tjgg)"), "ggml"),
    (re.compile(rb"7767517\s"), "ncnn"),
    *(
        (re.compile(re.escape(struct.pack("<I", number))), "ncnn")
        for number in (7767517, 0x01306B47, 0x000D4B38, 0x0002C056)
    ),
)
# PyTorch aligns what it stores by an extra field of its own in each entry.
_TORCH_PADDING: Final = re.compile(rb"FB..Z*", re.DOTALL)
_TORCH_FORMATS: Final = ("archive_format", ".format_version")
_SUFFIXES: Final[Mapping[str, Form]] = {
    **dict.fromkeys(
        ("tflite", "onnx", "ort", "pte", "ptl", "task", "litertlm", "gguf", "dlc"), "unknown"
    ),
    "mnn": "mnn",
    "tnnmodel": "tnn",
    "tnnproto": "tnn",
}
_NAMED: Final = re.compile(
    rf"\.({'|'.join(_SUFFIXES)})"
    r"(?:\.(?:gz|xz|bz2|zst|zstd|br|lz4|lzma|z|zz|deflate|enc|encrypted|crypt|aes))?$",
    re.IGNORECASE,
)
_NCNN_WEIGHTS: Final = re.compile(r"\.bin$", re.IGNORECASE)
_UNREAD: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (0, b"\x04\x22\x4d\x18", "LZ4"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "RAR"),
    (257, b"ustar", "tar"),
)


def form_of(head: bytes, blocks: Callable[[], Iterable[bytes]]) -> Form | None:
    """What model a file is by its content; None when it is none that is known.

    ``head`` are its first `HEAD` bytes, ``blocks`` gives the whole of it, for what has no mark.
    """
    for pattern, form in _IDENTIFIERS:
        if pattern.match(head, 4):
            return form
    for pattern, form in _BEGINNINGS:
        if pattern.match(head):
            return form
    if begins_like_torch(head):
        return "pytorch"
    return "onnx" if begins_like_onnx(head) and is_onnx(blocks()) else None


def begins_like_torch(head: bytes) -> bool:
    """Whether a zip archive begins as PyTorch writes them: of the 64-bit kind, often."""
    if not head.startswith(ZIP):
        return False
    name_bytes, extra = struct.unpack_from("<2H", head, 26)
    padding = head[30 + name_bytes : 30 + name_bytes + extra]
    return _TORCH_PADDING.fullmatch(padding) is not None


def form_of_archive(names: Collection[str]) -> Form | None:
    """The model that an archive with these entries is; None for one that only holds some."""
    if {"model", "dlc.metadata"} <= set(names):
        return "snpe"
    folders = {name.partition("/")[0] for name in names}
    marks = [f"{folder}/{mark}" for folder in folders for mark in _TORCH_FORMATS]
    marks += [f"{folder}/version" for folder in folders if f"{folder}/data.pkl" in names]
    return "pytorch" if any(mark in names for mark in marks) else None


def form_of_name(name: str, siblings: Collection[str]) -> Form | None:
    """What a file is called like; ``siblings`` are all names around it."""
    found = _NAMED.search(name)
    if found is not None:
        return _SUFFIXES[found[1].lower()]
    if _NCNN_WEIGHTS.search(name) and f"{name[:-4]}.param" in siblings:
        return "ncnn"
    return None


def unread(head: bytes) -> str | None:
    """In which way a file is packed that devdiff cannot look into; None where it can."""
    return next((name for at, mark, name in _UNREAD if head[at : at + len(mark)] == mark), None)
