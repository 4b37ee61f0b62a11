"""Flags that several verbs share, in groups."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """The input set. Raises `UsageError` for what says something of inputs that are not given."""
    from devdiff.errors import UsageError
    from devdiff.inputs.input_set import InputRequest
    from devdiff.inputs.preprocess import Preprocess

    if args.inputs is None:
        # A calibration set is prepared as the inputs are.
        alone = () if getattr(args, "calibration", None) else ("classes", "preprocess")
        for name in ("labels", *alone):
            if getattr(args, name):
                raise UsageError(
                    f"{option(name)} {getattr(args, name)} is for inputs, and none are given: name "
                    "them with --inputs"
                )
    return InputRequest(
        inputs=args.inputs,
        labels=args.labels,
        classes=args.classes,
        calibration=getattr(args, "calibration", None),
        preprocess=Preprocess.parse(args.preprocess),
        seed=args.seed,
    )


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
    found = compressions(args) or (INT8_ONLY,)
    if not any(one.calibrated for one in found):
        raise UsageError(
            f"--calibration {args.calibration}: {', '.join(map(str, found))} needs none; leave it "
            "out"
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
        type=seconds,
        default=120.0,
        metavar="SECONDS",
        help="how long one sample may take (default 120)",
    )


def running(args: argparse.Namespace) -> Running:
    """Where it runs. Raises `UsageError` for a runtime that nothing would load."""
    from devdiff.errors import UsageError
    from devdiff.options import Running

    if args.device == "none" and args.runtime is not None:
        raise UsageError(
            f"--runtime {args.runtime} is for the device rung, and --device none leaves it out"
        )
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


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of more than 0 seconds")
    return value


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def add_scan(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("scan")
    group.add_argument(
        "--images",
        type=positive,
        metavar="N",
        help="samples a scan looks at, half to search on, half to measure on (default 100)",
    )
    group.add_argument(
        "--budget",
        type=seconds,
        metavar="SECONDS",
        help="time for the search and its placebos (default 840); what it leaves undone is stated, "
        "and nothing found is then inconclusive",
    )
    group.add_argument(
        "--placebos",
        type=positive,
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

    _check_changed(args.input)
    chosen = {field: getattr(args, name) for name, field in _SCAN_OPTIONS.items()}
    given = {field: value for field, value in chosen.items() if value is not None}
    return ScanSettings(seed=args.seed, **given)


_SCAN_OPTIONS: Final = {
    "images": "images",
    "budget": "budget_s",
    "placebos": "placebos",
    "input": "input",
    "output": "output",
    "output_kind": "output_kind",
}


def check_no_scan(args: argparse.Namespace) -> None:
    """Raises `UsageError` for an option of the scan where nothing is scanned."""
    from devdiff.errors import UsageError

    _check_changed(args.input)
    for name in _SCAN_OPTIONS:
        if getattr(args, name) is not None:
            raise UsageError(
                f"{option(name)} is for the scan, and none was asked for: add --scan, or leave "
                f"{option(name)} out"
            )


def _check_changed(name: str | None) -> None:
    """Raises `UsageError` for a file in the place of an input's name."""
    from devdiff.errors import UsageError

    if name is None:
        return
    path = Path(name)
    if path.exists() or path.suffix in (".npz", ".npy", ".csv", ".py"):
        raise UsageError(
            f"--input names the input that a scan changes, and {name} is a file; did you mean "
            f"--inputs {name}?"
        )


def option(name: str) -> str:
    """An attribute of the parsed command line as the option that sets it."""
    return f"--{name.replace('_', '-')}"
