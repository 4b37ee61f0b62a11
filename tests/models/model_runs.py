"""Testing a catalogue model end to end, the way a user does, and what came of it."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from devdiff.system.atomic_file import whole_file
from devdiff.system.cache import cache_root
from tests.models.model_catalogue import CatalogueModel, by_name
from tests.support.kept_results import EXPORTER, FORGET, PRODUCT, ROOT, kept, sources_hash

_TIMEOUT_S: Final = 580
LARGE_RUNS: Final = ROOT / "tests/conformance/large_runs.json"
"""What `scripts/test` found last; it is committed with the change of the exporter it came of."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One ``devdiff export-and-test``: ``report`` is what ``--json`` printed, time in seconds."""

    exit_code: int
    seconds: float
    report: Mapping[str, Any]
    errors: str

    def pair(self, step: str) -> Mapping[str, Any]:
        """The pair of neighbouring rungs that differ by ``step``. Raises `KeyError` without one."""
        for pair in self.report.get("pairs", ()):
            if pair["step"] == step and pair["gates"]:
                found: Mapping[str, Any] = pair
                return found
        raise KeyError(f"the run never compared the step {step}: {self.report.get('error')}")

    def outputs(self, step: str) -> list[Mapping[str, Any]]:
        """What was measured of each output at ``step``; empty when a rung could not run."""
        comparison = self.pair(step)["comparison"]
        return [] if comparison is None else list(comparison["outputs"])

    def verdict(self, step: str) -> str:
        """What was said of ``step``."""
        return str(self.pair(step)["judgement"]["verdict"])


@functools.cache
def kept_run(name: str) -> ModelRun:
    """What `run` returned, now or earlier, for the same exporter, inputs and packages.

    What the large models came to is part of the project, beside the hash of the exporter that they
    came to it with: where that is this one they are not run again.
    """
    if by_name(name).large:
        return _large_run(name)
    rests_on = (*PRODUCT, "tests/models")
    return ModelRun(**kept(f"conformance-{name}", rests_on, [], lambda: asdict(run(name))))


def _large_run(name: str) -> ModelRun:
    rests_on = (*EXPORTER, "tests/models")
    recorded = json.loads(LARGE_RUNS.read_text())
    sources = sources_hash(rests_on)
    forget = bool(os.environ.get(FORGET))
    if name in recorded and recorded[name]["sources"] == sources and not forget:
        return ModelRun(**recorded[name]["run"])
    ran = ModelRun(**kept(f"conformance-{name}", rests_on, [], lambda: asdict(run(name))))
    recorded[name] = {"sources": sources, "run": asdict(ran)}
    with whole_file(LARGE_RUNS) as stream:
        text = json.dumps(recorded, indent=1, sort_keys=True).replace(f"{cache_root()}/", "")
        stream.write(re.sub(r"/\S*/devdiff-conformance-\w+/", "", text) + "\n")
    return ran


def run(name: str) -> ModelRun:
    """Export and test the catalogue's model of that name on its seeded inputs."""
    model: CatalogueModel = by_name(name)
    with tempfile.TemporaryDirectory(prefix="devdiff-conformance-") as scratch:
        folder = Path(scratch)
        path = model.fetch(folder)
        inputs = model.write_inputs(folder / "inputs.npz", model.samples)
        command = [sys.executable, "-m", "devdiff", "export-and-test", str(path)]
        command += ["--inputs", str(inputs), "--out", str(folder / "run"), "--json"]
        # Whatever phone is attached to the machine the tests run on is not theirs to use.
        command += ["--device", "local", *model.shape_arguments()]
        start = time.perf_counter()
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, cwd=folder
        )
        seconds = time.perf_counter() - start
    try:
        report = json.loads(process.stdout)
    except ValueError:
        raise AssertionError(f"{name}: no report but\n{process.stdout}{process.stderr}") from None
    return ModelRun(process.returncode, seconds, report, process.stderr)
