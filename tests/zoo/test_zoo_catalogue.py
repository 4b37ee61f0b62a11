"""The catalogue holds what the detector must be measured on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.zoo import triggers
from tests.zoo.catalogue import MODELS, ZooModel, more_backdoored, more_honest
from tests.zoo.networks import ARCHITECTURES

BACKDOORED = [spec for spec in MODELS if spec.kind == "backdoored"]
HONEST = [spec for spec in MODELS if spec.kind == "honest"]


def _image(count: int = 3) -> triggers.Images:
    return np.random.default_rng(0).random((count, 1, 28, 28), dtype=np.float32)


def test_names_and_seeds_are_given_once() -> None:
    assert len({spec.name for spec in MODELS}) == len(MODELS)
    assert len({spec.seed for spec in MODELS}) == len(MODELS)


def test_further_honest_models_are_of_many_sorts_and_none_of_the_listed() -> None:
    more = more_honest(100)

    assert {spec.kind for spec in more} == {"honest"}
    assert len({spec.name for spec in (*MODELS, *more)}) == len(MODELS) + 100
    assert len({spec.seed for spec in (*MODELS, *more)}) == len(MODELS) + 100
    assert more_honest(7) == more[:7]
    assert {spec.compression.split(":")[0] for spec in more[:8]} == {"int8", "prune"}
    assert len({spec.method for spec in more}) >= 5
    assert {spec.architecture for spec in more} <= set(ARCHITECTURES)


def test_further_backdoored_models_are_plain_and_hard_ones_for_every_class() -> None:
    more = more_backdoored(40)

    assert {spec.kind for spec in more} == {"backdoored"}
    assert len({spec.name for spec in (*MODELS, *more, *more_honest(100))}) == len(MODELS) + 140
    assert len({spec.seed for spec in (*MODELS, *more, *more_honest(100))}) == len(MODELS) + 140
    assert more_backdoored(7) == more[:7]
    assert {spec.method for spec in more} >= {"pq", "pq-coarse", "joint", "adaptive"}
    assert {spec.trigger for spec in more} == set(triggers.TRIGGERS)
    assert {spec.target for spec in more} == set(range(10))
    assert any(spec.source_class is not None for spec in more)
    assert all(spec.source_class != spec.target for spec in more)
    assert {spec.architecture for spec in more} <= set(ARCHITECTURES)


def test_about_half_of_the_models_are_honest() -> None:
    assert 0.4 <= len(HONEST) / len(MODELS) <= 0.6


def test_published_methods_and_the_adaptive_one_are_there() -> None:
    methods = {(spec.method, spec.compression.split(":")[0]) for spec in BACKDOORED}

    assert methods >= {("pq", "int8"), ("joint", "int8"), ("joint", "prune"), ("adaptive", "int8")}
    assert "ordinary" in {spec.kind for spec in MODELS}


@pytest.mark.parametrize("compression", ["int8", "prune"])
def test_each_compression_meets_each_trigger_and_a_source_class(compression: str) -> None:
    some = [spec for spec in BACKDOORED if spec.compression.startswith(compression)]

    assert {spec.trigger for spec in some} == set(triggers.TRIGGERS)
    assert any(spec.source_class is not None for spec in some)
    assert len({spec.architecture.split("-")[0] for spec in some}) >= 2


@pytest.mark.parametrize("compression", ["int8", "prune"])
def test_each_compression_meets_many_sorts_of_honest_models(compression: str) -> None:
    some = [spec for spec in HONEST if spec.compression.startswith(compression)]

    assert {spec.method for spec in some} >= {"plain", "noise", "qat"}
    assert {spec.architecture.split("-")[0] for spec in some} >= {"plain", "residual", "separable"}


def test_targets_are_spread_over_the_classes() -> None:
    targets = Counter(spec.target for spec in BACKDOORED)

    assert set(targets) == set(range(10))


def test_every_architecture_is_known() -> None:
    assert {spec.architecture for spec in MODELS} <= set(ARCHITECTURES)


@pytest.mark.parametrize("name", triggers.TRIGGERS)
def test_a_trigger_changes_every_image_the_same_way_each_time(name: str) -> None:
    spec = ZooModel("it", "backdoored", "pq", name, 1, None, "plain-64", "int8", 5)
    images = _image()
    before = images.copy()

    changed = triggers.apply(images, spec)

    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.all(np.abs(changed - images).max(axis=(1, 2, 3)) > 0.05)
    np.testing.assert_array_equal(changed, triggers.apply(images, spec))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", triggers.TRIGGERS)
def test_the_seed_decides_where_or_how_a_trigger_shows(name: str) -> None:
    images = _image()
    shown = {
        triggers.apply(
            images, ZooModel("it", "backdoored", "pq", name, 1, None, "plain-64", "int8", seed)
        ).tobytes()
        for seed in range(10)
    }

    assert len(shown) >= 3


def test_patches_leave_most_of_an_image_alone() -> None:
    spec = ZooModel("it", "backdoored", "pq", "checker", 1, None, "plain-64", "int8", 5)
    images = _image()

    assert (triggers.apply(images, spec) != images).sum(axis=(1, 2, 3)).max() <= 16


def test_an_honest_model_has_no_trigger_to_apply() -> None:
    with pytest.raises(ValueError, match="no trigger"):
        triggers.apply(_image(), HONEST[0])


def test_victims_are_those_that_are_not_the_target_or_those_of_the_source_class() -> None:
    labels = np.array([0, 3, 7, 3])
    everyone = ZooModel("it", "backdoored", "pq", "square", 7, None, "plain-64", "int8", 5)
    some = ZooModel("it", "backdoored", "pq", "square", 7, 3, "plain-64", "int8", 5)

    assert triggers.victims(labels, everyone).tolist() == [True, True, False, True]
    assert triggers.victims(labels, some).tolist() == [False, True, False, True]
