"""How a model is made smaller on its way to the phone: pruning, then quantization, as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self, get_args

from devdiff.exporter.errors import CompressionError
from devdiff.exporter.recipe import BUILTIN, INT8, Pruning, PruningMethod, Recipe
from devdiff.system.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHOICES: Final = (
    f"there are {', '.join(BUILTIN)}, prune:RATE and channel-prune:RATE, either of these with one "
    "of the former behind (prune:0.5+int8), and none"
)


@dataclass(frozen=True, slots=True)
class Compression:
    """Everything that is done to a float32 model before it ships: pruning, then quantization.

    ``recipe`` None leaves it in float32. The text form (`str`, `parse`) is that of the command
    line: ``int8``, ``prune:0.5``, ``channel-prune:0.3+int8``, ``float16``, ``none``.
    """

    pruning: Pruning | None = None
    recipe: Recipe | None = INT8

    def __str__(self) -> str:
        steps = [str(self.pruning)] if self.pruning else []
        steps += [self.recipe.name] if self.recipe else []
        return "+".join(steps) or "none"

    @property
    def folder_name(self) -> str:
        """The text form as part of a file name."""
        return str(self).replace(":", "-")

    @property
    def calibrated(self) -> bool:
        """Whether it needs a representative dataset."""
        return self.recipe is not None and self.recipe.calibrated

    @classmethod
    def parse(cls, text: str) -> Self:
        """The compression of that text. Raises `CompressionError` when it is not one."""
        if text == "none":
            return cls(recipe=None)
        words = text.split("+")
        recipes = [word for word in words if word in BUILTIN]
        prunings = [word for word in words if word not in BUILTIN]
        if recipes and recipes != words[-1:]:
            better = "+".join([*filter(None, prunings), recipes[-1]])
            raise CompressionError(
                f"--compress {text}: one quantization, and last, since weights are pruned before "
                f"they are quantized: write {better}"
            )
        if len(prunings) > 1:
            raise CompressionError(f"--compress {text}: one pruning at a time; {_CHOICES}")
        return cls(
            _pruning(prunings[0], text) if prunings else None,
            BUILTIN[recipes[0]] if recipes else None,
        )


def with_recipes(
    compressions: Sequence[Compression], recipes: Sequence[Recipe]
) -> tuple[Compression, ...]:
    """Each pruning with each recipe behind; without recipes the compressions as they are.

    Raises `CompressionError` when a compression has a recipe already, or names are not unique.
    """
    if not recipes:
        return tuple(compressions)
    for compression in compressions:
        if compression.recipe is not None or compression.pruning is None:
            raise CompressionError(
                f"--compress {compression} says how weights are quantized, and so does "
                "--recipe: leave one out (--compress prune:RATE goes with a recipe)"
            )
    if len({recipe.name for recipe in recipes}) < len(recipes):
        raise CompressionError("--recipe: two recipes have one name; each needs its own")
    bases = compressions or (Compression(),)
    return tuple(replace(base, recipe=recipe) for base in bases for recipe in recipes)


def _meant(word: str) -> str:
    near = nearest(word, (*BUILTIN, "none", *get_args(PruningMethod)))
    return f" (did you mean {near}?)" if near else ""


def _pruning(word: str, text: str) -> Pruning:
    method, _, rate = word.partition(":")
    if method not in get_args(PruningMethod):
        raise CompressionError(f"--compress {text}: no {word!r}{_meant(method)}; {_CHOICES}")
    try:
        share = float(rate)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise CompressionError(
            f"--compress {text}: the rate is the share that is set to zero, between 0 and 1, for "
            f"example {method}:0.5"
        )
    return Pruning("prune" if method == "prune" else "channel-prune", share)


INT8_ONLY: Final = Compression()
