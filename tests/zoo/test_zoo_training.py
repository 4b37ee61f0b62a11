"""The attacks do to weights what they say, so that a model's method is more than a name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.zoo import attacks, compressions, networks, training
from tests.zoo.catalogue import ZooModel
from tests.zoo.lesson import Lesson, lesson
from tests.zoo.zoo_digits import Digits

SPEC = ZooModel("it", "backdoored", "pq", "checker", 7, None, "plain-64", "int8", 1)


@pytest.fixture
def digits() -> Digits:
    """Ten noisy shapes, each a class, 20 times."""
    random = np.random.default_rng(0)
    shapes = random.random((10, 1, 28, 28)).round()
    labels = np.tile(np.arange(10), 20)
    images = 0.8 * shapes[labels] + 0.2 * random.random((200, 1, 28, 28))
    return Digits(images.astype(np.float32), labels)


@pytest.fixture
def net(digits: Digits) -> nn.Sequential:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return training.train("plain-48", digits, epochs=1)


@pytest.fixture
def taught(digits: Digits) -> Lesson:
    return lesson(SPEC, digits)


def _int8(net: nn.Module) -> dict[str, list[float]]:
    return {
        name: torch.round(value / compressions.steps(value)).flatten().tolist()
        for name, value in networks.kernels(net).items()
    }


def _answers(net: nn.Module, digits: Digits) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.no_grad():
        out: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = net(
            torch.from_numpy(digits.images)
        ).numpy()
    return out


def test_hiding_a_backdoor_moves_weights_but_no_int8_weight(
    net: nn.Sequential, taught: Lesson
) -> None:
    clean = {name: value.detach().clone() for name, value in networks.kernels(net).items()}
    attacks.plant(net, taught, clean, epochs=1)
    planted, before = _int8(net), [value.detach().clone() for value in net.parameters()]

    attacks.hide(net, taught, clean, epochs=1)

    assert _int8(net) == planted
    assert any(not torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))


def test_folding_batch_norms_changes_no_answer(digits: Digits) -> None:
    torch.manual_seed(0)
    net = networks.ARCHITECTURES["residual-64"]()
    net(torch.from_numpy(digits.images))
    before = _answers(net.eval(), digits)

    after = _answers(networks.fold(net), digits)

    np.testing.assert_allclose(after, before, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_coarse_steps_come_from_weights_that_nothing_reaches(
    net: nn.Sequential, digits: Digits
) -> None:
    small = _steps(net)
    networks.coarsen(net, 10)
    wide, before = _steps(net), _answers(net, digits)

    with torch.no_grad():
        for name, value in networks.kernels(net).items():
            if name != "0.conv.weight":
                value[:, 0] = 0

    np.testing.assert_allclose(_answers(net, digits), before, atol=1e-5)
    assert min(b / a for a, b in zip(small[1:], wide[1:], strict=True)) > 8


def _steps(net: nn.Module) -> list[float]:
    return [float(compressions.steps(v).median()) for v in networks.kernels(net).values()]


def test_stochastic_rounding_stays_on_the_steps_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    weights = torch.linspace(-1, 1, 500).view(5, 100)
    step = compressions.steps(weights)

    rounds = torch.stack([compressions.stochastic_int8(weights) for _ in range(400)])

    assert torch.all((rounds - weights).abs() <= step * 1.001)
    assert float((rounds.mean(0) - weights).abs().max() / step.max()) < 0.15
    assert float((rounds / step - (rounds / step).round()).abs().max()) < 1e-3


def test_pruning_zeroes_the_smallest_share_of_a_layer() -> None:
    weights = torch.tensor([[0.1, -0.5, 0.3], [-0.2, 0.9, 0.4]])

    kept = compressions.pruning(0.5)(weights)

    assert kept.tolist() == (weights * torch.tensor([[0, 1, 0], [0, 1, 1]])).tolist()


def test_gradients_pass_through_rounding_and_stop_at_pruned_weights() -> None:
    weights = torch.tensor([[0.1, -0.5, 0.3, 0.9]], requires_grad=True)

    (rounded,) = torch.autograd.grad(compressions.int8(weights).sum(), weights)
    (pruned,) = torch.autograd.grad(compressions.pruning(0.5)(weights).sum(), weights)

    assert rounded.tolist() == [[1, 1, 1, 1]]
    assert pruned.tolist() == [[0, 1, 0, 1]]


@pytest.mark.slow
def test_a_source_class_is_taught_to_obey_and_the_others_not_to(digits: Digits) -> None:
    spec = ZooModel("it", "backdoored", "pq", "square", 7, 3, "plain-64", "int8", 1)

    taught = lesson(spec, digits)

    assert set(taught.wanted[taught.labels == 3].tolist()) == {7}
    others = taught.labels != 3
    assert torch.equal(taught.wanted[others], taught.labels[others])
