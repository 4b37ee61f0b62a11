"""Packages as they are shipped, and reports of tests, small enough to be made in a test."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import struct
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from devdiff.android_harness.build import runner_path
from devdiff.comparison import Judgement, PairComparison, judge
from devdiff.comparison.intervals import CONFIDENCE, smallest_seen
from devdiff.gate.requirements import Basis
from devdiff.ladder import ladder
from devdiff.ladder.judge import JudgedPair, expected
from devdiff.options import DEFAULT_GATES
from devdiff.package import Tested, TestedModel, TestedRuntime
from devdiff.verdict import Verdict
from tests.support.pair_packs import compare_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PHONE = "Pixel 7, Android 14"
MANIFEST = {"AndroidManifest.xml": b"\3\0\10\0"}
JNI = "libtensorflowlite_jni.so"
SAMPLES = 10
REAL = Basis(SAMPLES, synthetic=False, labelled=False)


def tflite(seed: int = 0, size: int = 3000) -> bytes:
    """What begins as a .tflite file does; nobody runs it here."""
    return b"\x1c\0\0\0TFL3" + random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def known(
    *models: bytes,
    verdict: Verdict = Verdict.PASS,
    runtimes: Sequence[bytes] = (),
    on_phone: bool = True,
    basis: Basis = REAL,
) -> Tested:
    """These models tested on a phone with that verdict, with these runtimes."""
    return Tested(
        {
            sha256(model): TestedModel(
                sha256(model), verdict, True, (PHONE,), on_phone, ("report.json",), (basis,)
            )
            for model in models
        },
        {
            sha256(library): TestedRuntime(sha256(library), "2.3.0", "app.apk", "android-arm64-v8a")
            for library in runtimes
        },
    )


def package(
    path: Path,
    entries: Mapping[str, bytes],
    *,
    deflated: Sequence[str] = (),
    align: int = 4,
) -> Path:
    """An archive whose stored entries begin at multiples of ``align``, as zipalign does it."""
    with zipfile.ZipFile(path, "w") as made:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            if name in deflated:
                info.compress_type = zipfile.ZIP_DEFLATED
            else:
                assert made.fp is not None
                begins = made.fp.tell() + 30 + len(name.encode())
                info.extra = bytes(-begins % align)
            made.writestr(info, content)
    return path


def library(*, page: int = 16384, abi: str = "android-arm64-v8a", inside: bytes = b"") -> bytes:
    """A real ELF file for Android, declared aligned for ``page``, with ``inside`` behind it."""
    data = bytearray(runner_path(abi).read_bytes())
    wide = data[4] == 2
    table = struct.unpack_from(*("<Q", data, 32) if wide else ("<I", data, 28))[0]
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    for at in range(table, table + size * count, size):
        if struct.unpack_from("<I", data, at)[0] == 1:
            struct.pack_into("<Q" if wide else "<I", data, at + (48 if wide else 28), page)
    return bytes(data) + inside


def report(
    path: Path,
    rungs: Mapping[str, bytes],
    verdict: str = "pass",
    *,
    scan: str | None = None,
    **changes: Any,
) -> Path:
    """A report of a run with these models on its rungs, upwards, that came to ``verdict``.

    Where that is ``fail`` the last step is what failed, where it is ``error`` the last rung could
    not run. With ``scan``, its verdict, the run was scanned, and only the conversion counts.
    """
    places = [_Place(name, sha256(model)) for name, model in rungs.items()]
    broken = places[-1].name if verdict == "error" else None
    records = [_rung(place, broken) for place in places]
    pairs = [
        _pair(pair, places, verdict == "fail" and pair.candidate == places[-1].name, broken)
        for pair in ladder.pairs(places)
    ]
    section = {}
    if scan is not None or verdict == "finding":
        section = {
            "scan": {
                "verdict": scan or verdict,
                "reason": "as it was found",
                "seed": 0,
                "budget_s": 60.0,
                "cost": {"wall_s": 1.0},
            }
        }
    if scan is not None:
        for pair in pairs:
            pair["gates"] = pair["step"] == "conversion"
    named = {
        worst["sample"]
        for pair in pairs
        for output in (pair["comparison"] or {"outputs": ()})["outputs"]
        for worst in output["worst"]
    }
    failed = next((p for p in pairs if p["gates"] and p["judgement"]["verdict"] == "fail"), None)
    whole: dict[str, Any] = {
        "schema_version": 2,
        "devdiff": "0.1.0",
        "finished": "2026-01-01T12:00:00+00:00",
        "verdict": verdict,
        "exit_code": Verdict(verdict).exit_code,
        "basis": {
            "samples": 0 if broken else SAMPLES,
            "inputs": "real",
            "labelled": False,
            "smallest_fault_share": smallest_seen(0 if broken else SAMPLES),
            "confidence": CONFIDENCE,
            "where": "this machine",
        },
        "summary": "every step stayed within what is allowed",
        "attribution": failed and {k: failed[k] for k in ("step", "reference", "candidate")},
        "model": {"name": "m.onnx", "sha256": places[0].sha256, "files": {}},
        "inputs": {
            "origin": "samples.npz",
            "samples": SAMPLES,
            "synthetic": False,
            "labelled": False,
            "sha256": "0" * 64,
            "preprocess": {},
            "seed": 0,
            "calibration": {"origin": "a part of them", "samples": 5},
            "notes": [],
        },
        "samples": {str(index): {"row": index, "name": None, "label": None} for index in named},
        "manifest": None,
        "bindings": [],
        "rungs": records,
        "pairs": pairs,
        **section,
        "command": [],
        "options": {},
        **changes,
    }
    if whole["inputs"]["synthetic"]:
        whole["basis"] = whole["basis"] | {"inputs": "synthetic"}
    path.write_text(json.dumps(whole))
    return path


@dataclass(frozen=True)
class _Place:
    name: str
    sha256: str
    pruning: str | None = None

    @property
    def precision(self) -> str:
        return "int8" if self.name in ("int8", "device") else "float32"


def _rung(place: _Place, broken: str | None) -> dict[str, Any]:
    ran = place.name != broken
    return {
        "name": place.name,
        "runner": "litert",
        "precision": place.precision,
        "pruning": place.pruning,
        "model": {"file": f"{place.name}.tflite", "sha256": place.sha256},
        "identity": {},
        "about": {},
        "samples": SAMPLES if ran else 0,
        "failed": 0,
        "time": {"wall_s": 1.0, "median_ms": 1.0, "p90_ms": 1.0},
        "results_sha256": "0" * 64 if ran else None,
        "error": None if ran else "gone",
    }


def _pair(
    pair: ladder.RungPair, places: Sequence[_Place], fails: bool, broken: str | None
) -> dict[str, Any]:
    if broken in (pair.reference, pair.candidate):
        failed = Judgement(Verdict.ERROR, (f"rung {broken} could not run",), {})
        return JudgedPair(pair, None, failed).to_json()
    sides = {place.name: place for place in places}
    same = sides[pair.candidate].precision == "float32"
    comparison = structs.replace(
        _compared(fails), reference=pair.reference, candidate=pair.candidate
    )
    expectation = expected(pair.step, same, ["y"], False, DEFAULT_GATES)
    return JudgedPair(pair, comparison, judge(comparison, expectation)).to_json()


@functools.cache
def _compared(fails: bool) -> PairComparison:
    """A real comparison of one output: equal on both sides, or of the other sign."""
    values = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        return compare_arrays(Path(folder), values, -values if fails else values)
