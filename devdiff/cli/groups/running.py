"""Where a model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from devdiff.cli.groups.values import given, option, positive, seconds, shown
from devdiff.options import DEFAULT_RUNNING, HOST_ONLY, Delegate

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.options import Running

FIELDS: Final = {
    "device": "device",
    "host_runtime": "host_runtimes",
    "runtime": "runtime",
    "delegate": "delegate",
    "keep_going": "keep_going",
    "threads": "threads",
    "timeout": "timeout_s",
}
_DEVICE: Final = (
    "an adb serial (emulator-5554), host:port, virtual[:CPU] (an emulated ARM64 phone), local (the "
    "native runner on this machine) or none; left out: "
)


def add(parser: Parser, *, one_place: bool = False) -> None:
    """With ``one_place`` the model runs there alone, on the host unless a device is named."""
    group = parser.group("where it runs")
    left_out = "ANDROID_SERIAL, else the only device attached, else local"
    group.add_argument(
        "--device",
        metavar="DEVICE",
        help=_DEVICE + ("the host" if one_place else left_out),
    )
    others = "" if one_place else " (default with --delegate none)"
    again = "" if one_place else "; given again, the others become side rungs"
    group.add_argument(
        "--host-runtime",
        action="append",
        default=[],
        metavar="RUNTIME[:KERNELS]",
        help="litert (default), tflite-runtime or tensorflow, with :xnnpack (default), :builtin"
        f"{others} or :reference{again}",
    )
    group.add_argument(
        "--runtime",
        metavar="LIBRARY",
        help="runtime library for the device: a .so, an app (.apk, .aab, .aar) that carries one, "
        "'litert' or 'litert-lm'; left out: a pinned one for the device",
    )
    group.add_argument(
        "--delegate",
        choices=get_args(Delegate),
        help=f"on the device (default {DEFAULT_RUNNING.delegate}); one that does not apply is an "
        "error",
    )
    group.add_argument(
        "--keep-going",
        action="store_true",
        default=None,
        help="skip samples that crash the runner on a phone (still counted as errors)",
    )
    group.add_argument(
        "--threads", type=positive, metavar="N", help=f"default {DEFAULT_RUNNING.threads}"
    )
    group.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help=f"how long one sample may take (default {shown(DEFAULT_RUNNING.timeout_s)})",
    )


def of(args: argparse.Namespace) -> Running:
    """Where it runs. Raises `UsageError` for a runtime that nothing would load."""
    from devdiff.errors import UsageError
    from devdiff.options import Running

    if args.device == "none" and args.runtime is not None:
        raise UsageError(
            f"--runtime {args.runtime} is for the device rung, and --device none leaves it out"
        )
    return Running(**given(args, FIELDS))


def of_one_place(args: argparse.Namespace) -> Running:
    """The one place where it runs. Raises `UsageError` for what only a device would heed."""
    from devdiff.errors import UsageError
    from devdiff.options import Running

    if args.device in (None, "none"):
        for name in ("runtime", "delegate"):
            if getattr(args, name) is not None:
                raise UsageError(
                    f"{option(name)} {getattr(args, name)} is for a device: name it with --device "
                    "(local is this machine)"
                )
    chosen = given(args, FIELDS)
    return Running(**{"device": HOST_ONLY.device, **chosen})
