"""ai-edge-quantizer: a float32 .tflite to a quantized one. Imported by the child process only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.utils import calibration_utils

from devdiff.exporter.errors import CompressionError, ConversionError
from devdiff.exporter.quantizers import calibration
from devdiff.exporter.quantizers.quantizer import Quantized
from devdiff.exporter.tflite_file import parse, text
from devdiff.exporter.tflite_graph import read_graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.quantizers.quantizer import FloatModel
    from devdiff.exporter.recipe import Recipe

# What its own names differ in from the schema's.
_NAMES: Final = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}


def quantize(model: FloatModel, recipe: Recipe, arrays: Mapping[str, Array]) -> Quantized:
    """See `devdiff.exporter.quantizers.quantizer.Quantizer`; only the float32 artifact is used."""
    floating = model.floating
    if not recipe.float_io:
        _check_outputs(floating, recipe)
    managed = _managed(recipe)
    try:
        made = quantizer.Quantizer(str(floating), managed.get_quantization_recipe())
        found = _ranges(floating, managed, arrays) if managed.need_calibration() else None
        return Quantized(bytes(made.quantize(found).quantized_model))
    except Exception as error:
        flat = re.sub(r"\s+", " ", str(error))
        raise ConversionError(f"ai-edge-quantizer refused the model: {flat[:300]}") from error


def _check_outputs(floating: Path, recipe: Recipe) -> None:
    """The quantizer loses an output's name in the signature when it has to quantize it itself."""
    graph = read_graph(floating)
    for operator in graph.operators:
        for index in set(operator.outputs) & set(graph.outputs):
            name = graph.tensors[index].name
            if operator.kind in recipe.keep_operators or name in recipe.keep_layers:
                raise CompressionError(
                    f"recipe {recipe.name}: ai-edge-quantizer cannot make integers of an output "
                    f"whose layer is kept in float32 ({name}): say float_io = true"
                )


def _ranges(floating: Path, managed: Any, arrays: Mapping[str, Array]) -> Any:
    """The range of every tensor over the calibration set.

    `Quantizer.calibrate` would take a moving average of each sample's range, which cuts off what
    few samples reach and cost 9 to 24 dB where it was measured; this is the whole range.
    """
    (signature,) = parse(floating).signatureDefs
    calibrating = calibrator.Calibrator(str(floating), num_threads=1)
    calibrating.calibrate(
        {text(signature.signatureKey): calibration.samples(arrays)},
        managed,
        qsv_update_func=calibration_utils.min_max_update,
    )
    return calibrating.get_model_qsvs()


def _managed(recipe: Recipe) -> Any:
    managed = recipe_manager.RecipeManager()
    names = qtyping.TFLOperationName
    granularity = (
        qtyping.QuantGranularity.CHANNELWISE
        if recipe.per_channel
        else qtyping.QuantGranularity.TENSORWISE
    )
    if recipe.precision == "dynamic":
        managed.add_dynamic_config(".*", names.ALL_SUPPORTED, 8, granularity)
    else:
        managed.add_static_config(
            ".*",
            names.ALL_SUPPORTED,
            activation_num_bits=8 if recipe.precision == "int8" else 16,
            weight_num_bits=8,
            weight_granularity=granularity,
        )
    # Scopes are held against the names of the tensors an operator writes, each with a semicolon.
    for layer in recipe.keep_layers:
        managed.add_quantization_config(
            rf"(^|;){re.escape(layer)};?$",
            names.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    kept = [_operation(recipe, name) for name in recipe.keep_operators]
    kept += [names.INPUT, names.OUTPUT] if recipe.float_io else []
    for operation in kept:
        managed.add_quantization_config(".*", operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return managed


def _operation(recipe: Recipe, name: str) -> Any:
    try:
        return qtyping.TFLOperationName(_NAMES.get(name, name))
    except ValueError:
        raise CompressionError(
            f"recipe {recipe.name}: ai-edge-quantizer does not know the operator {name}, and "
            "leaves it in float32 anyway: take it out of keep_operators"
        ) from None
