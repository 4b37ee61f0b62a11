"""Packages as they are shipped, and reports of tests, small enough to be made in a test."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devdiff.android_harness.build import runner_path
from devdiff.package import Tested, TestedModel, TestedRuntime
from devdiff.verdict import Verdict

PHONE = "Pixel 7, Android 14"
MANIFEST = {"AndroidManifest.xml": b"\3\0\10\0"}
JNI = "libtensorflowlite_jni.so"


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
) -> Tested:
    """These models tested on a phone with that verdict, with these runtimes."""
    return Tested(
        {
            sha256(model): TestedModel(
                sha256(model), verdict, True, (PHONE,), on_phone, ("report.json",)
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


def report(path: Path, rungs: Mapping[str, bytes], **changes: Any) -> Path:
    """A report of a run with these models on its rungs, upwards, every step of which counts."""
    names = list(rungs)
    steps = {"source": "conversion", "float": "compression", "int8": "deployment"}
    whole = {
        "schema_version": 1,
        "devdiff": "0.1.0",
        "finished": "2026-01-01T12:00:00+00:00",
        "verdict": "pass",
        "exit_code": 0,
        "summary": "every step stayed within what is allowed",
        "attribution": None,
        "model": {"name": "m.onnx", "sha256": "0" * 64, "files": {}},
        "inputs": {
            "origin": "samples.npz",
            "samples": 10,
            "synthetic": False,
            "labelled": False,
            "sha256": "0" * 64,
            "preprocess": {},
            "seed": 0,
            "calibration": {"origin": "a part of them", "samples": 5},
            "notes": [],
        },
        "samples": {},
        "manifest": None,
        "rungs": [_rung(name, model) for name, model in rungs.items()],
        "pairs": [
            {
                "reference": one,
                "candidate": other,
                "step": steps[one],
                "gates": True,
                "comparison": None,
                "judgement": {"verdict": "pass", "reasons": [], "passing": {}},
            }
            for one, other in itertools.pairwise(names)
        ],
        "command": [],
        "options": {},
        **changes,
    }
    path.write_text(json.dumps(whole))
    return path


def _rung(name: str, model: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "runner": "litert",
        "precision": "int8",
        "pruning": None,
        "model": {"file": f"{name}.tflite", "sha256": sha256(model)},
        "identity": {},
        "about": {},
        "samples": 10,
        "failed": 0,
        "time": {"wall_s": 1.0, "median_ms": 1.0, "p90_ms": 1.0},
        "results_sha256": "0" * 64,
        "error": None,
    }
