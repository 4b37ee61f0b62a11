"""``devdiff export-and-test``: the main job, from a model to a verdict."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from devdiff.cli import arguments

NAME: Final = "export-and-test"
HELP: Final = "export a model, run it on every rung up to the device, compare, and give a verdict"
EXAMPLES: Final = """\
examples:
  devdiff export-and-test model.onnx --inputs samples.npz
  devdiff export-and-test model.onnx --inputs photos/ --calibration train-photos/
  devdiff export-and-test model.onnx --inputs samples.npz --compress prune:0.5+int8
  devdiff export-and-test model.tflite --source model.onnx --inputs samples.npz --exact
  devdiff export-and-test model.onnx --shape image:1,3,224,224 --json > report.json

The run directory (devdiff-runs/… unless --run-dir names one) keeps artifacts, results,
report.json and report.html; a run that was interrupted continues when the same
command is given again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_model(parser)
    parser.add_argument(
        "--source",
        type=Path,
        metavar="ONNX",
        help="the source model a finished .tflite MODEL was made from",
    )
    parser.add_argument(
        "--float",
        dest="floating",
        type=Path,
        metavar="TFLITE",
        help="the float32 .tflite beside an int8 .tflite MODEL, for a rung of its own",
    )
    arguments.add_compression(parser)
    arguments.add_data(parser)
    arguments.add_running(parser)
    arguments.add_gates(parser)
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where this run is kept")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.pipeline import TestRequest, export_and_test
    from devdiff.report import terminal

    request = TestRequest(
        model=args.model,
        source=args.source,
        floating=args.floating,
        shapes=arguments.shapes(args.shape),
        compression=arguments.compression(args),
        data=arguments.request(args),
        running=arguments.running(args),
        gates=arguments.gates(args),
    )
    with console.Narrator() as narrator:
        outcome = export_and_test(request, args.run_dir, narrator, tuple(sys.argv[1:]))
    if args.json:
        sys.stdout.write((outcome.directory / "report.json").read_text())
    else:
        out = console.stdout()
        terminal.show(outcome.report, out, outcome.directory / "report.json")
        if outcome.page is not None:
            out.print(f"page: {outcome.page}", markup=False, soft_wrap=True)
    return outcome.exit_code
