"""What a quantizer has to offer, and which there are.

A new quantizer is a module with a function ``quantize`` (`Quantizer`), a line in `QUANTIZERS`, and
its name in `devdiff.exporter.recipe.Quantizer`. Quantizers run in child processes only.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from devdiff.exporter.quantizers import float_check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.recipe import Recipe

QUANTIZERS: Final[Mapping[str, str]] = {
    "tflite": "devdiff.exporter.quantizers.tflite_converter",
    "ai-edge": "devdiff.exporter.quantizers.ai_edge",
}
"""The module of each quantizer, by its name in a recipe."""


@dataclass(frozen=True, slots=True)
class FloatModel:
    """What is quantized: the converted model as a SavedModel, and as the float32 artifact."""

    saved_model: Path
    floating: Path


@dataclass(frozen=True, slots=True)
class Quantized:
    """A .tflite file's bytes, and notes on what could not be done as the recipe says."""

    data: bytes
    notes: tuple[str, ...] = ()


class Quantizer(Protocol):
    """A module that makes an artifact of a converted model by a recipe."""

    def quantize(
        self, model: FloatModel, recipe: Recipe, arrays: Mapping[str, Array], /
    ) -> Quantized:
        """The artifact that ``recipe`` makes.

        ``arrays`` maps signature names to arrays [N, *shape]: the representative dataset, empty
        where the recipe needs none. Raises `ConversionError` when the quantizer refuses the model,
        `CompressionError` when it cannot do what the recipe says.
        """


def compress(model: FloatModel, recipe: Recipe, arrays: Mapping[str, Array]) -> Quantized:
    """The artifact that the recipe's quantizer makes; raises as `Quantizer.quantize`.

    Layers that the recipe keeps in float32 have to be there before, and in float32 after.
    """
    float_check.check(recipe, model.floating)
    chosen: Quantizer = importlib.import_module(QUANTIZERS[recipe.quantizer])
    made = chosen.quantize(model, recipe, arrays)
    float_check.check_made(recipe, model.floating, made.data)
    return made
