"""``devdiff scan``: what only the compressed model does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.cli.export_and_test import run_test
from devdiff.cli.groups import compression, gates, inputs, model, output, running, scan

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "scan"
HELP: Final = "search for what only the compressed model does: backdoors that compression wakes up"
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


def add_arguments(parser: Parser) -> None:
    model.add(parser)
    compression.add(parser)
    inputs.add(parser)
    running.add(parser)
    gates.add_classifier(parser)
    scan.add(parser)
    output.add_out(parser, "where this run is kept (default devdiff-runs/…)")
    output.add_json(parser)
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.ladder.request import LadderRequest

    inputs.check_calibration(args)
    request = LadderRequest(
        model=model.of(args),
        compression=compression.only(args),
        data=inputs.of(args),
        running=running.of(args),
        gates=gates.of(args),
        scan=scan.of(args),
        gated=False,
    )
    return run_test(args, request)
