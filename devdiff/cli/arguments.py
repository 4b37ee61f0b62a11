"""Flags that several verbs share, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devdiff.exporter.compression import Compression
    from devdiff.inputs.input_set import InputRequest
    from devdiff.options import Running
    from devdiff.scan.options import ScanSettings


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help=".onnx, .pt2 or .pt (PyTorch), .keras or .h5, a SavedModel folder, or a finished "
        ".tflite",
    )
    parser.add_argument(
        "--shape",
        nargs="+",
        default=[],
        metavar="INPUT:D0,D1,…",
        help="fix the dynamic axes of an input, for example image:1,3,224,224",
    )
    parser.add_argument(
        "--signature", metavar="NAME", help="which of a SavedModel's signatures to take"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="let code in the model's file run (a pickled module, a Lambda layer): only if you "
        "trust whoever made it",
    )


def add_relatives(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        type=Path,
        metavar="MODEL",
        help="the source model (any but .tflite) that a finished .tflite MODEL was made from",
    )
    parser.add_argument(
        "--float",
        dest="floating",
        type=Path,
        metavar="TFLITE",
        help="the float32 .tflite beside an int8 .tflite MODEL, for a rung of its own",
    )


def shapes(values: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``--shape`` as a mapping. Raises `UsageError` on a malformed one."""
    from devdiff.errors import UsageError

    found = {}
    for value in values:
        name, _, dims = value.rpartition(":")
        try:
            found[name] = tuple(int(dim) for dim in dims.lower().replace("x", ",").split(","))
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--shape {value!r}: write INPUT:D0,D1,…, e.g. image:1,3,224,224")
    return found


def add_compression(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--compress",
        metavar="HOW",
        help="int8 (default), prune:RATE (each layer's smallest weights), channel-prune:RATE (each "
        "layer's weakest channels), either with a recipe behind (prune:0.5+int8), or none",
    )
    parser.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="how weights and activations are quantized: int8 (default), int8-float-io, "
        "int8-per-tensor, int16x8, dynamic, float16, ai-edge-int8, ai-edge-int16x8, "
        "ai-edge-dynamic, or a JSON file",
    )


def compressions(args: argparse.Namespace) -> tuple[Compression, ...]:
    """``--compress`` with each ``--recipe``; empty where both were left out.

    Raises `CompressionError` for what does not exist or does not go together.
    """
    from devdiff.exporter import recipe
    from devdiff.exporter.compression import Compression, with_recipes

    chosen = () if args.compress is None else (Compression.parse(args.compress),)
    return with_recipes(chosen, [recipe.parse(text) for text in args.recipe])


def compression(args: argparse.Namespace) -> Compression | None:
    """The one compression that was asked for, None where it was left out.

    Raises what `compressions` raises, and `UsageError` for several.
    """
    from devdiff.errors import UsageError

    found = compressions(args)
    if len(found) > 1:
        raise UsageError(f"devdiff {args.verb} takes one --recipe")
    return found[0] if found else None


def add_data(parser: argparse.ArgumentParser, calibration: bool = True) -> None:
    group = parser.add_argument_group("input set")
    group.add_argument(
        "--inputs",
        type=Path,
        metavar="PATH",
        help=".npz (an array per input, 'labels' if any), .npy, a folder of images or WAV files, a "
        ".csv of paths and labels, loader.py:FUNCTION (your own file, which is run), or a saved "
        "Hugging Face data set; left out: seeded synthetic samples, which speak of numerics only",
    )
    group.add_argument(
        "--labels", type=Path, metavar="FILE", help="true class of each sample: .npy, .npz or text"
    )
    group.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="the model's class names in order, one a line, for labels that are names",
    )
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
        default="",
        metavar="STEPS",
        help="resize=[bilinear|nearest|letterbox|cover:]HxW,crop=HxW,pad=NUMBER,scale=1/255,"
        "mean=A:B:C,std=A:B:C,layout=NCHW|NHWC,channels=RGB|BGR|L; for sound rate=HZ,mono,"
        "length=SAMPLES,normalize",
    )
    group.add_argument("--seed", type=int, default=0, help="for every random choice (default 0)")


def request(args: argparse.Namespace) -> InputRequest:
    from devdiff.inputs.input_set import InputRequest
    from devdiff.inputs.preprocess import Preprocess

    return InputRequest(
        inputs=args.inputs,
        labels=args.labels,
        classes=args.classes,
        calibration=getattr(args, "calibration", None),
        preprocess=Preprocess.parse(args.preprocess),
        seed=args.seed,
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--device",
        metavar="DEVICE",
        help="an adb serial (emulator-5554), host:port, virtual[:CPU] (an emulated ARM64 phone), "
        "local (the native runner on this machine) or none; left out: ANDROID_SERIAL, else the "
        "only device attached, else local",
    )
    group.add_argument(
        "--host-runtime",
        action="append",
        default=[],
        metavar="RUNTIME[:KERNELS]",
        help="litert (default), tflite-runtime or tensorflow, with :xnnpack (default), :builtin "
        "(default with --delegate none) or :reference; given again, the others become side rungs",
    )
    group.add_argument(
        "--runtime",
        metavar="LIBRARY",
        help="runtime library for the device: a .so, an app (.apk, .aab, .aar) that carries one, "
        "'litert' or 'litert-lm'; left out: a pinned one for the device",
    )
    group.add_argument(
        "--delegate",
        choices=["xnnpack", "none", "gpu", "nnapi"],
        default="xnnpack",
        help="on the device; one that does not apply is an error",
    )
    group.add_argument(
        "--keep-going",
        action="store_true",
        help="pass over samples that kill the runner on a phone (they still count as errors)",
    )
    group.add_argument("--threads", type=positive, default=1, metavar="N", help="default 1")
    group.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="how long one sample may take (default 120)",
    )


def running(args: argparse.Namespace) -> Running:
    from devdiff.options import Running

    return Running(
        device=args.device,
        host_runtimes=tuple(args.host_runtime),
        runtime=args.runtime,
        delegate=args.delegate,
        threads=args.threads,
        keep_going=args.keep_going,
        timeout_s=args.timeout,
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def add_scan(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("scan")
    group.add_argument(
        "--images",
        type=positive,
        default=100,
        metavar="N",
        help="samples a scan looks at, half to search on, half to measure on (default 100)",
    )
    group.add_argument(
        "--budget",
        type=float,
        default=840.0,
        metavar="SECONDS",
        help="time for the search and its placebos (default 840); too little is an error",
    )
    group.add_argument(
        "--placebos",
        type=positive,
        default=2,
        metavar="N",
        help="searches of the model compressed otherwise, for comparison (default 2)",
    )
    group.add_argument(
        "--input",
        metavar="NAME",
        help="the input that is changed, where there are several float ones; the others stay as "
        "each sample has them",
    )
    group.add_argument("--output", metavar="NAME", help="the output to scan; left out: the scores")
    group.add_argument(
        "--output-kind",
        choices=("classes", "values"),
        help="what that output holds; left out: class scores wherever its shape is [1, C]",
    )
    return group


def scan(args: argparse.Namespace) -> ScanSettings:
    from devdiff.scan.options import ScanSettings

    return ScanSettings(
        images=args.images,
        budget_s=args.budget,
        placebos=args.placebos,
        seed=args.seed,
        input=args.input,
        output=args.output,
        output_kind=args.output_kind,
    )
