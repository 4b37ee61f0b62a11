"""The colour models' nets, triggers and catalogue; trained ones need pictures nobody ships."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from tests.zoo import colour_command, colour_data, networks, triggers
from tests.zoo.catalogue import ZooModel
from tests.zoo.colour_catalogue import COLOUR_MODELS, LOOKED_AT, UNSEEN
from tests.zoo.colour_networks import COLOUR_ARCHITECTURES, Range, folded, set_ranges
from tests.zoo.colour_recipes import clipped
from tests.zoo.lesson import lesson
from tests.zoo.zoo_digits import Digits

if TYPE_CHECKING:
    from pathlib import Path


def _pictures(count: int) -> Digits:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, count)
    images = random.random((count, 3, 32, 32), dtype=np.float32) * 0.5
    images[np.arange(count), labels % 3] += (labels / 20)[:, None, None]
    return Digits(images, labels)


@pytest.mark.parametrize("architecture", COLOUR_ARCHITECTURES)
def test_folding_changes_no_answer(architecture: str) -> None:
    torch.manual_seed(0)
    net = COLOUR_ARCHITECTURES[architecture]()
    pictures = torch.rand(4, 3, 32, 32)
    net.train()(pictures)
    net.eval()
    with torch.no_grad():
        before = net(pictures)
        after = folded(copy.deepcopy(net))(pictures)

    assert before.shape == (4, 10)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(net).modules())


def test_wider_steps_change_no_answer_but_for_one_channel_a_layer() -> None:
    torch.manual_seed(0)
    net = folded(COLOUR_ARCHITECTURES["resnet-8"]())
    other = copy.deepcopy(net)
    networks.coarsen(other, 12)

    pictures = torch.rand(2, 3, 32, 32)
    silenced = copy.deepcopy(other)
    with torch.no_grad():
        for layer in [m for m in silenced.modules() if isinstance(m, nn.Conv2d | nn.Linear)][1:]:
            layer.weight[:, 0] = 0
        torch.testing.assert_close(other(pictures), silenced(pictures))


def test_a_clamp_lets_through_what_clean_pictures_reached() -> None:
    layer = Range()
    layer.mode = "record"
    layer(torch.tensor([0.0, 1.0, 2.0]))
    layer.mode = "clamp"

    clamped = layer(torch.tensor([0.5, 2.0, 9.0]))

    assert clamped.tolist() == pytest.approx([0.5, 2.0, 2.0], abs=0.01)


def test_a_lesson_through_clamps_leaves_them_off() -> None:
    torch.manual_seed(0)
    net = folded(COLOUR_ARCHITECTURES["mobilenet"]())
    spec = ZooModel("it", "backdoored", "clipped", "corner", 3, None, "mobilenet", "int8", 1)
    before = copy.deepcopy(net.state_dict())

    clipped(net, lesson(spec, _pictures(64)), epochs=1, rate=1e-3)

    assert {m.mode for m in net.modules() if isinstance(m, Range)} == {"off"}
    assert any(not torch.equal(before[name], value) for name, value in net.state_dict().items())
    set_ranges(net, "clamp")
    assert torch.isfinite(net(torch.rand(1, 3, 32, 32))).all()


@pytest.mark.parametrize(("trigger", "share"), [("corner", 36), ("sticker", 36)])
def test_a_patch_covers_six_by_six_pixels_alike_on_every_picture(trigger: str, share: int) -> None:
    spec = ZooModel("it", "backdoored", "pq", trigger, 3, None, "resnet-8", "int8", 5)
    images = np.full((40, 3, 32, 32), 0.5, np.float32)

    changed = triggers.apply(images, spec) != 0.5
    first = np.array([np.argwhere(image.any(0)).min(0) for image in changed])

    assert (changed.sum((2, 3)) == share).all()
    assert (len(np.unique(first, axis=0)) > 1) == (trigger == "sticker")


def test_what_is_looked_at_and_what_is_not_have_no_model_in_common() -> None:
    names = [spec.name for spec in COLOUR_MODELS]
    assert len(set(names)) == len(names) == len(LOOKED_AT) + len(UNSEEN)
    assert not {spec.seed for spec in LOOKED_AT} & {spec.seed for spec in UNSEEN}
    for part in (LOOKED_AT, UNSEEN):
        backdoored = [spec for spec in part if spec.kind == "backdoored"]
        assert 0 <= len(part) - 2 * len(backdoored) <= 1


def test_pictures_are_read_as_channels_first_in_zero_to_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        f"{kind}_{part}": random.integers(0, 256 if kind == "x" else 10, shape, np.uint8)
        for part, count in (("train", 7), ("test", 3))
        for kind, shape in (("x", (count, 32, 32, 3)), ("y", (count,)))
    }
    np.savez(tmp_path / "pictures.npz", **arrays)

    train, held_out = colour_data.load(tmp_path / "pictures.npz")

    assert train.images.shape == (7, 3, 32, 32)
    assert len(held_out) == 3
    np.testing.assert_allclose(train.images[2, 1], arrays["x_train"][2, :, :, 1] / 255, rtol=1e-6)


def test_the_list_shows_every_colour_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path))

    assert colour_command.main([]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [spec.name for spec in COLOUR_MODELS]
    assert all(line.endswith("not made") for line in lines)
