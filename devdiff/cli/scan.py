"""``devdiff scan``: what only the compressed model does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli import arguments, limits
from devdiff.cli.export_and_test import run_test

if TYPE_CHECKING:
    import argparse

NAME: Final = "scan"
HELP: Final = "hunt for what only the compressed model does: backdoors that compression wakes up"
EXAMPLES: Final = """\
examples:
  devdiff scan model.onnx --inputs samples.npz
  devdiff scan model.onnx --inputs photos/ --compress prune:0.5+int8 --device emulator-5554
  devdiff scan model-int8.tflite --float model-float.tflite --inputs samples.npz
  devdiff scan model-int8.tflite --source model.onnx --inputs samples.npz --budget 300

Exit code 4 is a finding: one change of the input makes the compressed model say something else
while the full model keeps its answer, measured on held-out inputs. 0 is no finding at the power
that the report states. What compression changes on clean inputs is export-and-test's business.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_model(parser)
    arguments.add_relatives(parser)
    arguments.add_compression(parser)
    arguments.add_data(parser)
    arguments.add_scan(parser)
    arguments.add_running(parser)
    limits.add_classifier(parser)
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where this run is kept")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.ladder.request import LadderRequest
    from devdiff.options import Gates

    arguments.check_calibration(args)
    request = LadderRequest(
        model=args.model,
        source=args.source,
        floating=args.floating,
        shapes=arguments.shapes(args.shape),
        signature=args.signature,
        trust=args.trust,
        compression=arguments.compression(args),
        data=arguments.request(args),
        running=arguments.running(args),
        gates=Gates(classifiers=tuple(args.classifier)),
        scan=arguments.scan(args),
        gated=False,
    )
    return run_test(args, request)
