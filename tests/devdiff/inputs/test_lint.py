"""What looks like a mistake in the samples is a warning; honest sets have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.input_set import InputRequest, prepare
from devdiff.inputs.preprocess import Preprocess
from tests.support.command import HELDOUT

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.inputs.lint import DataWarning

COLOUR = TensorSpec("image", (1, 3, 16, 16), "float32")
PICTURES = np.random.default_rng(0).random((40, 3, 16, 16), np.float32)


def warnings(
    folder: Path,
    images: Array,
    labels: Array | None = None,
    steps: str = "",
    specs: tuple[TensorSpec, ...] = (COLOUR,),
    **others: Array,
) -> dict[str, DataWarning]:
    known = {} if labels is None else {"labels": labels}
    np.savez(folder / "samples.npz", image=images, **known, **others)
    request = InputRequest(folder / "samples.npz", preprocess=Preprocess.parse(steps))
    found = prepare(request, specs, {}, folder / "set", calibrate=False).warnings
    assert len({warning.kind for warning in found}) == len(found)
    return {warning.kind: warning for warning in found}


def test_honest_pictures_have_none(tmp_path: Path) -> None:
    assert warnings(tmp_path, PICTURES, np.arange(40) % 4) == {}


def test_the_shipped_digits_have_none(tmp_path: Path) -> None:
    request = InputRequest(HELDOUT, preprocess=Preprocess.parse("scale=1/255"))
    spec = TensorSpec("image", (1, 1, 28, 28), "float32")
    assert prepare(request, (spec,), {}, tmp_path / "set", calibrate=True).warnings == ()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (PICTURES * 255, "as pictures have them in files"),
        (PICTURES * 65535, "16-bit pictures: --preprocess scale=1/65535"),
        (PICTURES / 255, "may have been scaled twice"),
        (PICTURES * 1000 - 500, "networks are usually trained with 0 to 1 or -1 to 1"),
    ],
)
def test_values_on_another_scale_are_warned_of(tmp_path: Path, values: Array, text: str) -> None:
    found = warnings(tmp_path, values.astype(np.float32))
    assert found.keys() == {"range"}
    assert text in str(found["range"])


@pytest.mark.parametrize("values", [PICTURES, PICTURES * 2 - 1, (PICTURES - 0.45) / 0.22])
def test_usual_scales_are_not(tmp_path: Path, values: Array) -> None:
    assert warnings(tmp_path, values.astype(np.float32)) == {}


def test_a_declared_scale_is_meant(tmp_path: Path) -> None:
    assert warnings(tmp_path, PICTURES, steps="scale=255,layout=NCHW") == {}


def test_sound_of_16_bits_is_warned_of_and_features_are_not(tmp_path: Path) -> None:
    spec = TensorSpec("image", (1, 4000), "float32")
    sound = np.random.default_rng(0).integers(-9000, 9000, (12, 4000)).astype(np.float32)
    assert "scale=1/32768" in str(warnings(tmp_path, sound, specs=(spec,))["range"])
    few = TensorSpec("image", (1, 100), "float32")
    (tmp_path / "few").mkdir()
    assert warnings(tmp_path / "few", sound[:, :100], specs=(few,)) == {}


def test_copies_are_counted(tmp_path: Path) -> None:
    images = PICTURES.copy()
    images[[7, 9]] = images[3]
    found = warnings(tmp_path, images)
    assert found.keys() == {"repeated samples"}
    assert "2 of 40 samples are copies of others (rows 3, 7, 9 are alike)" in str(
        found["repeated samples"]
    )


def test_copies_with_other_labels_say_that_labels_are_out_of_order(tmp_path: Path) -> None:
    images, labels = PICTURES.copy(), np.arange(40) % 4
    images[6] = images[3]
    found = warnings(tmp_path, images, labels)
    assert found.keys() == {"repeated samples", "labels"}
    assert "row 3: class 3, row 6: class 2" in str(found["labels"])


def test_few_values_repeat_by_chance(tmp_path: Path) -> None:
    spec = TensorSpec("image", (1, 3), "float32")
    bits = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(np.float32)
    assert warnings(tmp_path, bits, np.arange(40) % 4, specs=(spec,)) == {}


def test_blank_pictures_are_named(tmp_path: Path) -> None:
    images = PICTURES.copy()
    images[5] = 0.5
    found = warnings(tmp_path, images)
    assert found.keys() == {"blank samples"}
    assert "1 of 40 samples holds one value throughout (row 5)" in str(found["blank samples"])


def test_a_channel_that_never_changes_is_named(tmp_path: Path) -> None:
    images = PICTURES.copy()
    images[:, 2] = 1
    assert "channel 2 holds the same value everywhere" in str(warnings(tmp_path, images)["channel"])


def test_labels_of_one_class_say_nothing(tmp_path: Path) -> None:
    found = warnings(tmp_path, PICTURES, np.full(40, 3))
    assert "all 40 labels are class 3" in str(found["labels"])


def test_an_input_that_never_changes_is_told_from_samples_that_do_not(tmp_path: Path) -> None:
    state = TensorSpec("state", (1, 8), "float32")
    still = np.zeros((40, 8), np.float32)
    found = warnings(tmp_path, PICTURES, specs=(COLOUR, state), state=still)
    assert found.keys() == {"same samples"}
    assert str(found["same samples"]).startswith("input 'state': it is the same in all 40 samples")
    (tmp_path / "other").mkdir()
    same = np.repeat(PICTURES[:1], 40, 0)
    found = warnings(tmp_path / "other", same, specs=(COLOUR, state), state=still)
    assert str(found["same samples"]).startswith("all 40 samples are the same")
