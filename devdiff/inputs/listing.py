"""Files and what they are called: CSV lists of paths, and folders with a subfolder a class."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array
from devdiff.inputs.images import IMAGE_SUFFIXES
from devdiff.inputs.sound import SOUND_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

PATH: Final = "path"
LABEL: Final = "label"
_NAMES_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of samples in order; ``names`` are what the report calls them, relative to ``root``."""

    root: Path
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    labels: Labels | None
    sound: bool


@dataclass(frozen=True, slots=True)
class Labels:
    """Class indices int64 [N]. ``guessed`` is how many classes a model must have for those that
    are numbered by the order of their names alone, or at least have (``at_least``) for subfolders
    that are numbers; ``note`` says what was guessed. ``names`` are those of the classes that were
    numbered by their order."""

    values: Array
    guessed: int | None = None
    note: str | None = None
    at_least: bool = False
    names: tuple[str, ...] = ()


def of_folder(folder: Path, classes: Sequence[str] | None) -> Listing:
    """The images, or else the WAV files, under a folder.

    Where every file lies in one of several subfolders, those of the first level are the classes,
    numbered by ``classes``, by their own numbers, or in sorted order. Raises `UsageError` when
    there is nothing, or both images and sound.
    """
    images, sounds = (_files(folder, kind) for kind in (IMAGE_SUFFIXES, SOUND_SUFFIXES))
    if images and sounds:
        raise UsageError(
            f"{folder} holds both images ({images[0].name}) and sound ({sounds[0].name}): name a "
            "folder with one of them"
        )
    paths = images or sounds
    if not paths:
        wanted = ", ".join(sorted(IMAGE_SUFFIXES | SOUND_SUFFIXES))
        raise UsageError(f"{folder} holds no images or sound ({wanted}): name another folder")
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    folders = [name.partition("/")[0] for name in names if "/" in name]
    labels = None
    if len(folders) == len(names) and len(set(folders)) > 1:
        origin = f"subfolders of {folder.name}"
        if classes is None and all(name.isdecimal() for name in folders):
            values = np.array([int(name[:9]) for name in folders], np.int64)
            note = f"classes are the numbers of the {origin}"
            labels = Labels(values, int(values.max()) + 1, note, at_least=True)
        else:
            labels = _numbered(folders, classes, origin)
    return Listing(folder, paths, names, labels, sound=bool(sounds))


def _files(folder: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """Files under ``folder`` with one of these endings, in the order of their relative names."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file()]
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).as_posix()))


def of_csv(path: Path, classes: Sequence[str] | None) -> Listing:
    """The files that a CSV names in its column ``path``, relative to the CSV; ``label`` if there.

    Without a header there may be one column (paths) or two (paths and labels). Absolute paths, and
    such that lead out of the CSV's folder, are the user's own and are followed. Raises `UsageError`
    naming the line that is wrong.
    """
    columns = read_columns(path)
    files = columns.get(PATH)
    if files is None:
        raise UsageError(
            f"{path} has no column {PATH!r} (its header is {', '.join(columns)}): the first line "
            "is path,label, or a file name and its class"
        )
    paths = tuple(path.parent / name for name in files)
    for number, file in enumerate(paths):
        if not file.is_file():
            raise UsageError(
                f"{path}, sample {number}: there is no file {file} (paths are relative to the "
                "CSV's folder)"
            )
    suffixes = {file.suffix.lower() for file in paths}
    if not (suffixes <= IMAGE_SUFFIXES or suffixes <= SOUND_SUFFIXES):
        odd = next(f for f in paths if f.suffix.lower() not in IMAGE_SUFFIXES)
        raise UsageError(
            f"{path} names {odd.name}: its files must all be images "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}) or all be .wav"
        )
    labels = class_indices(columns[LABEL], classes, path) if LABEL in columns else None
    return Listing(path.parent, paths, tuple(files), labels, suffixes <= SOUND_SUFFIXES)


def read_columns(path: Path) -> dict[str, list[str]]:
    """The columns of a CSV by name, all of the same length; see `of_csv` for the header.

    Raises `UsageError` when it is no CSV, or a line has another number of fields.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [(line, row) for line, row in enumerate(csv.reader(stream), 1) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not rows:
        raise UsageError(f"{path} holds zero samples: there is nothing to test with")
    header = [field.strip().lower() for field in rows[0][1]]
    if PATH in header:
        rows = rows[1:]
    elif len(header) <= 2:
        known = IMAGE_SUFFIXES | SOUND_SUFFIXES
        if Path(rows[0][1][0].strip()).suffix.lower() in known:
            header = [PATH, LABEL][: len(header)]
    if not rows:
        raise UsageError(f"{path} holds zero samples: there is nothing to test with")
    for line, row in rows:
        if len(row) != len(header):
            raise UsageError(
                f"{path}, line {line}: {len(row)} fields, the first line has {len(header)}"
            )
    return {
        name: [row[position].strip() for _, row in rows] for position, name in enumerate(header)
    }


def class_indices(values: Sequence[str], classes: Sequence[str] | None, path: Path) -> Labels:
    """Labels that are numbers as they are, and names by ``classes`` or in sorted order."""
    empty = next((number for number, value in enumerate(values) if not value), None)
    if empty is not None:
        raise UsageError(f"{path}, sample {empty} has no label")
    try:
        return Labels(np.array([int(value) for value in values], np.int64))
    except ValueError:
        return _numbered(values, classes, f"labels of {path.name}")
    except OverflowError as error:
        raise UsageError(f"{path}: a label is no class index: {error}") from error


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of classes, one a line, the first for class 0. Raises `UsageError`."""
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: {error}") from error
    while names and not names[-1]:
        names = names[:-1]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"{path} must hold one class name a line, each once")
    return names


def _numbered(names: Sequence[str], classes: Sequence[str] | None, origin: str) -> Labels:
    if classes is not None:
        order = {name: number for number, name in enumerate(classes)}
        unknown = next((name for name in names if name not in order), None)
        if unknown is not None:
            raise UsageError(
                f"{unknown!r} among the {origin} is none of the {len(classes)} names of --classes"
            )
        return Labels(np.array([order[name] for name in names], np.int64))
    order = {name: number for number, name in enumerate(sorted(set(names)))}
    shown = ", ".join(f"{number} {name}" for name, number in list(order.items())[:_NAMES_SHOWN])
    more = f", and {len(order) - _NAMES_SHOWN} more" if len(order) > _NAMES_SHOWN else ""
    note = (
        f"classes are the {origin} in sorted order: {shown}{more}; --classes names a file with the "
        "model's own order"
    )
    values = np.array([order[name] for name in names], np.int64)
    return Labels(values, len(order), note, names=tuple(order))
