"""Small data sets of every kind, and the input set that comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy.io import wavfile

from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.input_set import InputRequest, InputSet, prepare
from devdiff.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from pathlib import Path

RGB = TensorSpec("image", (1, 3, 16, 24), "float32")
WAVE = TensorSpec("wave", (1, 1600), "float32")


def prepared(
    folder: Path, inputs: Path, spec: TensorSpec = RGB, steps: str = "", **request: Any
) -> InputSet:
    """An input set without a calibration part; ``steps`` as ``--preprocess`` takes them."""
    asked = InputRequest(inputs, preprocess=Preprocess.parse(steps), **request)
    return prepare(asked, (spec,), {}, folder / "run-inputs", calibrate=False)


def picture(path: Path, size: tuple[int, int] = (30, 20), colour: Any = (255, 0, 51)) -> Path:
    """An image of one colour; ``size`` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def gradient(path: Path, height: int, width: int) -> Array:
    """An image in which every pixel differs from its neighbours; its values [H, W, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    values = np.stack([rows * 7 % 256, columns * 5 % 256, (rows + columns) % 256], 2)
    pixels: Array = values.astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def tone(path: Path, rate: int = 16_000, samples: int = 1600, hz: float = 440.0) -> Array:
    """A sine in 16 bits at half of full scale; its values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave: Array = np.round(16_384 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(
        np.int16
    )
    wavfile.write(path, rate, wave)
    return wave
