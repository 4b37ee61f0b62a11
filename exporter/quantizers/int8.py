"""int8 from a model with its tensors' ranges. For child processes only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers.finish import finish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def to_integers(
    calibrated: Path,
    *,
    float_io: bool,
    per_channel: bool,
    layers: Sequence[str] = (),
    operators: Sequence[str] = (),
) -> bytes:
    """The int8 model of what `calibrated.calibrate` wrote, some of its operators in float32.

    ``layers`` are the names of the tensors they make, ``operators`` their kinds; the others as in
    `devdiff.exporter.recipe.Recipe`. Where the quantizer does not part an operator from its
    neighbours it is quantized all the same. Raises `ConversionError`.
    """
    stored = schema.TensorType.FLOAT32 if float_io else schema.TensorType.INT8
    keeping = bool(layers or operators)
    from tensorflow.compiler.mlir.lite.python import wrap_converter

    try:
        # What TensorFlow's mlir_quantize calls.
        model = wrap_converter.wrapped_experimental_mlir_quantize(
            calibrated.read_bytes(),
            not per_channel,
            keeping,
            schema.TensorType.INT8,
            stored,
            stored,
            False,  # no numeric checks within the model
            False,
            list(operators) or None,
            list(layers) or None,
            False,  # variables
            False,  # dense layers have a scale a channel, too
            b"",
        )
    except Exception as error:
        request = "to keep layers in float" if keeping else "the model"
        raise ConversionError(f"the quantizer refused {request}: {error}") from error
    return finish(model, "PTQ_FULL_INTEGER")
