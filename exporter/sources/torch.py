"""PyTorch models: exported programs, TorchScript, and trusted pickled modules.

Imported by child processes only: by the worker, which turns them into ONNX (`torch_onnx`), and by
the source rung, which runs them as they are.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.sources import torch_code
from devdiff.exporter.sources.archive import check_zip

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

_TRUST: Final = "if you trust whoever made the file, give --trust"


@dataclass(frozen=True, slots=True, eq=False)
class TorchModel:
    """A model that PyTorch has loaded.

    ``call`` takes a tensor for each of ``input_names`` and returns what the model returns.
    ``program`` is the `torch.export.ExportedProgram`, or None when there is only a module.
    """

    path: Path
    kind: torch_code.TorchKind
    input_names: tuple[str, ...]
    call: Callable[..., Any]
    program: Any
    module: Any

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Raises whatever the model raises, `RuntimeError` mostly."""
        import torch

        # A copy: an array of the reader's is read-only, and a model may write to its inputs.
        values = [torch.from_numpy(np.array(arrays[name])) for name in self.input_names]
        with torch.no_grad():
            found = named_outputs(self.call(*values))
        return {name: value.detach().numpy() for name, value in found.items()}


def load(path: Path, trust: bool = False) -> TorchModel:
    """The model in a ``.pt2``, ``.pt`` or ``.pth`` file.

    Raises `SourceModelError` when it is none, is damaged or written by another version of PyTorch,
    or would have to be trusted and is not.
    """
    _require_torch(path)
    kind = _kind(path)
    with quiet():
        match kind:
            case "exported-program":
                return _load_program(path, trust)
            case "torchscript":
                return _load_script(path, trust)
            case "pickled-module":
                return _load_module(path, trust)
    raise SourceModelError(
        f"{path} holds weights without a model (a state_dict, or a checkpoint): load them into the "
        "module and save it with torch.export.save(torch.export.export(module, inputs), "
        f"{path.with_suffix('.pt2').name!r})"
    )


def _kind(path: Path) -> torch_code.TorchKind:
    if path.suffix != ".pt2":
        with path.open("rb") as stream:
            start = stream.read(2)
        if start.startswith(b"\x80"):
            return torch_code.kind_of_pickle(path)
    members = check_zip(path, f"a PyTorch {path.suffix} file")
    kind = torch_code.kind_of(path, members)
    if path.suffix == ".pt2" and kind != "exported-program":
        raise SourceModelError(
            f"{path} holds no exported program but {kind}, as .pt or .pth files do: give it the "
            "suffix it needs, or write it with torch.export.save"
        )
    return kind


