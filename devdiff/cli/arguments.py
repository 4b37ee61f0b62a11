"""Flags that several verbs share, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devdiff.data.inputs import InputRequest
    from devdiff.gate.config import Rules
    from devdiff.scan.scanned import ScanSettings
    from devdiff.settings import Gates, Running
    from devdiff.tasks.request import TaskRequest
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

    Raises `CompressionError` for what does not exist, `UsageError` for what does not go together.
    """
    from devdiff.errors import UsageError
    from exporter import recipe
    from exporter.compression import Compression

    chosen = None if args.compress is None else Compression.parse(args.compress)
    recipes = [recipe.parse(text) for text in args.recipe]
    if not recipes:
        return () if chosen is None else (chosen,)
    if chosen is not None and (chosen.recipe is not None or chosen.pruning is None):
        raise UsageError(
            f"--compress {args.compress} says how weights are quantized, and so does --recipe: "
            "leave one out (--compress prune:RATE goes with a recipe)"
        )
    if len({one.name for one in recipes}) < len(recipes):
        raise UsageError("--recipe: two recipes have one name; each needs its own")
    pruning = chosen.pruning if chosen else None
    return tuple(Compression(pruning, one) for one in recipes)


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
    from devdiff.data.inputs import InputRequest
    from devdiff.data.preprocess import Preprocess

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


def add_baseline(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("baseline")
    group.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="fail only on what got worse since: a report.json, a check.json or what devdiff check "
        "--write-baseline wrote",
    )
    group.add_argument(
        "--max-snr-loss",
        type=float,
        metavar="DB",
        help="SNR an output may lose before it counts as worse (default 1)",
    )
    group.add_argument(
        "--max-slowdown",
        type=float,
        metavar="FACTOR",
        help="how many times slower the device may get (default: time does not count)",
    )
    group.add_argument(
        "--allow-other-inputs", action="store_true", help="compare runs over other inputs, too"
    )
    group.add_argument(
        "--allow-other-model",
        action="store_true",
        help="compare with a model of another file name, too",
    )


def rules(args: argparse.Namespace, usual: Rules) -> Rules:
    """What counts as worse: the options, and where they are left out what is ``usual``."""
    from devdiff.gate.config import Rules

    loss, slowdown = args.max_snr_loss, args.max_slowdown
    return Rules(
        max_snr_loss_db=usual.max_snr_loss_db if loss is None else loss,
        max_slowdown=usual.max_slowdown if slowdown is None else slowdown,
        other_inputs=args.allow_other_inputs or usual.other_inputs,
        other_model=args.allow_other_model or usual.other_model,
    )


def add_task(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the model is for")
    group.add_argument(
        "--task",
        metavar="TASK[:OPTIONS]",
        help="classification[:K], detection, segmentation, embedding, regression or sequence, with "
        "options as in detection:format=yolo,nms=0.7 (docs/tasks.md); left out: classification if "
        "there are labels, not judged",
    )
    group.add_argument(
        "--truth",
        type=Path,
        metavar="PATH",
        help="true boxes, masks, values or texts of the inputs; left out: labels, else the "
        "source's own answers, and then nothing is judged",
    )
    group.add_argument(
        "--max-drop",
        type=_share,
        metavar="SHARE",
        help="by how much one step may make the task's first metric worse (default 0.05)",
    )


def task(args: argparse.Namespace) -> TaskRequest | None:
    """What is to be measured. Raises `UsageError`."""
    from devdiff.errors import UsageError
    from devdiff.tasks.request import CLASSIFICATION, TaskRequest

    if args.task is not None:
        return TaskRequest.parse(args.task, args.truth, args.max_drop)
    if args.truth is not None:
        raise UsageError("--truth needs --task: detection, segmentation, regression or sequence")
    if args.max_drop is not None:
        return TaskRequest.parse(CLASSIFICATION, None, args.max_drop)
    return None


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
        output=args.output,
        output_kind=args.output_kind,
    )
