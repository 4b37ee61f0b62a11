"""The input set: which samples, how they are prepared, and what calibrates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import compression
from devdiff.cli.groups.values import given, option, positive
from devdiff.options import SEED

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.inputs.request import InputRequest

_FIELDS: Final = {
    "inputs": "inputs",
    "labels": "labels",
    "classes": "classes",
    "calibration": "calibration",
    "seed": "seed",
    "limit": "limit",
}


def add(parser: Parser, *, calibration: bool = True, seed: bool = True, limit: bool = True) -> None:
    group = parser.group("input set")
    group.add_argument(
        "--inputs",
        type=Path,
        metavar="PATH",
        help=".npz (an array per input, 'labels' if any), .npy, a folder of images or WAV files, a "
        ".csv of paths and labels, loader.py:FUNCTION (your own file, which is run), or a saved "
        "Hugging Face data set; left out: seeded synthetic samples, which speak of numerics only",
    )
    add_labels(parser)
    if calibration:
        group.add_argument(
            "--calibration",
            type=Path,
            metavar="PATH",
            help="representative dataset for quantization, as --inputs; left out: a seeded part of "
            "the inputs, which is then not tested",
        )
    group.add_argument(
        "--preprocess",
        metavar="STEPS",
        help="resize=[bilinear|nearest|letterbox|cover:]HxW,crop=HxW,pad=NUMBER,scale=1/255,"
        "mean=A:B:C,std=A:B:C,layout=NCHW|NHWC,channels=RGB|BGR|L; for sound rate=HZ,mono,"
        "length=SAMPLES,normalize",
    )
    if seed:
        group.add_argument(
            "--seed", type=int, metavar="N", help=f"for every random choice (default {SEED})"
        )
    if limit:
        add_limit(parser)


def add_limit(parser: Parser) -> None:
    parser.group("input set").add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="test at most N of the samples, spread over all of them: a smoke run, which its "
        "verdict says",
    )


def add_labels(parser: Parser) -> None:
    group = parser.group("input set")
    group.add_argument(
        "--labels", type=Path, metavar="FILE", help="true class of each sample: .npy, .npz or text"
    )
    group.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="the model's class names in order, one a line: for labels that are names, and for "
        "the page",
    )


def of(args: argparse.Namespace) -> InputRequest:
    """The input set. Raises `UsageError` for what says something of inputs that are not given."""
    from devdiff.errors import UsageError
    from devdiff.inputs.preprocess import Preprocess
    from devdiff.inputs.request import InputRequest

    calibrated = "calibration" in vars(args)
    if args.inputs is None:
        # A calibration set is prepared as the inputs are.
        alone = () if calibrated and args.calibration else ("classes", "preprocess")
        for name in ("labels", *alone):
            if getattr(args, name):
                raise UsageError(
                    f"{option(name)} {getattr(args, name)} is for inputs, and none are given: name "
                    "them with --inputs"
                )
    fields = {name: field for name, field in _FIELDS.items() if name in vars(args)}
    return InputRequest(**given(args, fields), preprocess=Preprocess.parse(args.preprocess or ""))


def check_calibration(args: argparse.Namespace) -> None:
    """Raises `UsageError` for a calibration set that would calibrate nothing."""
    from devdiff.errors import UsageError
    from devdiff.exporter.compression import INT8_ONLY

    if args.calibration is None:
        return
    if args.model.suffix == ".tflite":
        raise UsageError(
            f"--calibration is for models that are quantized here: {args.model} is finished, and "
            "is tested as it is"
        )
    compressions = compression.every(args) or (INT8_ONLY,)
    if not any(choice.calibrated for choice in compressions):
        raise UsageError(
            f"--calibration {args.calibration}: {', '.join(map(str, compressions))} needs none; "
            "leave it out"
        )