def _require_torch(path: Path) -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise SourceModelError(
            f"{path.name} needs PyTorch, which is not installed: pip install 'devdiff[torch]'"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """PyTorch warns a user's model about everything; what matters is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _only_weights() -> Iterator[None]:
    """No full unpickling: the loader of programs falls back to it wherever the safe one fails."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def line(error: BaseException) -> str:
    """PyTorch's many-coloured, many-lined messages as one plain line."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", str(error))
    return " ".join(plain.split())[:300] or type(error).__name__


def _load_program(path: Path, trust: bool) -> TorchModel:
    import torch

    if not trust:
        found = torch_code.forbidden(path, check_zip(path, "a .pt2 file"))
        if found:
            raise SourceModelError(
                f"{path} could run code while it is loaded ({found}): it is not opened; {_TRUST}"
            )
    try:
        with contextlib.nullcontext() if trust else _only_weights():
            program = torch.export.load(path)
    except pickle.UnpicklingError as error:
        raise SourceModelError(
            f"{path} could run code while it is loaded (a pickle in it holds more than tensors): "
            f"it is not opened; {_TRUST}"
        ) from error
    except Exception as error:
        raise SourceModelError(
            f"{path} is not an exported program that PyTorch {torch.__version__} reads, or it is "
            f"damaged: {line(error)}; export it again with this version"
        ) from error
    refuse_state(path, changed_buffers(program))
    for value in program.graph_signature.user_inputs:
        if not isinstance(value, str):
            raise SourceModelError(
                f"{path} takes {value!r} as an input, which is not a tensor: export it with that "
                "value fixed"
            )
    names = tuple(program.graph_signature.user_inputs)
    module = program.module(check_guards=False)
    in_spec = program.call_spec.in_spec

    def call(*values: Any) -> Any:
        positional, keywords = torch.utils._pytree.tree_unflatten(list(values), in_spec)
        return module(*positional, **keywords)

    return TorchModel(path, "exported-program", names, call, program, module)


def changed_buffers(program: Any) -> list[str]:
    """Names of the buffers that a program changes when it is called."""
    try:
        functional = program.run_decompositions({})
    except Exception:  # noqa: BLE001
        # Then it cannot become ONNX either, and that says why.
        return []
    return list(functional.graph_signature.buffers_to_mutate.values())


def refuse_state(path: Path, changed: list[str]) -> None:
    """Raises `SourceModelError` when a model changes any of its own buffers."""
    if changed:
        raise SourceModelError(
            f"{path} changes its own {', '.join(changed)} with every call: devdiff runs each "
            "sample by itself. Export it in evaluation mode (module.eval()), or with that state as "
            "an input and an output"
        )


def _load_script(path: Path, trust: bool) -> TorchModel:
    import torch

    found = None if trust else torch_code.script_forbidden(path, check_zip(path, "TorchScript"))
    if found:
        raise SourceModelError(
            f"{path} reaches for files or code outside PyTorch ({found}): it is not opened; "
            f"{_TRUST}"
        )
    try:
        script = torch.jit.load(path, map_location="cpu").eval()
        arguments = script.forward.schema.arguments[1:]
    except Exception as error:
        raise SourceModelError(
            f"{path} is not a TorchScript model that PyTorch {torch.__version__} reads, or it is "
            f"damaged: {line(error)}"
        ) from error
    others = [a.name for a in arguments if str(a.type) != "Tensor" and not a.has_default_value()]
    if others:
        raise SourceModelError(
            f"{path} takes {', '.join(others)}, which are no tensors: script it with these fixed"
        )
    names = tuple(a.name for a in arguments if str(a.type) == "Tensor")
    return TorchModel(path, "torchscript", names, script, None, script)


def _load_module(path: Path, trust: bool) -> TorchModel:
    import torch

    if not trust:
        raise SourceModelError(
            f"{path} is a pickled module: loading it runs whatever code is in it; {_TRUST}, or "
            "export it where it was made (torch.export.save) and give the .pt2"
        )
    try:
        module = torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise SourceModelError(
            f"{path} needs the code of its module: {line(error)}; put the folder it lies in on "
            "PYTHONPATH"
        ) from error
    except Exception as error:
        raise SourceModelError(f"{path} cannot be unpickled: {line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise SourceModelError(f"{path} holds a {type(module).__name__}, not an nn.Module")
    module.eval()
    names = tuple(
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )
    return TorchModel(path, "pickled-module", names, module, None, module)


def named_outputs(result: Any) -> dict[str, Any]:
    """The tensors of what a model returned, by name.

    Keys of dictionaries and fields of named tuples name them; in sequences the position does:
    ``output_0``. A single tensor is ``output``.
    """
    import torch
    from torch.utils import _pytree

    found: dict[str, Any] = {}
    for path, value in _pytree.tree_flatten_with_path(result)[0]:
        keys = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path]
        name = "_".join(keys) or "output"
        if value is None:
            continue
        if not isinstance(value, torch.Tensor):
            raise SourceModelError(f"output {name} is a {type(value).__name__}, not a tensor")
        found[f"output_{name}" if name[0].isdigit() else name] = value
    return found
