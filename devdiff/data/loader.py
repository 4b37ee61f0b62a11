"""A user's Python file with a function that gives batches; runs in a child process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devdiff.data.staging_child import as_batch, place_of
from devdiff.errors import UsageError
from exporter.artifact import Array


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
            yield as_batch(value, names, f"{origin}, batch {number}")
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"the loader failed: {place_of(error, path, named)}") from error


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
