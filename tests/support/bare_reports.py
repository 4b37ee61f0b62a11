"""Reports with little in them, for tests of what is written about them."""

from __future__ import annotations

from typing import Any

from devdiff.report.model import Report
from devdiff.system.typed_json import decode

# What tries to leave the place it is put into: XML, HTML, Markdown, a table, a spreadsheet, a
# terminal, the direction of the text.
NASTY = "=x|`*_]]>&<b>[a](https://evil.example)\x00\x1b[31m\ud800\u202e\nwww.evil.example @someone"


def typed(data: dict[str, Any]) -> Report:
    """The report that these JSON values are."""
    return decode(Report, data)


def bare_report(**more: Any) -> dict[str, Any]:
    """The least a report can be: one rung, which could not run."""
    rung = {
        "name": "source",
        "runner": "onnxruntime",
        "precision": "float32",
        "pruning": None,
        "model": {"file": "m.onnx", "sha256": "0" * 64},
        "identity": {},
        "about": {},
        "samples": 0,
        "failed": 0,
        "time": {"wall_s": 0.0, "median_ms": None, "p90_ms": None},
        "results_sha256": None,
        "error": "the runtime <died>",
    }
    inputs = {
        "origin": "synthetic, seed 0",
        "samples": 100,
        "synthetic": True,
        "labelled": False,
        "sha256": "1" * 64,
        "preprocess": {},
        "seed": 0,
        "calibration": {"origin": "none", "samples": 0},
        "notes": ["a note"],
    }
    report = {
        "schema_version": 2,
        "devdiff": "0.1.0",
        "finished": "2026-01-01T00:00:00+00:00",
        "verdict": "error",
        "exit_code": 3,
        "basis": {
            "samples": 0,
            "inputs": "synthetic",
            "labelled": False,
            "smallest_fault_share": 1.0,
            "confidence": 0.95,
            "where": "this machine",
        },
        "summary": "rung source could not run: nothing is proven about it",
        "attribution": None,
        "model": {"name": "m.onnx", "sha256": "0" * 64, "files": {"m.onnx": "0" * 64}},
        "inputs": inputs,
        "samples": {},
        "manifest": None,
        "bindings": [],
        "rungs": [rung],
        "pairs": [],
        "command": ["export-and-test", "m.onnx", "--inputs", "my photos"],
        "options": {"running": {}, "gates": {}, "classifiers": []},
    }
    typed(report)
    return report | more


def with_pair(report: dict[str, Any], verdict: str, **more: Any) -> dict[str, Any]:
    """The report with a deployment from its first rung that was not compared."""
    rung = report["rungs"][0] | {"name": "device", "runner": "emulator-5554", "error": None}
    pair = {
        "reference": report["rungs"][0]["name"],
        "candidate": "device",
        "step": "deployment",
        "gates": True,
        "judgement": {
            "verdict": verdict,
            "reasons": ["for a reason"],
            "passing": {},
            "outputs": {},
        },
        "comparison": None,
    }
    both = report | {
        "rungs": [report["rungs"][0] | {"error": None}, rung],
        "pairs": [pair | more],
        "verdict": verdict,
        "exit_code": {"pass": 0, "fail": 1, "error": 3, "inconclusive": 5}[verdict],
        "summary": "the device answers otherwise",
    }
    typed(both)
    return both


def scan_error(reason: str = "there are too few samples") -> dict[str, Any]:
    """The scan section of a scan that could not be made."""
    common = {"seed": 0, "budget_s": 900.0, "cost": {"wall_s": 1.0}}
    return common | {"verdict": "error", "reason": reason}
