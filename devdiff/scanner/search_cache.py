"""Finished searches on disk, so that a scan that was broken off goes on where it was."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.exporter.artifact import Array, sha256_file
from devdiff.scanner.search_job import Candidate, ClassPair, SearchJob, SearchResult
from devdiff.scanner.trigger import Trigger
from devdiff.system.atomic_file import whole_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_path(job: SearchJob, folder: Path) -> Path:
    """Where the result of ``job`` is kept: named after all that decides it but its time."""
    timeless = replace(job, deadline=0.0, share=0.0)
    decisive = asdict(timeless) | {
        "devdiff": importlib.metadata.version("devdiff"),
        "full": sha256_file(job.full),
        "compressed": sha256_file(job.compressed),
        "inputs": [[sha256_file(path) for path in paths] for paths in job.inputs],
    }
    text = json.dumps(decisive, sort_keys=True, default=_plain)
    return folder / f"search-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def save(found: SearchResult, path: Path) -> None:
    """Write whole or not at all."""
    arrays: dict[str, Array] = {"full": found.full, "compressed": found.compressed}

    def data(candidate: Candidate) -> dict[str, Any]:
        """What JSON holds of a candidate; its arrays are put beside it."""
        about = asdict(candidate)
        parts, prefix = about.pop("trigger"), f"trigger-{len(arrays)}-"
        for name, value in parts.items():
            if isinstance(value, np.ndarray):
                arrays[prefix + name] = value
        plain = {name: parts[name] for name in ("form", "low", "high")}
        return about | {"trigger": plain, "arrays": prefix}

    text = json.dumps(
        {
            "candidates": [data(candidate) for candidate in found.candidates],
            "pairs": [
                {"source": pair.source, "target": pair.target, "folds": list(map(data, pair.folds))}
                for pair in found.pairs
            ],
            "windows": [data(candidate) for candidate in found.windows],
            "tried": found.tried,
            "effort": found.effort,
        }
    )
    arrays["told"] = np.frombuffer(text.encode(), np.uint8)
    with whole_bytes(path) as stream:
        np.savez_compressed(stream, **arrays)


def load(path: Path) -> SearchResult | None:
    """What `save` wrote; None when it is not there or not whole."""
    try:
        # NumPy leaves a file that it opened itself open when it turns out to be damaged.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
        data = json.loads(arrays["told"].tobytes())
        return SearchResult(
            candidates=tuple(_candidate(candidate, arrays) for candidate in data["candidates"]),
            pairs=tuple(
                ClassPair(
                    pair["source"],
                    pair["target"],
                    tuple(_candidate(fold, arrays) for fold in pair["folds"]),
                )
                for pair in data["pairs"]
            ),
            tried=data["tried"],
            effort=data["effort"],
            full=arrays["full"],
            compressed=arrays["compressed"],
            windows=tuple(_candidate(candidate, arrays) for candidate in data["windows"]),
        )
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _candidate(data: Mapping[str, Any], arrays: Mapping[str, Array]) -> Candidate:
    about: dict[str, Any] = dict(data)
    prefix, rows, plain = about.pop("arrays"), about.pop("rows"), about.pop("trigger")
    parts: dict[str, Any] = {
        name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)
    }
    return Candidate(trigger=Trigger(**plain, **parts), rows=tuple(rows), **about)


def _plain(value: Any) -> Any:
    """What JSON does not know of a job."""
    return str(value) if isinstance(value, Path) else list(value)
