"""Between float and int8 every operator differs: what each layer costs, not which comes first."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Final

from devdiff.bisection import explorer, mixed_precision, plot, subject
from devdiff.bisection.profiler import Profiler
from devdiff.bisection.side_by_side import BenchSide, short
from devdiff.errors import BisectError
from devdiff.report.model import BisectSection, InputsRecord
from devdiff.report.model.bisect import (
    BisectCost,
    LayerNoise,
    LayerRecord,
    Limits,
    Operator,
    ProfileSection,
    Runs,
    SideRuns,
    SidesRecord,
)
from devdiff.system.typed_json import converted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.bisection.layers import Errors, LayerErrors
    from devdiff.bisection.subject import BisectRequest, BisectSubject
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
) -> BisectSection:
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
    first = next((row for row in rows if _below(row.in_place.sqnr_db, least)), None)
    beyond = _below(whole.sqnr_db, least)
    ranked = sorted((row for row in rows if row.alone is not None), key=_cost)
    kept = None
    if request.settings.keep_float:
        kept = mixed_precision.measure(request, target, sides[0], sides[1], ranked, run, events)
    (run.path / CSV_NAME).write_text(_csv(rows))
    plot.write(run.path / PLOT_NAME, rows)
    data = explorer.write(
        run.path / "model-explorer.json",
        {row.name: row.in_place.sqnr_db for row in rows},
        worst_is_low=True,
    )
    return BisectSection(
        verdict="fail" if beyond or first is not None else "pass",
        kind="profile",
        reason=_reason(rows, ranked, first, whole, least),
        sides=SidesRecord(
            reference=sides[0].ran(profiler.whole[0]), candidate=sides[1].ran(profiler.whole[1])
        ),
        limits=Limits(min_snr_db=least),
        inputs=converted(InputsRecord, profiler.samples.to_json()),
        operators=len(profiler.quantized.operators),
        runs=Runs(all=SideRuns(reference=profiler.runs[0], candidate=profiler.runs[1])),
        found=(_operator(first),) if first is not None else (),
        guilty=tuple(map(_operator, ranked[:1])),
        search=(),
        suspects=(),
        repro=None,
        model_explorer=data.name,
        cost=BisectCost(0.0),
        profile=ProfileSection(
            output_sqnr_db=whole.sqnr_db,
            layers=tuple(rows),
            costliest=tuple(row.index for row in ranked[: max(3, request.settings.keep_float)]),
            unpaired=tuple(
                f"{profiler.quantized.operator(index).kind} "
                f"{short(profiler.quantized.tensor(_first(profiler, index)).name)}"
                for index in profiler.pairing.unpaired
            ),
            kept_in_float=kept,
            table=CSV_NAME,
            plot=PLOT_NAME,
        ),
    )


def _samples(request: BisectRequest, target: BisectSubject) -> InputSet:
    rows = sorted(target.shown[: request.settings.samples]) or range(
        min(request.settings.samples, len(target.samples))
    )
    return subject.chosen(target.samples, rows)


def _first(profiler: Profiler, operator: int) -> int:
    return profiler.quantized.operator(operator).outputs[0]


def _row(profiler: Profiler, layer: LayerErrors) -> LayerRecord:
    tensor = profiler.quantized.tensor(layer.tensor)
    return LayerRecord(
        index=layer.operator,
        kind=profiler.quantized.operator(layer.operator).kind,
        name=tensor.name,
        float_operator=layer.full_operator,
        float_name=profiler.floating.tensor(layer.full_tensor).name,
        dtype=tensor.dtype,
        in_place=_noise(layer.in_place, tensor.dtype),
        alone=_noise(layer.alone, tensor.dtype) if layer.alone is not None else None,
    )


def _noise(errors: Errors, dtype: str) -> LayerNoise:
    return LayerNoise(errors.sqnr_db, errors.saturated, errors.range_used(dtype))


def _cost(row: LayerRecord) -> float:
    """What ranks a layer: the lower its signal-to-noise ratio alone, the more it costs."""
    ratio = row.alone.sqnr_db if row.alone is not None else None
    return math.inf if ratio is None else ratio


def _below(value: float | None, least: float) -> bool:
    return value is not None and value < least


def _operator(row: LayerRecord) -> Operator:
    return Operator(row.index, row.kind, row.name)


def _reason(
    rows: Sequence[LayerRecord],
    ranked: Sequence[LayerRecord],
    first: LayerRecord | None,
    whole: Errors,
    least: float,
) -> str:
    sentence = f"int8 keeps {_decibels(whole.sqnr_db)} of signal over noise at the output"
    if first is not None:
        sentence += (
            f"; operator {first.index}, {first.kind} {short(first.name)!r} is the first "
            f"with less than {least:g} dB ({_decibels(first.in_place.sqnr_db)})"
        )
    costliest = ", ".join(
        f"operator {row.index} {row.kind} ({_decibels(row.alone.sqnr_db if row.alone else None)})"
        for row in ranked[:3]
    )
    return f"{sentence}; of {len(rows)} layers the costliest by themselves are {costliest}"


def _decibels(value: float | None) -> str:
    if value is None:
        return "no signal"
    return "infinitely many dB" if math.isinf(value) else f"{value:.1f} dB"


def _csv(rows: Sequence[LayerRecord]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["operator", "kind", "name", "alone_sqnr_db", "in_place_sqnr_db", "saturated", "range_used"]
    )
    for row in rows:
        place, alone = row.in_place, row.alone.sqnr_db if row.alone is not None else None
        writer.writerow(
            [row.index, row.kind, row.name, alone, place.sqnr_db, place.saturated, place.range_used]
        )
    return out.getvalue()
