"""Inputs become pictures of what the user's files show, and only when they are pictures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.preprocess import Preprocess
from devdiff.report.html.pictures import LONGEST_SIDE, as_image, pixels_of, png


def noise(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((1, 3, 32, 48), (32, 48, 3)),
        ((1, 32, 48, 3), (32, 48, 3)),
        ((1, 1, 28, 28), (28, 28)),
        ((1, 28, 28, 1), (28, 28)),
        ((28, 28, 1), (28, 28)),
        ((1, 28, 28), (28, 28)),
        ((1, 1000), None),
        ((1, 128), None),
        ((1, 16, 4000), None),
        ((1, 8, 32, 32), None),
        ((1, 3, 16, 32, 32), None),
        ((1, 3, 9, 3), None),
        ((), None),
    ],
)
def test_what_looks_like_an_image(shape: tuple[int, ...], image: tuple[int, ...] | None) -> None:
    found = as_image(np.zeros(shape, np.float32))
    assert (None if found is None else found.shape) == image


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    "steps",
    [
        "scale=1/255",
        "scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225",
        "mean=127.5,std=127.5",
        "mean=103.9:116.8:123.7,channels=BGR",
        "",
    ],
)
def test_preprocessing_is_undone(steps: str, layout: str) -> None:
    pixels = noise(20, 24, 3)
    pixels[0, 0], pixels[0, 1] = 0, 255
    declared = Preprocess.parse(f"{steps},layout={layout}")
    fed = pixels[:, :, ::-1] if declared.channels == "BGR" else pixels
    shape = (1, 3, 20, 24) if layout == "NCHW" else (1, 20, 24, 3)
    tensor = declared.apply(fed[np.newaxis].astype(np.float32), TensorSpec("x", shape, "float32"))
    image = as_image(tensor)
    assert image is not None
    undone = pixels_of([image], declared.to_json())
    assert not undone.stretched
    assert np.array_equal(undone.apply(image), pixels)


def test_values_of_unknown_scale_are_stretched_and_that_is_said() -> None:
    image = np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)
    image[0, 0] = np.nan
    pixels = pixels_of([image], {})
    shown = pixels.apply(image)
    assert pixels.stretched
    assert (shown[0, 0], shown[0, 1], shown[-1, -1]) == (0, 0, 255)


@pytest.mark.parametrize("declared", [{"mean": [1, 2], "std": [3, 4, 5, 6]}, {"scale": 0}])
def test_a_declaration_that_does_not_fit_does_no_harm(declared: dict[str, Any]) -> None:
    image = noise(8, 8).astype(np.float32)
    assert pixels_of([image], declared).apply(image).shape == (8, 8)


def test_a_picture_is_a_png_no_longer_than_it_has_to_be() -> None:
    picture = png(noise(300, 600, 3))
    kind, _, data = picture.uri.partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert (picture.width, picture.height) == (600, 300)
    assert png(noise(28, 28)).coarse
    assert not picture.coarse
