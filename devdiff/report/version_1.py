"""Reports of schema version 1: what they may lack is filled in, so that they are still evidence.

Early ones had no basis, no pairings, no verdict of each output, and no figures of what varies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from devdiff.report import basis
from devdiff.report.model import SCHEMA_VERSION, Report
from devdiff.system.typed_json import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_BASIS = {
    "samples": 0,
    "inputs": "real",
    "labelled": False,
    "smallest_fault_share": 1.0,
    "confidence": 0.0,
    "where": "",
}


def read(data: Mapping[str, Any]) -> Report:
    """The report in this form's JSON values. Raises `FormatError` for the field that is wrong."""
    upgraded = {"basis": _NO_BASIS, "bindings": [], **data, "schema_version": SCHEMA_VERSION}
    if isinstance(data.get("pairs"), list):
        upgraded["pairs"] = [_pair(pair) for pair in data["pairs"]]
    report = decode(Report, upgraded)
    if "basis" in data:
        return report
    return structs.replace(report, basis=basis.make(report.inputs, report.pairs, report.rungs))


def _pair(pair: Any) -> Any:
    if not isinstance(pair, dict):
        return pair
    pair = dict(pair)
    if isinstance(pair.get("judgement"), dict):
        pair["judgement"] = {"outputs": {}, **pair["judgement"]}
    comparison = pair.get("comparison")
    if isinstance(comparison, dict) and isinstance(comparison.get("outputs"), list):
        varying = {"variation_snr_db": None, "variation": None}
        outputs = [
            {**varying, **output} if isinstance(output, dict) else output
            for output in comparison["outputs"]
        ]
        pair["comparison"] = {**comparison, "outputs": outputs}
    return pair
