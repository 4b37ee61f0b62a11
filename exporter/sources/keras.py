"""Keras models, of Keras 3 and of Keras 2. Imported by child processes only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.sources import keras_code
from devdiff.exporter.sources.tf_function import Declared, TfModel, read_function, reason

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.sources.source import ReadRequest, ReadSource

# Keras reads at import: the backend, and a home whose configuration would change its defaults. No
# folder can be made there, so none is read or left behind.
_ENVIRONMENT: Final = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": f"{os.devnull}/keras"}


def read(request: ReadRequest) -> ReadSource:
    """A Keras model; see `devdiff.exporter.sources.source.SourceReader`."""
    return read_function(request, load(request.path, request.trust))


def load(path: Path, trust: bool = False) -> TfModel:
    """The model in a ``.keras`` or ``.h5`` file, loaded by the Keras that wrote it.

    Raises `SourceModelError` when it is none, is damaged, has no fixed inputs, or would have to be
    trusted and is not.
    """
    file = keras_code.read(path)
    if not trust:
        found = keras_code.forbidden(file.config)
        if found:
            raise SourceModelError(
                f"{path} would run code of its own when it is loaded ({found}): it is not opened; "
                "if you trust whoever made it, give --trust, or replace that layer and save again"
            )
    os.environ |= _ENVIRONMENT
    package = _package(file.major)
    try:
        model = package.models.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:
        raise SourceModelError(
            f"{path} cannot be loaded by Keras {package.__version__}: {reason(error)}; layers of "
            "your own need their code: write a SavedModel (model.export) instead"
        ) from error
    return _described(path, model, "keras" if file.major == 3 else "tf-keras")


def _package(major: int) -> Any:
    if major == 3:
        import keras

        return keras
    import tf_keras

    return tf_keras


def _described(path: Path, model: Any, runtime: str) -> TfModel:
    import tensorflow as tf

    try:
        structure = model.input
    except (AttributeError, ValueError, RuntimeError):
        structure = model.inputs
    flat = tf.nest.flatten(structure) if structure is not None else []
    if not flat:
        raise SourceModelError(
            f"{path} does not say which inputs it takes (a subclassed model, or one without "
            "keras.Input): write a SavedModel (model.export) instead"
        )
    names = _different([tensor.name.split(":")[0] for tensor in flat])
    inputs = tuple(
        Declared(
            name,
            tuple("?" if size is None else int(size) for size in tensor.shape),
            tf.as_dtype(tensor.dtype).name,
        )
        for name, tensor in zip(names, flat, strict=True)
    )

    def call(*values: Any) -> dict[str, Any]:
        packed = tf.nest.pack_sequence_as(structure, list(values))
        if isinstance(packed, list) and len(packed) == 1:
            packed = packed[0]
        return _named(model, model(packed, training=False))

    return TfModel(path, runtime, inputs, call, model, lambda: _unroll(model))


def _different(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found


def _named(model: Any, result: Any) -> dict[str, Any]:
    """The outputs by name: a dictionary's keys, else the names of the layers they come from."""
    import tensorflow as tf

    if isinstance(result, Mapping):
        return {str(key): result[key] for key in sorted(result)}
    flat = tf.nest.flatten(result)
    names = getattr(model, "output_names", None)
    if not names and len(flat) == 1 and getattr(model, "layers", None):
        names = [model.layers[-1].name]
    if not names or len(names) != len(flat):
        names = [f"output_{position}" for position in range(len(flat))]
    return dict(zip(_different(names), flat, strict=True))


def _unroll(model: Any) -> list[str]:
    """Make recurrent layers compute step by step; their names."""
    found = []
    for layer in model._flatten_layers():
        if getattr(layer, "unroll", None) is False:
            layer.unroll = True
            # Keras 2 decided for the fused form when the layer was made.
            if hasattr(layer, "_could_use_gpu_kernel"):
                layer._could_use_gpu_kernel = False
            found.append(layer.name)
    return found
