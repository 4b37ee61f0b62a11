"""A TensorFlow function to .tflite files. Imported by the child process only."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from devdiff.exporter.converters import answers, fill, stand_ins
from devdiff.exporter.errors import ConversionError
from devdiff.system.atomic_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.converters.stand_ins import StandIns
    from devdiff.exporter.converters.tf_function_io import Converted
    from devdiff.exporter.recipe import Recipe


def signature_names(names: list[str]) -> list[str]:
    """Names a TensorFlow signature accepts, as near to the source's as possible, all different."""
    taken: set[str] = set()
    result = []
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        if not re.match(r"[A-Za-z]", safe):
            safe = f"t_{safe}"
        candidate, number = safe, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{safe}_{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def save_function(
    converted: Converted,
    input_names: list[str],
    output_names: list[str],
    folder: Path,
    constants: StandIns | None = None,
) -> None:
    """Write the converted model as a SavedModel with one signature.

    With ``constants`` it has stand-ins for the large ones, and a sample of what it answers lies
    beside them.

    A plain `tf.Module` tracking only the variables is written, since Keras' own SavedModel spends
    nearly all of its time on metadata that the converter does not read.
    """
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for spec, name in zip(converted.inputs, input_names, strict=True)
    ]

    def call(*values: Any) -> dict[str, Any]:
        assert converted.call is not None
        if constants is not None:
            constants.watch(tf.compat.v1.get_default_graph())
        results = converted.call(*values)
        # An output that is an input, or stands twice, would fold into one tensor of one name.
        return {name: tf.identity(value) for name, value in zip(output_names, results, strict=True)}

    function = tf.function(call, autograph=False).get_concrete_function(*specs)
    if constants is not None:
        constants.save()
    module = tf.Module()
    module.tracked = list(function.graph.variables)
    tf.saved_model.save(module, str(folder), signatures=function)
    if constants is not None:
        try:
            answers.keep(converted, input_names, output_names, constants.folder)
        except Exception as error:  # noqa: BLE001  no sample fits every function
            print(f"converting with all constants in memory: {error}", file=sys.stderr)
            stand_ins.with_real_constants(folder, stand_ins.load(constants.folder))
            stand_ins.forget(constants.folder)


def to_float32(saved_model: Path, path: Path, constants: Path | None = None) -> None:
    """Write the float32 artifact to ``path``.

    ``constants`` is the folder of the `StandIns` that the model was saved with. Raises
    `ConversionError` naming what has no builtin kernel.
    """
    found = stand_ins.load(constants) if constants is not None else ()
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if constants is None or not found:
        write_whole(path, _convert(converter))
        return
    # Constants behind the flatbuffer are not copied over and over.
    converter._experimental_use_buffer_offset = True
    partial = path.with_suffix(".partial")
    try:
        fill.fill(_convert(converter), found, partial)
        answers.check(constants, partial)
    except ConversionError as error:
        print(f"converting with all constants in memory: {error}", file=sys.stderr)
        stand_ins.with_real_constants(saved_model, found)
        write_whole(path, _convert(tf.lite.TFLiteConverter.from_saved_model(str(saved_model))))
        return
    partial.replace(path)


def without_ranges(saved_model: Path, recipe: Recipe, constants: Path | None) -> bytes:
    """The artifact of a ``recipe`` that no representative dataset is needed for.

    ``constants`` as for `to_float32`. Raises `ConversionError`.
    """
    if constants is not None and (found := stand_ins.load(constants)):
        stand_ins.with_real_constants(saved_model, found)
    return _convert(_converter(saved_model, recipe))


def _converter(saved_model: Path, recipe: Recipe) -> Any:
    made = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.precision == "float16":
        made.target_spec.supported_types = [tf.float16]
    return made


def _convert(converter: Any) -> bytes:
    try:
        return bytes(converter.convert())
    except Exception as error:
        raise ConversionError(_reason(str(error))) from error


def _reason(message: str) -> str:
    """The one line of a converter error that names the operators."""
    flat = re.sub(r"\s+", " ", message)
    flex = re.search(r"Flex ops: ([\w, ]+)", flat)
    if flex:
        return (
            f"TensorFlow Lite has no builtin operator for {flex.group(1).strip()}; replace it in "
            "the source model"
        )
    quoted = re.findall(r"'(tf[l]?\.[\w.]+)' op", flat)
    named = f" at {', '.join(dict.fromkeys(quoted))}" if quoted else ""
    return f"the TensorFlow Lite converter refused the model{named}: {flat[:300]}"
