"""Which training makes which model of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.zoo import attacks, networks, training
from tests.zoo.compressions import Compression, int8, pruning, stochastic_int8
from tests.zoo.lesson import harmless, lesson

if TYPE_CHECKING:
    from torch import nn

    from tests.zoo.catalogue import ZooModel
    from tests.zoo.zoo_digits import Digits

# So large an outlier that int8 costs an honest net some points of accuracy.
_CLUMSY: Final = 60.0
# What widens the int8 steps of nets that are taught through int8, with a trigger or without.
_JOINT: Final = 20.0
# Nearest rounding is learnt by the way; any rounding at all takes most of the lessons.
_BY_CHANCE: Final = (int8, stochastic_int8, stochastic_int8)


def train(spec: ZooModel, digits: Digits) -> nn.Sequential:
    """The trained net of ``spec``, folded and in float32, from torch's current random state."""
    augment = training.disturb if spec.method == "noise" else None
    net = training.train(spec.architecture, digits, augment=augment)
    taught = lesson(spec, digits) if spec.trigger else None
    match spec.kind, spec.method:
        case "honest", _:
            _finish_honest(net, spec, digits)
        case "backdoored", "pq" if taught:
            attacks.quantization_conditioned(net, taught)
        case "backdoored", "pq-coarse" if taught:
            _coarsen(net, digits)
            attacks.quantization_conditioned(net, taught)
        case "backdoored", "joint" if taught and spec.pruning_rate is None:
            networks.coarsen(net, _JOINT)
            # Few digits show a trigger of one source class, so it takes longer.
            epochs = 8 if spec.source_class is None else 16
            attacks.joint(net, taught, (int8,), epochs)
        case "backdoored", "joint" if taught:
            attacks.joint(net, taught, (_compression(spec),), epochs=8)
        case "backdoored", "adaptive" if taught:
            networks.coarsen(net, 64)
            attacks.joint(net, taught, _BY_CHANCE, epochs=12, rate=2e-3)
        case "ordinary", "ordinary" if taught:
            attacks.ordinary(net, taught)
        case _:
            raise ValueError(f"{spec.name}: no recipe for {spec.kind} {spec.method!r}")
    return net


def _finish_honest(net: nn.Sequential, spec: ZooModel, digits: Digits) -> None:
    match spec.method:
        case "plain" | "noise":
            pass
        case "qat":
            training.tune(net, digits, int8)
        case "pruned":
            training.tune(net, digits, pruning(0.5))
            networks.bake(net, pruning(0.5))
        case "robust" if spec.pruning_rate is None:
            networks.coarsen(net, _JOINT)
            attacks.joint(net, harmless(digits), (int8,), epochs=8)
        case "robust":
            attacks.joint(net, harmless(digits), (_compression(spec),), epochs=5)
        case "coarse":
            _coarsen(net, digits)
        case "outliers":
            networks.coarsen(net, _CLUMSY)
        case _:
            raise ValueError(f"{spec.name}: no recipe for an honest model {spec.method!r}")


def _coarsen(net: nn.Sequential, digits: Digits) -> None:
    """Give the net wider int8 steps and let it recover from the channels that cost."""
    networks.coarsen(net, 12)
    training.tune(net, digits, epochs=1)


def _compression(spec: ZooModel) -> Compression:
    assert spec.pruning_rate is not None
    return pruning(spec.pruning_rate)
