"""Runs the catalogue of real models and prints what came of each as a Markdown table."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, Final

from tests.models import model_runs
from tests.models.model_catalogue import CATALOGUE, CatalogueModel

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER: Final = (
    "model",
    "converts",
    "float error",
    "int8 SNR",
    "int8 same answer",
    "device differs in",
    "verdict",
    "seconds",
)


def row(model: CatalogueModel) -> list[str]:
    """One model's cells; runs it."""
    run = model_runs.run(model.name)
    report = run.report
    cells = [model.name]
    if not report.get("pairs"):
        operator = re.search(r"at operator (\w+)", report["error"])
        cells += [f"no: {operator[1] if operator else 'see below'}", *["–"] * 4]
    else:
        cells.append("yes" if run.verdict("conversion") == "pass" else "**wrongly**")
        cells += [_error(run), _snr(run), _agreement(run.pair("compression")), _device(run)]
    attribution = report.get("attribution")
    verdict = report["verdict"] + (f" at {attribution['step']}" if attribution else "")
    return [*cells, verdict, f"{run.seconds:.0f}"]


def _error(run: model_runs.ModelRun) -> str:
    output = max(run.outputs("conversion"), key=lambda output: output["max_abs_error"])
    return f"{output['max_abs_error']:.1e} of {output['reference']['peak']:.3g}"


def _snr(run: model_runs.ModelRun) -> str:
    outputs = run.outputs("compression")
    return f"{min(output['snr_db'] for output in outputs):.1f} dB" if outputs else "does not run"


def _agreement(pair: Mapping[str, Any]) -> str:
    comparison = pair["comparison"]
    if comparison is None or not comparison["classifications"]:
        return "–"
    top_1 = comparison["classifications"][0]["top_1"]
    return f"{top_1['successes']} of {top_1['trials']}"


def _device(run: model_runs.ModelRun) -> str:
    outputs = run.outputs("deployment")
    if not outputs:
        return "does not run"
    different = sum(output["differing_elements"] for output in outputs)
    return f"{different} of {sum(output['elements'] for output in outputs)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models (default: all)")
    parser.add_argument("--without-large", action="store_true")
    args = parser.parse_args()
    unknown = set(args.names) - {model.name for model in CATALOGUE}
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    print(f"| {' | '.join(_HEADER)} |")
    print(f"| {' | '.join('---' for _ in _HEADER)} |")
    for model in CATALOGUE:
        chosen = (
            model.name in args.names if args.names else not (args.without_large and model.large)
        )
        if chosen:
            print(f"| {' | '.join(row(model))} |", flush=True)


if __name__ == "__main__":
    main()
