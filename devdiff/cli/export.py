"""``devdiff export``: a source model to .tflite, compressed and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.cli import arguments, limits

if TYPE_CHECKING:
    import argparse

    from devdiff.ladder.export_run import ExportOutcome

NAME: Final = "export"
HELP: Final = "turn a source model into float32 and compressed .tflite, and check the conversion"
EXAMPLES: Final = """\
examples:
  devdiff export model.onnx --out exported/ --inputs samples.npz
  devdiff export model.keras --out exported/ --inputs samples.npz
  devdiff export model.onnx --out exported/ --calibration train-photos/
  devdiff export model.onnx --out exported/ --shape image:1,3,224,224
  devdiff export model.onnx --out exported/ --inputs samples.npz --compress prune:0.5+int8
  devdiff export model.onnx --out exported/ --inputs samples.npz --recipe float16

Writes float.tflite, int8.tflite and manifest.json into the folder; with pruning pruned.onnx,
pruned-float.tflite and pruned-int8.tflite. Several recipes get a folder each. The float artifact
is compared with the model it was made of; exit code 1 means that the conversion changed the model.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_model(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for artifacts and manifest"
    )
    arguments.add_compression(parser)
    parser.add_argument(
        "--full",
        action="store_true",
        help="with pruning: also leave float.tflite of the unpruned model",
    )
    arguments.add_data(parser)
    limits.add_tolerances(parser.add_argument_group("what is allowed"))
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.exporter.compression import INT8_ONLY
    from devdiff.ladder.export_run import ExportRequest, export_each, export_model
    from devdiff.options import Gates
    from devdiff.report import terminal
    from devdiff.verdict import combine

    arguments.check_calibration(args)
    compressions = arguments.compressions(args) or (INT8_ONLY,)
    request = ExportRequest(
        model=args.model,
        shapes=arguments.shapes(args.shape),
        signature=args.signature,
        trust=args.trust,
        compression=compressions[0],
        full=args.full,
        data=arguments.request(args),
        gates=Gates(atol=tuple(args.atol), rtol=tuple(args.rtol)),
    )
    with console.Narrator() as narrator:
        if len(compressions) == 1:
            outcomes = [export_model(request, args.out, narrator)]
        else:
            outcomes = export_each(request, compressions, args.out, narrator)
    if args.json:
        documents = [_document(outcome) for outcome in outcomes]
        print(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
    else:
        for outcome in outcomes:
            terminal.show_export(
                outcome.manifest,
                outcome.folder,
                outcome.conversions,
                outcome.basis,
                console.stdout(),
            )
    return combine(outcome.verdict for outcome in outcomes).exit_code


def _document(outcome: ExportOutcome) -> dict[str, Any]:
    document = {
        "manifest": outcome.manifest.to_json(),
        "basis": outcome.basis,
        "conversion": outcome.conversion.to_json(),
    }
    if outcome.full_conversion is not None:
        document["full_conversion"] = outcome.full_conversion.to_json()
    return document
