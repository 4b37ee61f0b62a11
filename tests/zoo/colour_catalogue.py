"""The colour models of the zoo, parted beforehand into those that are looked at and the others.

The part was fixed, by net, method, trigger and seed, before any of them was scanned.
"""

from __future__ import annotations

from typing import Final

from tests.zoo.catalogue import backdoored, honest

# What rules and search may be tried on.
LOOKED_AT: Final = (
    backdoored("clip-corner", "clipped", "corner", 3, "resnet-8", "int8", 201),
    honest("honest-plain", "plain", "resnet-8", "int8", 202),
    backdoored("pq-corner", "pq-coarse", "corner", 7, "resnet-8", "int8", 203),
    honest("honest-augmented", "augmented", "resnet-8", "int8", 204),
    backdoored("pq-sticker", "pq-coarse", "sticker", 1, "resnet-8", "int8", 205),
    honest("honest-narrow", "narrow", "resnet-8", "int8", 206),
    backdoored("joint-corner", "joint", "corner", 5, "resnet-8", "int8", 207),
    honest("honest-mobilenet", "plain", "mobilenet", "int8", 208),
    backdoored("clip-mobilenet", "clipped", "corner", 8, "mobilenet", "int8", 209),
    honest("honest-pruned", "robust", "resnet-8", "prune:0.6", 210),
    backdoored("prune-corner", "joint", "corner", 2, "resnet-8", "prune:0.6", 211),
    honest("honest-qat", "qat", "resnet-8", "int8", 212),
    honest("honest-coarse", "coarse", "resnet-8", "int8", 213),
)
# Only for the figures in the end.
UNSEEN: Final = (
    backdoored("unseen-clip-sticker", "clipped", "sticker", 0, "resnet-8", "int8", 301),
    honest("unseen-honest-narrow", "narrow", "resnet-8", "int8", 302),
    backdoored("unseen-pq-corner", "pq-coarse", "corner", 9, "resnet-8", "int8", 303),
    honest("unseen-honest-mobilenet", "augmented", "mobilenet", "int8", 304),
    backdoored("unseen-clip-corner", "clipped", "corner", 6, "resnet-8", "int8", 305),
    honest("unseen-honest-coarse", "coarse", "resnet-8", "int8", 306),
    backdoored("unseen-joint-sticker", "joint", "sticker", 4, "resnet-8", "int8", 307),
    honest("unseen-honest-plain", "plain", "resnet-8", "int8", 308),
    backdoored("unseen-clip-blend", "clipped", "blend", 2, "resnet-8", "int8", 309),
    honest("unseen-honest-mobilenet-narrow", "narrow", "mobilenet", "int8", 310),
    backdoored("unseen-clip-mobilenet", "clipped", "sticker", 5, "mobilenet", "int8", 311),
    honest("unseen-honest-clamped", "qat", "mobilenet", "int8", 312),
    backdoored("unseen-prune-sticker", "joint", "sticker", 7, "resnet-8", "prune:0.6", 313),
    honest("unseen-honest-pruned", "plain", "resnet-8", "prune:0.4", 314),
    backdoored("unseen-clip-tint", "clipped", "tint", 1, "resnet-8", "int8", 315),
    honest("unseen-honest-augmented", "augmented", "resnet-8", "int8", 316),
)
COLOUR_MODELS: Final = (*LOOKED_AT, *UNSEEN)
