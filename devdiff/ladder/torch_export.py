"""A PyTorch module from Python as a model that devdiff takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devdiff.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


def write_program(
    module: nn.Module,
    example_inputs: Sequence[Tensor],
    path: Path,
    dynamic_shapes: Any = None,
) -> Path:
    """Export ``module`` as it infers, and save it as a ``.pt2`` at ``path``, which is returned.

    ``example_inputs`` are the positional arguments of ``forward``, with a batch axis;
    ``dynamic_shapes`` is as `torch.export.export` takes it. The names of forward's parameters
    become those of the inputs. The module itself is left as it was, training mode and all. Raises
    `UsageError` when torch.export cannot export it.
    """
    import torch

    if path.suffix != ".pt2":
        raise UsageError(f"{path}: an exported program is a .pt2 file")
    training = [submodule for submodule in module.modules() if submodule.training]
    module.eval()
    try:
        program = torch.export.export(module, tuple(example_inputs), dynamic_shapes=dynamic_shapes)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            f"torch.export cannot export the {type(module).__name__}: {reason}"
        ) from error
    finally:
        for layer in training:
            layer.training = True
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file's name goes into the archive, so it is the temporary folder that has another.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as folder:
        temporary = Path(folder) / path.name
        torch.export.save(program, temporary)
        temporary.replace(path)
    return path
