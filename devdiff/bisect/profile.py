"""Between float and int8 every operator differs: what each layer costs, not which comes first."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any, Final

from devdiff.bisect import explorer, mixed_precision, plot, subject
from devdiff.bisect.profiler import Profiler
from devdiff.bisect.side_by_side import BenchSide, short
from devdiff.errors import BisectError
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.bisect.layers import Errors, LayerErrors
    from devdiff.bisect.subject import BisectRequest, BisectSubject
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.run_directory import RunDirectory
    from devdiff.progress import Events

CSV_NAME: Final = "layers.csv"
PLOT_NAME: Final = "layers.svg"


def section(
    request: BisectRequest,
    target: BisectSubject,
    reference: BenchSide,
    candidate: BenchSide,
    run: RunDirectory,
    events: Events,
) -> dict[str, Any]:
    """The report's section: layers with their errors, and what keeping some in float brings.

    Raises `BisectError` when the two files are not one model in two precisions.
    """
    sides = sorted((reference, candidate), key=lambda side: side.precision != "float32")
    if sides[0].precision != "float32":
        raise BisectError(
            f"{reference.name} and {candidate.name} are two compressions: profile one against the "
            "float32 file"
        )
    profiler = Profiler(sides[0], sides[1], _samples(request, target), run, target, events)
    found = profiler.layers()
    rows = [_row(profiler, layer) for layer in found]
    whole = profiler.output_errors()
    least = target.gates.min_snr_db
    first = next((row for row in rows if _below(row["in_place"]["sqnr_db"], least)), None)
    beyond = _below(_json(whole.sqnr_db), least)
    verdict = Verdict.FAIL if beyond or first is not None else Verdict.PASS
    ranked = sorted(
        (row for row in rows if row["alone"] is not None), key=lambda row: _cost(row["alone"])
    )
    kept = None
    if request.settings.keep_float:
        kept = mixed_precision.measure(request, target, sides[0], sides[1], ranked, run, events)
    (run.path / CSV_NAME).write_text(_csv(rows))
    plot.write(run.path / PLOT_NAME, rows)
    data = explorer.write(
        run.path / "model-explorer.json",
        {row["name"]: _number(row["in_place"]["sqnr_db"]) for row in rows},
        worst_is_low=True,
    )
    return {
        "verdict": verdict.value,
        "kind": "profile",
        "reason": _reason(rows, ranked, first, whole, least),
        "sides": {
            role: side.ran(result)
            for role, side, result in zip(
                ("reference", "candidate"), sides, profiler.whole, strict=True
            )
        },
        "limits": {"min_snr_db": least},
        "inputs": profiler.samples.to_json(),
        "operators": len(profiler.quantized.operators),
        "runs": {
            "all": {"reference": profiler.runs[0], "candidate": profiler.runs[1]},
        },
        "found": [_operator(first)] if first is not None else [],
        "guilty": [_operator(row) for row in ranked[:1]],
        "search": [],
        "suspects": [],
        "profile": {
            "output_sqnr_db": _json(whole.sqnr_db),
            "layers": rows,
            "costliest": [row["index"] for row in ranked[: max(3, request.settings.keep_float)]],
            "unpaired": [
                f"{profiler.quantized.operator(index).kind} "
                f"{short(profiler.quantized.tensor(_first(profiler, index)).name)}"
                for index in profiler.pairing.unpaired
            ],
            "kept_in_float": kept,
            "table": CSV_NAME,
            "plot": PLOT_NAME,
        },
        "repro": None,
        "model_explorer": data.name,
    }


def _samples(request: BisectRequest, target: BisectSubject) -> InputSet:
    rows = sorted(target.shown[: request.settings.samples]) or range(
        min(request.settings.samples, len(target.samples))
    )
    return subject.chosen(target.samples, rows)


def _first(profiler: Profiler, operator: int) -> int:
    return profiler.quantized.operator(operator).outputs[0]


def _row(profiler: Profiler, layer: LayerErrors) -> dict[str, Any]:
    tensor = profiler.quantized.tensor(layer.tensor)
    return {
        "index": layer.operator,
        "kind": profiler.quantized.operator(layer.operator).kind,
        "name": tensor.name,
        "float_operator": layer.full_operator,
        "float_name": profiler.floating.tensor(layer.full_tensor).name,
        "dtype": tensor.dtype,
        "in_place": _errors(layer.in_place, tensor.dtype),
        "alone": _errors(layer.alone, tensor.dtype) if layer.alone is not None else None,
    }


def _errors(errors: Errors, dtype: str) -> dict[str, Any]:
    return {
        "sqnr_db": _json(errors.sqnr_db),
        "saturated": errors.saturated,
        "range_used": errors.range_used(dtype),
    }


def _json(value: float | None) -> float | str | None:
    return "inf" if value is not None and math.isinf(value) else value


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _cost(errors: Mapping[str, Any]) -> float:
    """What ranks a layer: the lower its signal-to-noise ratio alone, the more it costs."""
    found = _number(errors["sqnr_db"])
    return math.inf if found is None else found


def _below(value: float | str | None, least: float) -> bool:
    found = _number(value)
    return found is not None and found < least


def _operator(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("index", "kind", "name")}


def _reason(
    rows: Sequence[Mapping[str, Any]],
    ranked: Sequence[Mapping[str, Any]],
    first: Mapping[str, Any] | None,
    whole: Errors,
    least: float,
) -> str:
    output = _json(whole.sqnr_db)
    sentence = f"int8 keeps {_decibels(output)} of signal over noise at the output"
    if first is not None:
        sentence += (
            f"; operator {first['index']}, {first['kind']} {short(first['name'])!r} is the first "
            f"with less than {least:g} dB ({_decibels(first['in_place']['sqnr_db'])})"
        )
    costliest = ", ".join(
        f"operator {row['index']} {row['kind']} ({_decibels(row['alone']['sqnr_db'])})"
        for row in ranked[:3]
    )
    return f"{sentence}; of {len(rows)} layers the costliest by themselves are {costliest}"


def _decibels(value: float | str | None) -> str:
    found = _number(value)
    if found is None:
        return "no signal"
    return "infinitely many dB" if math.isinf(found) else f"{found:.1f} dB"


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["operator", "kind", "name", "alone_sqnr_db", "in_place_sqnr_db", "saturated", "range_used"]
    )
    for row in rows:
        alone, place = row["alone"] or {"sqnr_db": None}, row["in_place"]
        writer.writerow(
            [row["index"], row["kind"], row["name"], alone["sqnr_db"], place["sqnr_db"],
             place["saturated"], place["range_used"]]
        )  # fmt: skip
    return out.getvalue()
