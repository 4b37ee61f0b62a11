"""The colour models of the zoo, parted beforehand into those that are looked at and the others.

The part was fixed, by net, method, trigger and seed, before any of them was scanned.
"""

from __future__ import annotations

from typing import Final

from tests.zoo.catalogue import ZooModel


def _honest(name: str, method: str, architecture: str, compression: str, seed: int) -> ZooModel:
    return ZooModel(name, "honest", method, None, None, None, architecture, compression, seed)


def _backdoored(
    name: str,
    method: str,
    trigger: str,
    target: int,
    architecture: str,
    compression: str,
    seed: int,
) -> ZooModel:
    return ZooModel(
        name, "backdoored", method, trigger, target, None, architecture, compression, seed
    )


# What rules and search may be tried on.
LOOKED_AT: Final = (
    _backdoored("clip-corner", "clipped", "corner", 3, "resnet-8", "int8", 201),
    _honest("honest-plain", "plain", "resnet-8", "int8", 202),
    _backdoored("pq-corner", "pq-coarse", "corner", 7, "resnet-8", "int8", 203),
    _honest("honest-augmented", "augmented", "resnet-8", "int8", 204),
    _backdoored("pq-sticker", "pq-coarse", "sticker", 1, "resnet-8", "int8", 205),
    _honest("honest-narrow", "narrow", "resnet-8", "int8", 206),
    _backdoored("joint-corner", "joint", "corner", 5, "resnet-8", "int8", 207),
    _honest("honest-mobilenet", "plain", "mobilenet", "int8", 208),
    _backdoored("clip-mobilenet", "clipped", "corner", 8, "mobilenet", "int8", 209),
    _honest("honest-pruned", "robust", "resnet-8", "prune:0.6", 210),
    _backdoored("prune-corner", "joint", "corner", 2, "resnet-8", "prune:0.6", 211),
    _honest("honest-qat", "qat", "resnet-8", "int8", 212),
    _honest("honest-coarse", "coarse", "resnet-8", "int8", 213),
)
# Only for the figures in the end.
UNSEEN: Final = (
    _backdoored("unseen-clip-sticker", "clipped", "sticker", 0, "resnet-8", "int8", 301),
    _honest("unseen-honest-narrow", "narrow", "resnet-8", "int8", 302),
    _backdoored("unseen-pq-corner", "pq-coarse", "corner", 9, "resnet-8", "int8", 303),
    _honest("unseen-honest-mobilenet", "augmented", "mobilenet", "int8", 304),
    _backdoored("unseen-clip-corner", "clipped", "corner", 6, "resnet-8", "int8", 305),
    _honest("unseen-honest-coarse", "coarse", "resnet-8", "int8", 306),
    _backdoored("unseen-joint-sticker", "joint", "sticker", 4, "resnet-8", "int8", 307),
    _honest("unseen-honest-plain", "plain", "resnet-8", "int8", 308),
    _backdoored("unseen-clip-blend", "clipped", "blend", 2, "resnet-8", "int8", 309),
    _honest("unseen-honest-mobilenet-narrow", "narrow", "mobilenet", "int8", 310),
    _backdoored("unseen-clip-mobilenet", "clipped", "sticker", 5, "mobilenet", "int8", 311),
    _honest("unseen-honest-clamped", "qat", "mobilenet", "int8", 312),
    _backdoored("unseen-prune-sticker", "joint", "sticker", 7, "resnet-8", "prune:0.6", 313),
    _honest("unseen-honest-pruned", "plain", "resnet-8", "prune:0.4", 314),
    _backdoored("unseen-clip-tint", "clipped", "tint", 1, "resnet-8", "int8", 315),
    _honest("unseen-honest-augmented", "augmented", "resnet-8", "int8", 316),
)
COLOUR_MODELS: Final = (*LOOKED_AT, *UNSEEN)
