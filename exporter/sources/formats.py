"""The kinds of models a user may name, told apart without a framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from devdiff.exporter.errors import SourceModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SourceFormat = Literal["onnx", "exported-program", "torch", "keras", "saved-model"]
FINISHED_SUFFIX: Final = ".tflite"


@dataclass(frozen=True, slots=True)
class SourceKind:
    """How models of one format are told, read and recorded.

    ``suffixes`` are those of its files; a folder has none. ``reader`` is the module with its
    `devdiff.exporter.sources.source.SourceReader`, ``extras`` are devdiff's that have to be
    installed, one that contains others first. ``packages`` have a part in the export, so that the
    manifest names their versions. ``through_onnx``: it is turned into ONNX on its way.
    """

    suffixes: tuple[str, ...]
    reader: str
    packages: tuple[str, ...]
    extras: tuple[str, ...] = ("export",)
    through_onnx: bool = False


_SOURCES: Final = "devdiff.exporter.sources"
_ONNX: Final = ("onnx", "onnxsim", "onnx2tf", "tensorflow", "tf_keras", "numpy")
_TORCH: Final = ("torch", "onnxscript", *_ONNX)
FORMATS: Final[Mapping[SourceFormat, SourceKind]] = {
    "onnx": SourceKind((".onnx",), f"{_SOURCES}.onnx", _ONNX, through_onnx=True),
    "exported-program": SourceKind(
        (".pt2",), f"{_SOURCES}.torch_onnx", _TORCH, ("torch",), through_onnx=True
    ),
    "torch": SourceKind(
        (".pt", ".pth"), f"{_SOURCES}.torch_onnx", _TORCH, ("torch",), through_onnx=True
    ),
    "keras": SourceKind(
        (".keras", ".h5", ".hdf5"),
        f"{_SOURCES}.keras",
        ("keras", "tf_keras", "tensorflow", "numpy"),
    ),
    "saved-model": SourceKind((), f"{_SOURCES}.saved_model", ("tensorflow", "numpy")),
}
_SUFFIXES: Final = {suffix: kind for kind, facts in FORMATS.items() for suffix in facts.suffixes}
SAVED_MODEL_FILE: Final = "saved_model.pb"
CHOICES: Final = (
    ".onnx, .pt2, .pt or .pth (PyTorch), .keras or .h5 (Keras), a SavedModel folder, or a finished "
    ".tflite"
)
# What is turned into ONNX on its way, and can therefore be pruned there.
THROUGH_ONNX: Final = frozenset(kind for kind, facts in FORMATS.items() if facts.through_onnx)

_MARKS: Final = (
    (b"PK\x03\x04", 0, "a zip archive (.keras, .pt2 and .pt are such)"),
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file (.h5)"),
    (b"TFL3", 4, "a finished .tflite"),
    (b"\x80", 0, "a Python pickle (.pt, .pth)"),
)


def format_of(path: Path) -> SourceFormat | None:
    """The source format that ``path`` claims to have; None for a finished .tflite.

    Raises `SourceModelError` when it is none that devdiff takes.
    """
    if path.is_dir():
        if not (path / SAVED_MODEL_FILE).is_file():
            raise SourceModelError(
                f"{path} is a folder, but no SavedModel: it has no {SAVED_MODEL_FILE}; name the "
                "folder that tf.saved_model.save (or model.export) wrote"
            )
        return "saved-model"
    if path.name == SAVED_MODEL_FILE:
        raise SourceModelError(f"{path} is a part of a SavedModel: name its folder, {path.parent}")
    if path.suffix == FINISHED_SUFFIX:
        return None
    if path.suffix not in _SUFFIXES:
        raise SourceModelError(f"{path}: devdiff takes {CHOICES}, not {path.suffix!r}")
    return _SUFFIXES[path.suffix]


def check_start(path: Path, mark: bytes, kind: str) -> None:
    """Refuse a file that does not begin with ``mark``, saying what it looks like instead.

    Raises `SourceModelError`.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
    if not start:
        raise SourceModelError(f"{path} is empty: export or copy it again")
    if start.startswith(mark):
        return
    seen = next((name for bits, at, name in _MARKS if start[at:].startswith(bits)), None)
    hint = f"it looks like {seen}: give it the suffix it needs" if seen else "export it again"
    raise SourceModelError(f"{path} is not {kind}, or it is damaged; {hint}")
