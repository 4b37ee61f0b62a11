"""What the classes of a model are called, from wherever that is known.

Nothing of a framework is needed: the few metadata of a model that hold names are read off the file.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.report.model import ClassNames
from devdiff.system import plain_json
from devdiff.tasks.sequence import Reading, Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.subject import Subject
    from devdiff.tasks.resolve import ResolvedTask
    from devdiff.tasks.task import Task

_MOST_BYTES: Final = 4 << 20
_MOST_CLASSES: Final = 50_000
# What exporters call a list of names in a model's metadata.
_KEYS: Final = ("names", "class_names", "classes", "labels", "id2label")
_METADATA_PROPS: Final = 14  # of ONNX's ModelProto


def known(read: Subject, samples: InputSet, task: ResolvedTask | None) -> ClassNames | None:
    """The names by the task's alphabet, else by the user's word, the data's, the truth's or the
    model's."""
    if task is not None and (symbols := _symbols(task.task)):
        return ClassNames(symbols, Path(task.request.options["alphabet"]).name)
    if samples.known_classes:
        return ClassNames(samples.known_classes, samples.classes_origin)
    if samples.labels is not None and samples.class_names:
        return ClassNames(samples.class_names, f"{Path(samples.origin).name}, in sorted order")
    request = task.request if task is not None else None
    if request is not None and request.kind == "detection" and request.truth is not None:
        names = _of_categories(request.truth, request.options.get("categories") == "ids")
        if names:
            return ClassNames(names, request.truth.name)
    files = [finished.path for finished in read.finished[-1:]]
    if read.source is not None:
        files.insert(0, read.source.path)
    for path in files:
        names = of_model(path)
        if names:
            return ClassNames(names, f"metadata of {path.name}")
    return None


def _symbols(task: Task) -> tuple[str, ...]:
    """The symbols that the classes of a sequence stand for, of a blank none."""
    if not isinstance(task, Reading | Tokens) or task.alphabet is None:
        return ()
    if isinstance(task, Tokens):
        return task.alphabet
    return (*task.alphabet[: task.blank], "", *task.alphabet[task.blank :])


def of_model(path: Path) -> tuple[str, ...]:
    """The names in an ONNX file's metadata, or in those packed behind a .tflite; none where there
    are none, or the file is damaged."""
    try:
        if path.suffix == ".onnx":
            return _of_metadata(_onnx_metadata(path))
        if path.suffix == ".tflite" and zipfile.is_zipfile(path):
            return _of_archive(path)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return ()
    return ()


def _of_metadata(metadata: Mapping[str, str]) -> tuple[str, ...]:
    for key in _KEYS:
        if key in metadata and (names := _listed(_value(metadata[key]))):
            return names
    return ()


def _value(text: str) -> Any:
    """A list or a mapping as JSON or Python writes it; None for what is neither."""
    for parse in (plain_json.parse, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _listed(value: Any) -> tuple[str, ...]:
    """Names in the order of their numbers, empty ones where a number has none."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping) or not value:
        return ()
    found = {}
    for key, name in value.items():
        if not str(key).isdecimal() or not isinstance(name, str) or int(key) >= _MOST_CLASSES:
            return ()
        found[int(key)] = name.strip()
    return tuple(found.get(index, "") for index in range(max(found) + 1))


def _of_archive(path: Path) -> tuple[str, ...]:
    """As Ultralytics (``metadata.json``) and TensorFlow Lite's metadata (label files) pack them."""
    with zipfile.ZipFile(path) as archive:
        small = [info for info in archive.infolist() if info.file_size <= _MOST_BYTES]
        texts = {
            info.filename: archive.read(info).decode("utf-8", "replace")
            for info in small[:16]
            if info.filename.endswith((".json", ".txt"))
        }
    for text in texts.values():
        value = _value(text)
        if isinstance(value, Mapping):
            for key in _KEYS:
                if names := _listed(value.get(key)):
                    return names
    for name, text in texts.items():
        if name.endswith(".txt") and "label" in name.lower() and _value(text) is None:
            return tuple(line.strip() for line in text.splitlines())[:_MOST_CLASSES]
    return ()


def _of_categories(path: Path, by_id: bool) -> tuple[str, ...]:
    """The categories of COCO's JSON, numbered as the task numbers them."""
    if path.suffix != ".json":
        return ()
    try:
        categories = plain_json.parse(path.read_text("utf-8"))["categories"]
        named = sorted((int(entry["id"]), str(entry["name"])) for entry in categories)
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return _listed(dict(named) if by_id else [name for _, name in named])


def _onnx_metadata(path: Path) -> dict[str, str]:
    """Keys and values of ``metadata_props``; the graph before them is skipped, not read."""
    found = {}
    with path.open("rb") as stream:
        for field, length in _fields(stream):
            if field != _METADATA_PROPS or length > _MOST_BYTES:
                stream.seek(length, 1)
                continue
            end = stream.tell() + length
            entry = {}
            for part, size in _fields(stream, end):
                entry[part] = stream.read(size).decode("utf-8", "replace")
            found[entry.get(1, "")] = entry.get(2, "")
    return found


def _fields(stream: IO[bytes], end: int | None = None) -> Iterator[tuple[int, int]]:
    """Number and length of each field with a length of a protobuf message; whoever iterates reads
    or skips it. Raises `ValueError` where the file is none."""
    while end is None or stream.tell() < end:
        tag = _varint(stream)
        if tag is None:
            return
        match tag & 7:
            case 0:
                _varint(stream)
            case 1:
                stream.seek(8, 1)
            case 2:
                length = _varint(stream)
                if length is None:
                    raise ValueError("the file ends in a field")
                yield tag >> 3, length
            case 5:
                stream.seek(4, 1)
            case _:
                raise ValueError("no protobuf message")


def _varint(stream: IO[bytes]) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no protobuf message")
