"""Test the model that ships, where it ships.

>>> import devdiff
>>> outcome = devdiff.export_and_test("model.onnx", "samples.npz")  # doctest: +SKIP
>>> outcome.verdict  # doctest: +SKIP
<Verdict.PASS: 'pass'>

The names of ``__all__`` are the public interface, see docs/api.md; what lies in the rooms below may
change with any version. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from devdiff.api import (
        attest,
        bisect,
        check,
        compare,
        devices,
        diff,
        export,
        export_and_test,
        run,
        scan,
        verify,
    )
    from devdiff.errors import UsageError
    from devdiff.exporter.compression import Compression
    from devdiff.exporter.recipe import Recipe
    from devdiff.inputs.preprocess import Preprocess
    from devdiff.inputs.request import InputRequest
    from devdiff.ladder.request import LadderOutcome
    from devdiff.options import BisectSettings, Gates, ModelSpec, Running, ScanSettings
    from devdiff.progress import Events
    from devdiff.system.errors import DevdiffError
    from devdiff.tasks.request import TaskRequest
    from devdiff.verdict import Verdict

__version__ = "0.1.0"

_HOMES: Final = {
    "devdiff.api": (
        "attest",
        "bisect",
        "check",
        "compare",
        "devices",
        "diff",
        "export",
        "export_and_test",
        "run",
        "scan",
        "verify",
    ),
    "devdiff.errors": ("UsageError",),
    "devdiff.exporter.compression": ("Compression",),
    "devdiff.exporter.recipe": ("Recipe",),
    "devdiff.inputs.preprocess": ("Preprocess",),
    "devdiff.inputs.request": ("InputRequest",),
    "devdiff.ladder.request": ("LadderOutcome",),
    "devdiff.options": ("BisectSettings", "Gates", "ModelSpec", "Running", "ScanSettings"),
    "devdiff.progress": ("Events",),
    "devdiff.system.errors": ("DevdiffError",),
    "devdiff.tasks.request": ("TaskRequest",),
    "devdiff.verdict": ("Verdict",),
}

__all__ = [
    "BisectSettings",
    "Compression",
    "DevdiffError",
    "Events",
    "Gates",
    "InputRequest",
    "LadderOutcome",
    "ModelSpec",
    "Preprocess",
    "Recipe",
    "Running",
    "ScanSettings",
    "TaskRequest",
    "UsageError",
    "Verdict",
    "attest",
    "bisect",
    "check",
    "compare",
    "devices",
    "diff",
    "export",
    "export_and_test",
    "run",
    "scan",
    "verify",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
