"""What a model would have to take for a data set to fit it, where no model is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs import listing, readers
from devdiff.inputs.images import opened
from devdiff.inputs.sound import read_wav, resample
from devdiff.inputs.sources import InputSource

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.inputs.preprocess import Preprocess
    from devdiff.inputs.request import InputRequest

_UPRIGHT_AS_WIDE = (5, 6, 7, 8)  # the orientations of EXIF that swap width and height
_ORIENTATION = 0x0112


def specs_of(request: InputRequest) -> tuple[tuple[TensorSpec, ...], tuple[str, ...]]:
    """The inputs that the samples of ``request`` fit as they are, and notes on what was assumed.

    Raises `UsageError` where only a model tells.
    """
    if request.inputs is None:
        raise UsageError("there is nothing to look at: name samples with --inputs, a MODEL or both")
    source, steps = InputSource.of(request.inputs), request.preprocess
    if source.kind == "arrays":
        return _arrays(source.path, steps), ()
    if source.kind not in ("folder", "csv"):
        raise UsageError(
            f"{request.inputs}: what a loader or a data set gives goes by the names of a model's "
            f"inputs: name it, too (devdiff inputs MODEL --inputs {request.inputs})"
        )
    classes = listing.read_classes(request.classes) if request.classes else None
    of = listing.of_folder if source.kind == "folder" else listing.of_csv
    files = of(source.path, classes)
    return _sound(files.paths[0], steps) if files.sound else _pictures(files.paths[0], steps)


def _arrays(path: Path, steps: Preprocess) -> tuple[TensorSpec, ...]:
    arithmetic = steps.scale is not None or steps.mean or steps.std
    return tuple(
        TensorSpec(name or "input", (1, *rows.shape), "float32" if arithmetic else rows.dtype.name)
        for name, rows in readers.open_arrays(path).items()
        if name != readers.LABELS_KEY
    )


def _pictures(first: Path, steps: Preprocess) -> tuple[tuple[TensorSpec, ...], tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    size = steps.crop or (steps.resize if steps.resize_mode != "cover" else None)
    with opened(first, str(first)) as image:
        grey = image.mode in ("1", "L", "I", "I;16")
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in _UPRIGHT_AS_WIDE:
            width, height = height, width
    if size is None:
        size = (height, width)
        notes = (
            f"no model and no size: shown as large as {first.name}, {height}x{width} "
            "(--preprocess resize=HxW names another size)",
        )
    channels = 1 if steps.channels == "L" or (steps.channels is None and grey) else 3
    shape = (1, *size, channels) if steps.layout != "NCHW" else (1, channels, *size)
    return (TensorSpec("input", shape, "float32"),), notes


def _sound(first: Path, steps: Preprocess) -> tuple[tuple[TensorSpec, ...], tuple[str, ...]]:
    clip = read_wav(first, str(first))
    wave = clip.wave if steps.rate is None else resample(clip.wave, clip.rate, steps.rate)
    length, channels = steps.length or len(wave), 1 if steps.mono else wave.shape[1]
    notes: tuple[str, ...] = ()
    if steps.length is None:
        notes = (
            f"no model and no length: taken as long as {first.name}, {length} samples "
            "(--preprocess length=SAMPLES names another)",
        )
    shape = (1, length) if channels == 1 else (1, channels, length)
    return (TensorSpec("input", shape, "float32"),), notes
