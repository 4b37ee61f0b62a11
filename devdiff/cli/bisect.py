"""``devdiff bisect``: which operator two places compute differently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli import arguments, limits

if TYPE_CHECKING:
    import argparse

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a .tflite, or the directory of a run"
    )
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("SIDE", "SIDE"),
        help="the reference and the candidate (see below); left out: the step that failed in a "
        "run, else the host and --device",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="TFLITE",
        help="another file with the same operators, for the second side",
    )
    arguments.add_relatives(parser)
    arguments.add_data(parser)
    arguments.add_running(parser)
    group = parser.add_argument_group("what is allowed")
    limits.add_tolerances(group)
    group.add_argument(
        "--max-lsb",
        type=int,
        metavar="N",
        help="steps an element of a quantized tensor may differ (default 0; of a run, its own)",
    )
    group = parser.add_argument_group("how closely to look")
    group.add_argument(
        "--samples",
        type=arguments.positive,
        default=8,
        metavar="N",
        help="samples to bisect with (default 8); where none of them differs, others are tried",
    )
    group.add_argument(
        "--suspects",
        type=arguments.positive,
        default=3,
        metavar="N",
        help="operators to run alone, from the one found on (default 3)",
    )
    group.add_argument(
        "--walk", action="store_true", help="cut behind every operator and run each alone, too"
    )
    group.add_argument(
        "--keep-float",
        type=int,
        default=3,
        metavar="N",
        help="between float and int8: export again with the N costliest layers in float and "
        "measure what that brings (default 3; needs the source model)",
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where a .tflite's is kept")
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.bisect.bisect import bisect
    from devdiff.bisect.subject import BisectRequest
    from devdiff.cli import console
    from devdiff.options import Gates
    from devdiff.report import bisect as report

    limited = args.max_lsb is not None or args.atol or args.rtol
    gates = Gates(atol=tuple(args.atol), rtol=tuple(args.rtol), max_lsb=args.max_lsb or 0)
    request = BisectRequest(
        model=args.model,
        between=tuple(args.between) if args.between else None,
        against=args.against,
        floating=args.floating,
        source=args.source,
        data=arguments.request(args),
        running=arguments.running(args),
        gates=gates if limited else None,
        samples=args.samples,
        suspects=args.suspects,
        walk=args.walk,
        keep_float=args.keep_float,
    )
    with console.Narrator() as narrator:
        outcome = bisect(request, args.run_dir, narrator)
    if args.json:
        print(json.dumps(outcome.section.to_json(), indent=2))
    else:
        report.show(outcome.section, console.stdout(), outcome.path)
    return outcome.exit_code
