"""A step that does not suit the values is mentioned without any label; what suits is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.preprocess import Preprocess
from devdiff.inputs.variants import variants
from tests.support.data_sets import RGB, picture, prepared

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 24)).astype(np.uint8)


def notes(folder: Path, values: Array, steps: str) -> str:
    np.save(folder / "samples.npy", values)
    made = prepared(folder, folder / "samples.npy", steps=steps)
    return " ".join([*made.notes, *map(str, made.warnings)])


@pytest.mark.parametrize(
    ("values", "steps", "said"),
    [
        (PIXELS, "scale=255", "a scale above 1 is for values in 0..1"),
        (PIXELS, "mean=0.5,std=0.5", "scale=1/255 is missing"),
        ((PIXELS / 255).astype(np.float32), "scale=1/255", "all values are nearly the same"),
        (
            (PIXELS / 255).astype(np.float32),
            "mean=123.7:116.3:103.5,std=58.4:57.1:57.4",
            "all values are nearly the same",
        ),
        ((PIXELS / 2.55e6).astype(np.float32), "", "they may have been scaled twice"),
        (np.repeat(PIXELS[:1], 4, 0), "scale=1/255", "all 4 samples are the same"),
    ],
)
def test_a_step_that_does_not_suit_the_values_is_mentioned(
    tmp_path: Path, values: Array, steps: str, said: str
) -> None:
    assert said in notes(tmp_path, values, f"{steps},layout=NCHW".lstrip(","))


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        (PIXELS, "scale=1/255"),
        (PIXELS, "scale=1/127.5,mean=1"),
        (PIXELS, "scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"),
        (PIXELS, "mean=123.7:116.3:103.5,std=58.4:57.1:57.4"),
        ((PIXELS / 255).astype(np.float32), "scale=255"),
        ((PIXELS / 255).astype(np.float32), "mean=0.5,std=0.5"),
    ],
)
def test_usual_preprocessing_is_not_remarked_on(tmp_path: Path, values: Array, steps: str) -> None:
    steps = steps.replace("1/127.5", "2/255")
    said = notes(tmp_path, values, f"{steps},layout=NCHW".lstrip(","))
    assert "--preprocess" not in said
    assert "same" not in said


def test_pictures_scaled_by_default_are_not_remarked_on(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"photos/{number}.png", colour=(number * 80, 10, 200))
    made = prepared(tmp_path, tmp_path / "photos")
    assert {warning.kind for warning in made.warnings} <= {"channel"}


@pytest.mark.parametrize("steps", ["", "scale=1/255", "scale=255", "mean=0.5:0.4:0.3,std=0.2"])
@pytest.mark.parametrize("last", [False, True])
def test_a_variant_is_what_its_steps_make_of_the_values(steps: str, last: bool) -> None:
    """Whatever was declared, as ``--preprocess`` would have made it of the values as given."""
    values = PIXELS.transpose(0, 2, 3, 1) if last else PIXELS
    spec = TensorSpec("x", (1, *values.shape[1:]), "float32")
    layout = ",layout=NHWC" if last else ",layout=NCHW"
    declared = Preprocess.parse((steps + layout).lstrip(","))
    seen = np.stack([declared.apply(value[None].astype(np.float32), spec) for value in values])
    made = variants(spec, declared, seen)
    assert {variant.kind for variant in made} >= {"scale", "channel order"}
    for variant in made:
        said = variant.change.removesuffix("channels reversed (RGB ↔ BGR)").rstrip(", ")
        if said.startswith("no scale"):
            said = ""
        elif not said:
            said = steps
        given = np.flip(values, 3 if last else 1) if variant.reverse else values
        wanted = Preprocess.parse((said + layout).lstrip(","))
        for place, value in enumerate(given):
            expected = wanted.apply(value[None].astype(np.float32), spec)
            np.testing.assert_allclose(variant.apply(seen[place]), expected, rtol=1e-4, atol=2e-3)


def test_grey_images_and_vectors_have_no_channels_to_reverse() -> None:
    grey = TensorSpec("x", (1, 1, 8, 8), "float32")
    vector = TensorSpec("x", (1, 64), "float32")
    for spec in (grey, vector, RGB):
        seen = np.random.default_rng(0).random((3, *spec.shape))
        kinds = {variant.kind for variant in variants(spec, Preprocess(), seen)}
        assert ("channel order" in kinds) == (spec is RGB)
        assert "scale" in kinds
