"""``devdiff export``: a source model to .tflite, compressed and checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from devdiff.cli.groups import compression, gates, inputs, model, output
from devdiff.system.typed_json import fields

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
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


def add_arguments(parser: Parser) -> None:
    model.add(parser, relatives=False)
    compression.add(parser)
    parser.group("compression").add_argument(
        "--full",
        action="store_true",
        help="with pruning: also leave float.tflite of the unpruned model",
    )
    inputs.add(parser)
    gates.add_tolerances(parser)
    output.add_out(parser, "folder for artifacts and manifest", required=True)
    output.add_json(parser, "print the manifest and the comparison as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.exporter.compression import INT8_ONLY
    from devdiff.ladder.export_run import ExportRequest, export_each, export_model
    from devdiff.report import terminal
    from devdiff.verdict import combine

    inputs.check_calibration(args)
    compressions = compression.every(args) or (INT8_ONLY,)
    request = ExportRequest(
        model=model.of(args),
        compression=compressions[0],
        full=args.full,
        data=inputs.of(args),
        gates=gates.of(args),
    )
    with console.Narrator(args.verbosity) as narrator:
        if len(compressions) == 1:
            outcomes = [export_model(request, args.out, narrator)]
        else:
            outcomes = export_each(request, compressions, args.out, narrator)
    verdict = combine(outcome.verdict for outcome in outcomes)
    if args.json:
        documents = [_document(outcome) for outcome in outcomes]
        print(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(verdict.value, str(args.out))
    else:
        for outcome in outcomes:
            terminal.show_export(
                outcome.manifest,
                outcome.folder,
                outcome.conversions,
                outcome.basis,
                console.stdout(),
            )
    return verdict.exit_code


def _document(outcome: ExportOutcome) -> dict[str, Any]:
    document = {
        "manifest": outcome.manifest.to_json(),
        "basis": fields(outcome.basis),
        "conversion": outcome.conversion.to_json(),
    }
    if outcome.full_conversion is not None:
        document["full_conversion"] = outcome.full_conversion.to_json()
    return document
