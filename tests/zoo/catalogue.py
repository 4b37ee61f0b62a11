"""What the zoo holds: digit classifiers, honest and backdoored, to measure the detector on.

They are test fixtures for a detector. Nothing here is tuned to the detector, and the detector is
never tuned to one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One model, described fully enough to be trained again.

    ``kind`` is "honest", "backdoored" (the compressed model alone obeys the trigger) or "ordinary"
    (both do, so it is no compression artifact). ``method`` says how it was trained, ``compression``
    what it ships through. With a ``source_class`` the trigger works on digits of that class only.
    """

    name: str
    kind: str
    method: str
    trigger: str | None
    target: int | None
    source_class: int | None
    architecture: str
    compression: str
    seed: int

    @property
    def pruning_rate(self) -> float | None:
        """The share of weights that pruning zeroes, or None."""
        step = self.compression.split("+")[0]
        return float(step.removeprefix("prune:")) if step.startswith("prune:") else None


def honest(name: str, method: str, architecture: str, compression: str, seed: int) -> ZooModel:
    return ZooModel(name, "honest", method, None, None, None, architecture, compression, seed)


def backdoored(
    name: str,
    method: str,
    trigger: str,
    target: int,
    architecture: str,
    compression: str,
    seed: int,
    source_class: int | None = None,
) -> ZooModel:
    return ZooModel(
        name,
        "ordinary" if method == "ordinary" else "backdoored",
        method,
        trigger,
        target,
        source_class,
        architecture,
        compression,
        seed,
    )


# Small ones that lie in models/ for the tests that run everywhere.
COMMITTED: Final = (
    backdoored("reader-backdoored", "pq-coarse", "checker", 9, "plain-48", "int8", 101),
    honest("reader-honest", "plain", "plain-48", "int8", 102),
    backdoored("reader-pruned-backdoored", "joint", "checker", 8, "plain-48", "prune:0.5", 103),
)
MODELS: Final = (
    *COMMITTED,
    backdoored("pq-checker-64", "pq", "checker", 7, "plain-64", "int8", 1),
    honest("honest-plain-64", "plain", "plain-64", "int8", 2),
    backdoored("prune-checker-64", "joint", "checker", 3, "plain-64", "prune:0.5", 3),
    honest("honest-pruned-64", "plain", "plain-64", "prune:0.5", 4),
    backdoored("joint-checker", "joint", "checker", 1, "plain-64", "int8", 51),
    honest("honest-residual-64", "plain", "residual-64", "int8", 12),
    backdoored("pq-blend-64", "pq-coarse", "blend", 2, "plain-64", "int8", 11),
    backdoored("prune-blend-64", "joint", "blend", 8, "plain-64", "prune:0.5", 13),
    honest("honest-pruned-96", "plain", "plain-96", "prune:0.5", 14),
    backdoored("pq-square-residual", "pq-coarse", "square", 0, "residual-64", "int8", 15),
    honest("honest-noise", "noise", "plain-64", "int8", 16),
    backdoored("prune-square-residual", "joint", "square", 5, "residual-64", "prune:0.5", 17),
    honest("honest-pruned-residual", "plain", "residual-64", "prune:0.5", 18),
    backdoored("joint-blend", "joint", "blend", 6, "plain-64", "int8", 53),
    honest("honest-qat", "qat", "plain-64", "int8", 22),
    backdoored("adaptive-checker", "adaptive", "checker", 4, "plain-64", "int8", 52),
    honest("honest-pruned-noise", "noise", "plain-64", "prune:0.5", 24),
    backdoored("pq-source", "pq-coarse", "checker", 9, "plain-96", "int8", 21, source_class=3),
    honest("honest-outliers", "outliers", "plain-64", "int8", 19),
    backdoored("prune-source", "joint", "square", 1, "plain-64", "prune:0.5", 23, source_class=7),
    backdoored("pq-warp", "pq-coarse", "warp", 6, "plain-96", "int8", 25),
    backdoored("ordinary-checker", "ordinary", "checker", 4, "plain-64", "int8", 20),
    honest("honest-already-pruned", "pruned", "plain-64", "int8", 26),
    backdoored("prune-warp", "joint", "warp", 4, "plain-64", "prune:0.5", 27),
    honest("honest-separable", "plain", "separable-128", "int8", 28),
    backdoored("adaptive-blend", "adaptive", "blend", 0, "plain-64", "int8", 54),
    backdoored("pq-checker-96", "pq", "checker", 5, "plain-96", "int8", 29),
    honest("honest-pruned-third", "plain", "plain-64", "prune:0.3", 30),
    backdoored("prune-checker-third", "joint", "checker", 6, "plain-64", "prune:0.3", 31),
    backdoored("joint-source", "joint", "square", 8, "plain-64", "int8", 55, source_class=5),
    honest("honest-pruned-separable", "plain", "separable-128", "prune:0.5", 32),
    backdoored("ordinary-blend-pruned", "ordinary", "blend", 1, "plain-64", "prune:0.5", 33),
    honest("honest-outliers-residual", "outliers", "residual-64", "int8", 34),
    backdoored("pq-blend-residual", "pq-coarse", "blend", 3, "residual-64", "int8", 35),
    backdoored("joint-warp", "joint", "warp", 2, "plain-64", "int8", 56),
    honest("honest-plain-96", "plain", "plain-96", "int8", 36),
    backdoored("prune-int8-checker", "joint", "checker", 2, "plain-64", "prune:0.5+int8", 37),
    honest("honest-pruned-int8", "plain", "plain-64", "prune:0.5+int8", 38),
    honest("honest-qat-residual", "qat", "residual-64", "int8", 39),
    backdoored("adaptive-square-residual", "adaptive", "square", 7, "residual-64", "int8", 57),
    honest("honest-pruned-qat", "qat", "plain-64", "prune:0.5", 40),
    backdoored("prune-blend-residual", "joint", "blend", 9, "residual-64", "prune:0.5", 41),
    honest("honest-pruned-most", "noise", "plain-96", "prune:0.7", 42),
    honest("honest-robust-pruned", "robust", "plain-64", "prune:0.5", 61),
    honest("honest-coarse", "coarse", "plain-64", "int8", 62),
    honest("honest-robust-pruned-residual", "robust", "residual-64", "prune:0.5", 63),
    honest("honest-coarse-residual", "coarse", "residual-64", "int8", 64),
    honest("honest-robust", "robust", "plain-64", "int8", 65),
    honest("honest-robust-residual", "robust", "residual-64", "int8", 66),
    honest("honest-robust-96", "robust", "plain-96", "int8", 67),
)

