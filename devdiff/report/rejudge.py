"""A step of a finished report judged again, from the comparison that the report holds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from devdiff.compare import Expectation, Judgement, PairComparison, jsonform, judge
from devdiff.ladder.judge import expected
from devdiff.options import DEFAULT_GATES, Gates

if TYPE_CHECKING:
    from collections.abc import Mapping


def rejudge(pair: Mapping[str, Any], report: Mapping[str, Any]) -> Judgement:
    """What a compared pair's figures come to by the report's own limits.

    Raises `ComparisonError` when the figures or the limits are damaged. The run may have had more
    against the step than its figures: a drop of the task's metric, say.
    """
    comparison = PairComparison.from_json(pair["comparison"])
    return judge(comparison, expectation_of(pair, comparison, report))


def expectation_of(
    pair: Mapping[str, Any], comparison: PairComparison, report: Mapping[str, Any]
) -> Expectation:
    """What the report's own limits expected of a step. Raises `ComparisonError`."""
    rungs = {rung["name"]: rung for rung in report["rungs"]}
    reference, candidate = rungs[pair["reference"]], rungs[pair["candidate"]]
    same = candidate["precision"] == "float32" and candidate["pruning"] == reference["pruning"]
    names = [output.name for output in comparison.outputs]
    chosen = {**dataclasses.asdict(DEFAULT_GATES), **report["options"].get("gates", {})}
    gates = jsonform.decode(Gates, jsonform.encode(chosen))
    return expected(pair["step"], same, names, report["inputs"]["synthetic"], gates)
