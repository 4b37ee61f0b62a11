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
from devdiff.exporter.quantizers.finish import lean_tensorflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.recipe import Recipe

QUANTIZERS: Final[Mapping[str, str]] = {
    "tflite": "devdiff.exporter.quantizers.tflite",
    "ai-edge": "devdiff.exporter.quantizers.ai_edge",
}
"""The module of each quantizer, by its name in a recipe."""


@dataclass(frozen=True, slots=True)
class FloatModel:
    """What is quantized: the converted model as a SavedModel, and as the float32 artifact.

    ``ranges`` is what `calibrate` made of the artifact, ``constants`` the folder of what
    ``saved_model`` has stand-ins for. With ``lean`` this process is used for nothing else.
    """

    saved_model: Path
    floating: Path
    ranges: Path
    constants: Path | None = None
    lean: bool = False


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


def has_ranges(recipe: Recipe) -> bool:
    """Whether the recipe is made of an artifact with its tensors' ranges, which is made once."""
    return recipe.quantizer == "tflite" and recipe.precision == "int8"


def calibrate(
    recipe: Recipe, arrays: Mapping[str, Array], floating: Path, out: Path, lean: bool = False
) -> None:
    """Write the float32 artifact with its tensors' ranges to ``out``, for a recipe that needs it.

    ``lean`` spares the quantizer the large weights. Raises `ConversionError`.
    """
    float_check.check(recipe, floating)
    if has_ranges(recipe):
        from devdiff.exporter.quantizers import calibrated

        kept = recipe.keep_layers or recipe.keep_operators
        weights = lean and recipe.per_channel and not kept
        calibrated.calibrate(floating, arrays, out, weights)


def compress(model: FloatModel, recipe: Recipe, arrays: Mapping[str, Array]) -> Quantized:
    """The artifact that the recipe's quantizer makes; raises as `Quantizer.quantize`.

    Layers that the recipe keeps in float32 have to be there before, and in float32 after.
    """
    float_check.check(recipe, model.floating)
    if model.lean and has_ranges(recipe):
        lean_tensorflow()
    chosen: Quantizer = importlib.import_module(QUANTIZERS[recipe.quantizer])
    made = chosen.quantize(model, recipe, arrays)
    float_check.check_made(recipe, model.floating, made.data)
    return made
