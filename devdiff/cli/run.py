"""``devdiff run``: one model, one runner, one input set; the outputs are kept for ``diff``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import inputs, model, output, running
from devdiff.system.exit_code import ExitCode

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "run"
HELP: Final = "run one model in one place over an input set and keep its outputs"
EXAMPLES: Final = """\
examples:
  devdiff run model.onnx --inputs samples.npz --out outputs/source
  devdiff run int8.tflite --inputs samples.npz --out outputs/host
  devdiff run int8.tflite --inputs samples.npz --host-runtime litert:builtin --out outputs/builtin
  devdiff run int8.tflite --inputs samples.npz --device local --out outputs/device
  devdiff run int8.tflite --source model.onnx --inputs samples.npz --out outputs/int8
  devdiff diff outputs/builtin outputs/device

A source model runs in the framework it comes from. A .tflite runs on the host, or on --device: a
phone, a virtual one, or local, the native runner on this machine. With --source, inputs and outputs
go by the source model's names and layout.
"""


def add_arguments(parser: Parser) -> None:
    model.add(parser, floating=False)
    inputs.add(parser, calibration=False)
    running.add(parser, one_place=True)
    output.add_out(parser, "folder for the outputs", required=True)
    output.add_json(parser, "print run.json")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.ladder.single_run import RunRequest, run_model
    from devdiff.report import terminal

    request = RunRequest(
        model=model.of(args), data=inputs.of(args), running=running.of_one_place(args)
    )
    with console.Narrator(args.verbosity) as narrator:
        record = run_model(request, args.out, narrator)
    if args.json:
        print(json.dumps(record, indent=2))
    elif args.verbosity != output.QUIET:
        terminal.show_run(record, args.out, console.stdout())
    return ExitCode.PASS if record["rung"]["failed"] == 0 else ExitCode.ERROR
