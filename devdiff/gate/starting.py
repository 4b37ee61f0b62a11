"""A configuration to begin with: the commented example, or one of a model that is there."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.errors import UsageError
from devdiff.exporter.sources.formats import format_of
from devdiff.gate.config import Config
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXAMPLE: Final = re.compile(r'\[models\.model\]\nmodel = "model\.onnx"\ninputs = "samples\.npz"\n')
_COMPRESSIONS: Final = 'compressions = ["int8"]\n# compressions = ["int8", "prune:0.5+int8"]\n'
_FINISHED: Final = "# A finished .tflite is tested as it is: give its source or float below.\n"


def text(model: Path | None, data: Mapping[str, str | Path | None], folder: Path) -> str:
    """The configuration in ``folder`` of ``model`` with its ``data`` (options by their keys).

    Without a model it is the example. Paths become relative to the folder.
    """
    package = importlib.resources.files("devdiff.gate")
    example = package.joinpath("starter.toml").read_text("utf-8")
    if model is None:
        return example
    lines = [f"[models.{_name(model)}]", f"model = {_quoted(model, folder)}"]
    lines += [f"{key} = {_quoted(value, folder)}" for key, value in data.items() if value]
    if format_of(model) is None:
        example = example.replace(_COMPRESSIONS, _FINISHED)
    for key in data:
        example = re.sub(rf"^# {key} = .*\n", "", example, count=1, flags=re.MULTILINE)
    return _EXAMPLE.sub(lambda _: "\n".join(lines) + "\n", example)


def write(path: Path, model: Path | None, data: Mapping[str, str | Path | None]) -> None:
    """Write a configuration that `Config.load` takes.

    Raises `UsageError` where there is one already, or one of the files is not there.
    """
    if path.exists():
        raise UsageError(f"{path} exists already; it was left as it is")
    if model is not None and not model.exists():
        raise UsageError(f"{model} does not exist")
    with whole_file(path) as stream:
        stream.write(text(model, data, path.resolve().parent))
    if model is not None:
        try:
            Config.load(path).chosen((), ())
        except UsageError:
            path.unlink()
            raise


def _name(model: Path) -> str:
    """A bare key of TOML."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", model.stem).strip("-") or "model"


def _quoted(value: str | Path, folder: Path) -> str:
    if isinstance(value, Path):
        value = Path(os.path.relpath(value.resolve(), folder)).as_posix()
    # TOML's basic strings are JSON's.
    return json.dumps(value, ensure_ascii=False)
