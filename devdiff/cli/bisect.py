"""``devdiff bisect``: which operator two places compute differently."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import gates, inputs, model, output, running
from devdiff.cli.groups.values import given, positive, whole
from devdiff.options import BISECT_GATES, DEFAULT_BISECT

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "bisect"
HELP: Final = "find the first operator that two places compute differently, and leave a repro"
EXAMPLES: Final = """\
examples:
  devdiff bisect devdiff-runs/20260101-120000-model
  devdiff bisect int8.tflite --inputs samples.npz --device emulator-5554
  devdiff bisect int8.tflite --inputs samples.npz --between litert:xnnpack litert:builtin
  devdiff bisect int8.tflite --inputs samples.npz --between int8@litert int8@tflite-runtime
  devdiff bisect int8.tflite --inputs samples.npz --against other-int8.tflite
  devdiff bisect int8.tflite --float float.tflite --inputs samples.npz --between float int8

A side is [RUNG@]PLACE: float or int8 (a file), behind it litert, tflite-runtime or tensorflow with
:xnnpack, :builtin or :reference, or device (what --device names). Of a run's directory, the step
that failed is bisected, with its own samples, device and limits; the report gains what is found.
Between float and int8 it is an error profile of every layer.

Exit code 1: an operator was found, or differences that add up; 0: both sides agree.
"""
_SETTINGS: Final = {
    "samples": "samples",
    "suspects": "suspects",
    "walk": "walk",
    "keep_float": "keep_float",
}


def add_arguments(parser: Parser) -> None:
    model.add(parser, model="a .tflite, or the directory of a run of export-and-test")
    group = parser.group("what is compared")
    group.add_argument(
        "--between",
        nargs=2,
        metavar=("SIDE", "SIDE"),
        help="the reference and the candidate (see below); left out: the step that failed in a "
        "run, else the host and --device",
    )
    group.add_argument(
        "--against",
        type=Path,
        metavar="TFLITE",
        help="another file with the same operators, for the second side",
    )
    inputs.add(parser)
    running.add(parser)
    gates.add_tolerances(parser)
    parser.group("what is allowed").add_argument(
        "--max-lsb",
        type=whole,
        metavar="N",
        help="steps an element of a quantized tensor may differ "
        f"(default {BISECT_GATES.max_lsb}; of a run, its own)",
    )
    group = parser.group("how closely to look")
    group.add_argument(
        "--samples",
        type=positive,
        metavar="N",
        help=f"samples to bisect with (default {DEFAULT_BISECT.samples}); where none of them "
        "differs, others are tried",
    )
    group.add_argument(
        "--suspects",
        type=positive,
        metavar="N",
        help=f"operators to run alone, from the one found on (default {DEFAULT_BISECT.suspects})",
    )
    group.add_argument(
        "--walk",
        action="store_true",
        default=None,
        help="cut behind every operator and run each alone, too",
    )
    group.add_argument(
        "--keep-float",
        type=whole,
        metavar="N",
        help="between float and int8: export again with the N costliest layers in float and "
        f"measure what that brings (default {DEFAULT_BISECT.keep_float}; needs the source model)",
    )
    output.add_out(parser, "where the bisection of a .tflite is kept (default devdiff-runs/…)")
    output.add_json(parser, "print what was found as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.bisection.bisect import bisect
    from devdiff.bisection.subject import BisectRequest
    from devdiff.cli import console
    from devdiff.options import BisectSettings
    from devdiff.report import bisect as report

    limits = given(args, gates.FIELDS_OF_TENSORS)
    request = BisectRequest(
        model=model.of(args),
        between=tuple(args.between) if args.between else None,
        against=args.against,
        data=inputs.of(args),
        running=running.of(args),
        chosen=tuple(given(args, running.FIELDS)),
        gates=replace(BISECT_GATES, **limits) if limits else None,
        settings=BisectSettings(**given(args, _SETTINGS)),
    )
    with console.Narrator(args.verbosity) as narrator:
        outcome = bisect(request, args.out, narrator)
    if args.json:
        print(json.dumps(outcome.section.to_json(), indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(outcome.section.verdict, outcome.section.reason)
    else:
        out = console.stdout()
        report.show(outcome.section, out, outcome.path)
        out.repeat(outcome.section.verdict, outcome.section.reason)
    return outcome.exit_code
