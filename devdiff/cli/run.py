"""``devdiff run``: one model, one runner, one input set; the outputs are kept for ``diff``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli import arguments

if TYPE_CHECKING:
    import argparse

NAME: Final = "run"
HELP: Final = "run one model in one place over an input set and keep its outputs"
EXAMPLES: Final = """\
examples:
  devdiff run model.onnx --inputs samples.npz --out outputs/source
  devdiff run int8.tflite --inputs samples.npz --on litert:builtin --out outputs/builtin
  devdiff run int8.tflite --inputs samples.npz --on local --out outputs/device
  devdiff run shipped.tflite --source model.onnx --inputs samples.npz --out outputs/shipped
  devdiff diff outputs/builtin outputs/device

A source model runs in the framework it comes from. For a .tflite, --on is litert (the default),
tflite-runtime or tensorflow, with :xnnpack, :builtin or :reference, or local (the native runner).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_model(parser)
    parser.add_argument(
        "--source",
        type=Path,
        metavar="SOURCE",
        help="the source model of a .tflite MODEL: inputs and outputs go by its names and layout",
    )
    arguments.add_data(parser, calibration=False)
    parser.add_argument("--on", metavar="RUNNER", help="where to run it (see below)")
    parser.add_argument(
        "--runtime", metavar="LIBRARY", help="runtime library for --on local, as in export-and-test"
    )
    parser.add_argument(
        "--delegate", choices=["xnnpack", "none"], help="for --on local (default xnnpack)"
    )
    parser.add_argument("--threads", type=arguments.positive, default=1, metavar="N")
    parser.add_argument("--timeout", type=arguments.seconds, default=120.0, metavar="SECONDS")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the outputs"
    )
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.errors import UsageError
    from devdiff.ladder.single_run import RunRequest, run_model
    from devdiff.report import terminal

    for name in ("runtime", "delegate"):
        if getattr(args, name) is not None and args.on != "local":
            raise UsageError(f"--{name} is for the native runner: give --on local, too")
    request = RunRequest(
        model=args.model,
        source=args.source,
        shapes=arguments.shapes(args.shape),
        signature=args.signature,
        trust=args.trust,
        data=arguments.request(args),
        on=args.on,
        runtime=args.runtime,
        delegate=args.delegate or "xnnpack",
        threads=args.threads,
        timeout_s=args.timeout,
    )
    with console.Narrator() as narrator:
        record = run_model(request, args.out, narrator)
    if args.json:
        print(json.dumps(record, indent=2))
    else:
        terminal.show_run(record, args.out, console.stdout())
    return 0 if record["rung"]["failed"] == 0 else 3
