"""A user's Python file with a function that gives batches; runs in a child process."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array


def batches(path: Path, function: str, named: str, names: list[str]) -> Iterator[dict[str, Array]]:
    """What ``function`` of the file ``path`` yields, as arrays [n, ...] by name.

    It may yield a dict of arrays by input name (with ``labels``, if any), an array for a model with
    one input, or a pair of either and labels. Raises `UsageError` with the line of the user's file
    where it failed.
    """
    origin = f"{named}:{function}"
    try:
        found = getattr(_load(path), function, None)
        if not callable(found):
            raise UsageError(f"{named} has no function {function!r}")
        for number, value in enumerate(found()):
            yield _as_batch(value, names, f"{origin}, batch {number}")
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"the loader failed: {_place_of(error, path, named)}") from error


def _place_of(error: BaseException, path: Path, named: str) -> str:
    """``loader.py:12: ValueError: what it said``, the place in the user's own file."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(path)]
    line = own[-1].lineno if own else getattr(error, "lineno", None)
    text = traceback.format_exception_only(error)[-1].strip()
    return f"{named}:{line}: {text}" if line else f"{named}: {text}"


def _as_batch(value: Any, names: list[str], where: str) -> dict[str, Array]:
    """What a loader yields as arrays by name; ``(inputs, labels)`` too."""
    if isinstance(value, tuple) and len(value) == 2:
        return {**_as_batch(value[0], names, where), "labels": np.asarray(value[1])}
    if isinstance(value, Mapping):
        return {str(name): np.asarray(array) for name, array in value.items()}
    if len(names) > 1:
        raise UsageError(
            f"{where}: the model has the inputs {', '.join(names)}: yield a dict with an array for "
            "each"
        )
    return {names[0]: np.asarray(value)}


def _load(path: Path) -> Any:
    # As if it were run from its own folder: what lies beside it can be imported.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
