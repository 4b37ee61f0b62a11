"""PyTorch models as ONNX. Imported by the worker only."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from devdiff.exporter.errors import ConversionError, SourceModelError
from devdiff.exporter.sources import onnx as onnx_source
from devdiff.exporter.sources import shapes as fixed
from devdiff.exporter.sources.source import ReadRequest, ReadSource
from devdiff.exporter.sources.torch import (
    TorchModel,
    changed_buffers,
    line,
    load,
    named_outputs,
    quiet,
    refuse_state,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Tried in turn for models that do not say which type their inputs have.
_GUESSED_DTYPES: Final = ("float32", "int64")
_MOST_GUESSED_INPUTS: Final = 4

_EXPORTED_NAME: Final = "source.onnx"


def read(request: ReadRequest) -> ReadSource:
    """A PyTorch model as ONNX; see `devdiff.exporter.sources.source.SourceReader`."""
    loaded = load(request.path, request.trust)
    exported = request.scratch / _EXPORTED_NAME
    to_onnx(loaded, request.shapes, exported)
    model = onnx_source.load(exported)
    described = onnx_source.describe(exported, model, request.shapes)
    exported.unlink()
    return ReadSource(replace(request.named(described), runtime="torch"), onnx=model)


def example_inputs(model: TorchModel, chosen: Mapping[str, tuple[int, ...]]) -> tuple[Any, ...]:
    """Ones that a model without declared inputs accepts, of the shapes the user chose.

    The types are found by trying float32 and int64. Raises `SourceModelError` when a shape is
    missing, or the model runs with no types.
    """
    import torch

    fixed.check_names(chosen, model.input_names)
    missing = [name for name in model.input_names if name not in chosen]
    if missing:
        raise SourceModelError(
            f"{model.path} does not say which shape its input {', '.join(missing)} has: give "
            f"--shape {' '.join(f'{name}:1,3,224,224' for name in missing)}"
        )
    reason: Exception | None = None
    count = len(model.input_names)
    if count > _MOST_GUESSED_INPUTS:
        raise SourceModelError(f"{model.path} has {count} inputs of unknown types: give a .pt2")
    for dtypes in itertools.product(_GUESSED_DTYPES, repeat=count):
        values = tuple(
            torch.ones(chosen[name], dtype=getattr(torch, dtype))
            for name, dtype in zip(model.input_names, dtypes, strict=True)
        )
        try:
            with torch.no_grad():
                model.call(*values)
        except Exception as error:  # noqa: BLE001  the model's own code
            reason = reason or error
        else:
            return values
    raise SourceModelError(
        f"{model.path} does not run with inputs "
        f"{', '.join(f'{name}{list(chosen[name])}' for name in model.input_names)}: "
        f"{line(reason) if reason else ''}; see --shape"
    )


def to_onnx(
    model: TorchModel, chosen: Mapping[str, tuple[int, ...]], path: Path
) -> tuple[str, ...]:
    """Write the model as ONNX to ``path``; the names of its outputs.

    Raises `SourceModelError` when inputs are missing, `ConversionError` when torch.onnx cannot
    export it.
    """
    with quiet():
        if model.program is not None:
            return _program_to_onnx(model, path)
        values = example_inputs(model, chosen)
        if model.kind == "torchscript":
            return _script_to_onnx(model, values, path)
        return _program_to_onnx(_export(model, values), path)


def _export(model: TorchModel, values: tuple[Any, ...]) -> TorchModel:
    """A trusted module as an exported program."""
    import torch

    try:
        program = torch.export.export(model.module, values)
    except Exception as error:
        raise ConversionError(
            f"torch.export cannot export {model.path.name}: {line(error)}"
        ) from error
    refuse_state(model.path, changed_buffers(program))
    return replace(model, program=program)


def _program_to_onnx(model: TorchModel, path: Path) -> tuple[str, ...]:
    import torch

    program = model.program
    outputs = program.graph_signature.user_outputs
    tree = torch.utils._pytree.tree_unflatten(
        [torch.zeros(()) if isinstance(name, str) else None for name in outputs],
        program.call_spec.out_spec,
    )
    names = tuple(named_outputs(tree))
    try:
        torch.onnx.export(
            program,
            (),
            path,
            input_names=list(model.input_names),
            output_names=list(names),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except Exception as error:
        raise ConversionError(_onnx_reason(model.path, error)) from error
    return names


def _script_to_onnx(model: TorchModel, values: tuple[Any, ...], path: Path) -> tuple[str, ...]:
    import torch

    before = {name: buffer.clone() for name, buffer in model.module.named_buffers()}
    names = tuple(named_outputs(model.call(*values)))
    after = dict(model.module.named_buffers())
    refuse_state(
        model.path,
        [name for name, buffer in before.items() if not torch.equal(buffer, after[name])],
    )
    try:
        # The newer exporter takes no TorchScript.
        torch.onnx.export(
            model.module,
            values,
            path,
            input_names=list(model.input_names),
            output_names=list(names),
            dynamo=False,
            opset_version=18,
        )
    except Exception as error:
        raise ConversionError(_onnx_reason(model.path, error)) from error
    return names


def _onnx_reason(path: Path, error: BaseException) -> str:
    """The innermost reason of an ONNX export that failed, without its advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"torch.onnx cannot export {path.name}: {type(error).__name__}: {line(error)}"
