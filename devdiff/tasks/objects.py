"""True objects on images: COCO's JSON, or a file an image (.npz, or YOLO's .txt)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.errors import UsageError
from devdiff.inputs import readers
from devdiff.system import plain_json
from devdiff.tasks.detection import Objects
from devdiff.tasks.truth import by_stem, stem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array
    from devdiff.tasks.frame import Frame


class TrueObjects:
    """Objects of rows, with boxes moved onto the model's input.

    ``numbered`` says how classes of COCO's JSON are numbered: by the order of the categories' ids,
    or by the ids themselves. Raises `UsageError` when a row has no entry, or one cannot be read.
    """

    def __init__(self, path: Path, frame: Frame, rows: int, by_id: bool) -> None:
        self._path = path
        self._frame = frame
        self._files: dict[str, Path] = {}
        self._known: dict[int, tuple[Array, Array, Array]] = {}
        names = frame.samples.names
        if path.is_dir():
            self._files = by_stem(path, (".npz", ".txt"))
            if not names:
                raise UsageError(
                    f"{path}: files an image need inputs with file names; give COCO's JSON, whose "
                    "images are then taken in the order of their ids"
                )
            missing = next((name for name in names if stem(name) not in self._files), None)
            if missing is not None:
                raise UsageError(
                    f"{path} holds neither {stem(missing)}.npz nor {stem(missing)}.txt: an image "
                    "without objects has an empty one"
                )
            return
        self._known = _coco(path, names, rows, by_id)

    def of(self, row: int) -> Objects:
        placed = self._frame.placement(row)
        if self._files:
            file = self._files[stem(self._frame.samples.names[row])]
            read = _npz if file.suffix == ".npz" else _yolo
            boxes, classes, crowd = read(file, self._frame.original(row))
        else:
            boxes, classes, crowd = self._known[row]
        return Objects(placed.boxes(boxes), classes, crowd)


def _coco(
    path: Path, names: tuple[str, ...], rows: int, by_id: bool
) -> dict[int, tuple[Array, Array, Array]]:
    try:
        data = plain_json.parse(path.read_text("utf-8"))
        images = sorted(data["images"], key=lambda image: image["id"])
        ids = sorted(category["id"] for category in data["categories"])
        found: dict[Any, list[Mapping[str, Any]]] = {image["id"]: [] for image in images}
        for annotation in data["annotations"]:
            found[annotation["image_id"]].append(annotation)
        order = {number: number if by_id else place for place, number in enumerate(ids)}
        if names:
            by_name = {str(image["file_name"]): image["id"] for image in images}
            by_last = {Path(name).name: number for name, number in by_name.items()}
            chosen = [by_name.get(name, by_last.get(Path(name).name)) for name in names]
            if None in chosen:
                missing = names[chosen.index(None)]
                raise UsageError(f"{path} says nothing of {missing}: it needs each image")
        else:
            chosen = [image["id"] for image in images]
            if len(chosen) != rows:
                raise UsageError(f"{path} has {len(chosen)} images, the inputs are {rows} samples")
        return {row: _annotations(found[number], order) for row, number in enumerate(chosen)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not COCO's JSON of objects: {error!r}") from error


def _annotations(
    annotations: list[Mapping[str, Any]], order: Mapping[int, int]
) -> tuple[Array, Array, Array]:
    boxes = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    if not np.isfinite(boxes).all():
        raise ValueError("a box is not finite")
    classes = np.array([order[a["category_id"]] for a in annotations], np.int64)
    crowd = np.array([bool(a.get("iscrowd", 0)) for a in annotations], np.bool_)
    return boxes, classes, crowd


def _npz(path: Path, _size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Arrays ``boxes`` [n, 4], corners in pixels of the image, and ``classes`` [n]."""
    arrays = readers.open_arrays(path)
    if set(arrays) != {"boxes", "classes"}:
        raise UsageError(f"{path} must hold boxes [n,4] (x0, y0, x1, y1 in pixels) and classes [n]")
    boxes, classes = (
        np.concatenate([np.zeros((0, *arrays[name].shape)), *arrays[name].chunks()])
        for name in ("boxes", "classes")
    )
    if boxes.ndim != 2 or boxes.shape != (len(classes), 4) or not np.isfinite(boxes).all():
        raise UsageError(f"{path}: boxes are {list(boxes.shape)}, classes {list(classes.shape)}")
    return boxes, classes.astype(np.int64), np.zeros(len(classes), np.bool_)


def _yolo(path: Path, size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Lines ``class cx cy w h``, in shares of the image's size."""
    try:
        text = path.read_text("utf-8")
        lines = [[float(word) for word in line.split()] for line in text.splitlines()]
        table = np.array([line for line in lines if line], np.float64).reshape(-1, 5)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text: its lines must be 'class cx cy w h'") from error
    except ValueError as error:
        raise UsageError(f"{path}: its lines must be 'class cx cy w h': {error}") from error
    if not np.isfinite(table).all():
        raise UsageError(f"{path} holds NaN or infinity")
    centre, half = table[:, 1:3], table[:, 3:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1)
    boxes = corners * np.array([*size, *size])
    return boxes, table[:, 0].astype(np.int64), np.zeros(len(table), np.bool_)