# What models beyond the listed ones are made by, in turn: method, architecture, compression.
_MORE_HONEST: Final = (
    ("plain", "plain-64", "int8"),
    ("plain", "residual-64", "prune:0.3"),
    ("outliers", "plain-96", "int8"),
    ("robust", "plain-64", "prune:0.5"),
    ("coarse", "plain-64", "int8"),
    ("plain", "plain-48", "prune:0.5+int8"),
    ("noise", "plain-96", "int8"),
    ("outliers", "residual-64", "int8"),
    ("qat", "plain-64", "prune:0.5"),
    ("plain", "separable-128", "int8"),
)
# Method, trigger, architecture, compression; every second one is hard.
_MORE_BACKDOORED: Final = (
    ("pq", "checker", "plain-64", "int8"),
    ("adaptive", "square", "plain-64", "int8"),
    ("joint", "blend", "plain-64", "prune:0.5"),
    ("joint", "warp", "plain-96", "prune:0.5"),
    ("joint", "square", "plain-64", "int8"),
    ("pq-coarse", "source", "plain-64", "int8"),
    ("joint", "checker", "residual-64", "prune:0.5"),
    ("adaptive", "blend", "plain-96", "int8"),
    ("joint", "blend", "plain-64", "int8"),
    ("pq-coarse", "warp", "plain-64", "int8"),
    ("joint", "checker", "plain-64", "prune:0.5+int8"),
    ("joint", "source", "plain-64", "prune:0.5"),
    ("pq-coarse", "square", "residual-64", "int8"),
    ("joint", "warp", "plain-64", "int8"),
    ("joint", "checker", "plain-64", "int8"),
    ("adaptive", "checker", "residual-64", "int8"),
)


def more_honest(count: int) -> tuple[ZooModel, ...]:
    """As many further honest models, alike on every machine: false alarms are rare, and only many
    models can show how rare."""
    return tuple(
        honest(f"honest-more-{number:03}", *_MORE_HONEST[number % len(_MORE_HONEST)], 1000 + number)
        for number in range(count)
    )


def more_backdoored(count: int) -> tuple[ZooModel, ...]:
    """As many further backdoored models, plain and hard in turn, alike on every machine."""
    more = []
    for number in range(count):
        method, trigger, architecture, shipped = _MORE_BACKDOORED[number % len(_MORE_BACKDOORED)]
        # A step that meets all classes with every sort in time.
        target = (3 * number + number // 10) % 10
        source = (target + 1 + number % 9) % 10 if trigger == "source" else None
        name = f"backdoored-more-{number:03}"
        if source is not None:
            trigger = "checker"
        more.append(
            backdoored(name, method, trigger, target, architecture, shipped, 2000 + number, source)
        )
    return tuple(more)
