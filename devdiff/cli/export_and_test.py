"""``devdiff export-and-test``: the main job, from a model to a verdict."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli import arguments

if TYPE_CHECKING:
    from devdiff.pipeline import TestRequest

NAME: Final = "export-and-test"
HELP: Final = "export a model, run it on every rung up to the device, compare, and give a verdict"
EXAMPLES: Final = """\
examples:
  devdiff export-and-test model.onnx --inputs samples.npz
  devdiff export-and-test model.onnx --inputs photos/ --calibration train-photos/
  devdiff export-and-test model.onnx --inputs samples.npz --compress prune:0.5+int8
  devdiff export-and-test model.onnx --inputs photos/ --task detection:format=yolo --truth coco.json
  devdiff export-and-test model.tflite --source model.onnx --inputs samples.npz --exact
  devdiff export-and-test model.onnx --shape image:1,3,224,224 --json > report.json

The run directory (devdiff-runs/… unless --run-dir names one) keeps artifacts, results,
report.json and report.html; a run that was interrupted continues when the same
command is given again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_model(parser)
    arguments.add_relatives(parser)
    arguments.add_compression(parser)
    arguments.add_data(parser)
    arguments.add_running(parser)
    arguments.add_gates(parser)
    arguments.add_task(parser)
    arguments.add_scan(parser).add_argument(
        "--scan",
        action="store_true",
        help="scan the compressed model for what only it does, too (devdiff scan --help)",
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where this run is kept")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.pipeline import TestRequest

    request = TestRequest(
        model=args.model,
        source=args.source,
        floating=args.floating,
        shapes=arguments.shapes(args.shape),
        compression=arguments.compression(args),
        data=arguments.request(args),
        running=arguments.running(args),
        gates=arguments.gates(args),
        scan=arguments.scan(args) if args.scan else None,
        task=arguments.task(args),
    )
    return run_test(args, request)


def run_test(args: argparse.Namespace, request: TestRequest) -> int:
    """Run a test with a narrator and show its report."""
    from devdiff.cli import console
    from devdiff.pipeline import export_and_test
    from devdiff.report import terminal

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
