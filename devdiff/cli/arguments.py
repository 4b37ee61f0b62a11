"""Flags that several verbs share, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devdiff.data.inputs import InputRequest
    from devdiff.scan.scanned import ScanSettings
    from devdiff.settings import Gates, Running
    from exporter.compression import Compression


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="an .onnx or a finished .tflite")
    parser.add_argument(
        "--shape",
        nargs="+",
        default=[],
        metavar="INPUT:D0,D1,…",
        help="fix the dynamic axes of an input, for example image:1,3,224,224",
    )


def add_relatives(parser: argparse.ArgumentParser) -> None:
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
        "layer's weakest channels), either with +int8 behind (prune:0.5+int8), or none",
    )


def compression(args: argparse.Namespace) -> Compression | None:
    """``--compress`` as a value, None where it was left out. Raises `CompressionError`."""
    from exporter.compression import Compression

    return None if args.compress is None else Compression.parse(args.compress)


def add_data(parser: argparse.ArgumentParser, calibration: bool = True) -> None:
    group = parser.add_argument_group("input set")
    group.add_argument(
        "--inputs",
        type=Path,
        metavar="PATH",
        help=".npz (an array per input, 'labels' if any), .npy, or a folder of images; left out: "
        "seeded synthetic samples, which speak of numerics only",
    )
    group.add_argument(
        "--labels", type=Path, metavar="FILE", help="true class of each sample: .npy, .npz or text"
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
        help="resize=HxW,scale=1/255,mean=A:B:C,std=A:B:C,layout=NCHW|NHWC,channels=RGB|BGR|L",
    )
    group.add_argument("--seed", type=int, default=0, help="for every random choice (default 0)")


def request(args: argparse.Namespace) -> InputRequest:
    from devdiff.data.inputs import InputRequest
    from devdiff.data.preprocess import Preprocess

    return InputRequest(
        inputs=args.inputs,
        labels=args.labels,
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
    from devdiff.settings import Running

    return Running(
        device=args.device,
        host_runtimes=tuple(args.host_runtime),
        runtime=args.runtime,
        delegate=args.delegate,
        threads=args.threads,
        keep_going=args.keep_going,
        timeout_s=args.timeout,
    )


def add_gates(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is allowed")
    add_tolerances(group)
    _add_other_gates(group)


def add_tolerances(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--atol",
        nargs="+",
        default=[],
        metavar="[OUTPUT:]VALUE",
        help="absolute tolerance between float rungs (default 1e-5), for all or one output",
    )
    group.add_argument(
        "--rtol",
        nargs="+",
        default=[],
        metavar="[OUTPUT:]VALUE",
        help="tolerance relative to the output's peak on the reference rung (default 1e-4)",
    )


def _add_other_gates(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--min-agreement",
        type=_share,
        default=0.95,
        metavar="SHARE",
        help="top-1 agreement a compressed classifier must reach (default 0.95)",
    )
    group.add_argument(
        "--min-snr",
        type=float,
        default=10.0,
        metavar="DB",
        help="signal-to-noise ratio other compressed outputs must reach (default 10)",
    )
    group.add_argument(
        "--max-lsb",
        type=int,
        default=1,
        metavar="N",
        help="steps an int8 element may differ between host and device (default 1)",
    )
    group.add_argument(
        "--exact", action="store_true", help="no element may differ between host and device"
    )
    add_classifier(group)


def add_classifier(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--classifier",
        nargs="+",
        default=[],
        metavar="OUTPUT",
        help="outputs that are class scores (default: found by labels, or by softmax outputs)",
    )


def gates(args: argparse.Namespace) -> Gates:
    from devdiff.settings import Gates

    return Gates(
        atol=tuple(args.atol),
        rtol=tuple(args.rtol),
        min_agreement=args.min_agreement,
        min_snr_db=args.min_snr,
        max_lsb=args.max_lsb,
        exact=args.exact,
        classifiers=tuple(args.classifier),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
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
        default=900.0,
        metavar="SECONDS",
        help="time for the search and its placebos (default 900); too little is an error",
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
    from devdiff.scan.scanned import ScanSettings

    return ScanSettings(
        images=args.images,
        budget_s=args.budget,
        placebos=args.placebos,
        seed=args.seed,
        input=args.input,
        output=args.output,
        output_kind=args.output_kind,
    )
