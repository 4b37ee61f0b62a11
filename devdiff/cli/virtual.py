"""``devdiff virtual``: phones made of an emulated ARM64 machine and a real adb daemon."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.cli.groups import output
from devdiff.cli.groups.values import positive
from devdiff.device_runner.virtual.hardware import (
    CPUS,
    DEFAULT_CPU,
    DEFAULT_MEMORY_MIB,
    DEFAULT_STORAGE_MIB,
)

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.device_runner.virtual.phone import VirtualPhone

NAME: Final = "virtual"
HELP: Final = "start, list and stop virtual ARM64 phones that adb sees as emulators"
EXAMPLES: Final = """\
examples:
  devdiff virtual start
  devdiff virtual start --cpu cortex-a53 --count 2
  devdiff virtual list
  devdiff virtual stop emulator-5554
  devdiff virtual stop --all

A virtual phone is Linux with glibc on an emulated ARM64 CPU, with Android's adb daemon. It is not
Android: no SELinux, no logcat, no NNAPI, no GPU. Its timings say nothing about phones. It listens
on this machine's loopback only, and needs qemu-system-aarch64 (apt-get install qemu-system-arm).
"""
_LIST_SECONDS: Final = 2.0


def add_arguments(parser: Parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = actions.add_parser("start", help="start one phone, or several")
    start.add_argument(
        "--cpu",
        default=DEFAULT_CPU,
        metavar="CPU",
        help=f"{', '.join(CPUS)} (default {DEFAULT_CPU}); max has every feature that can be "
        "emulated, sme=off leaves out the one that is emulated wrongly",
    )
    start.add_argument(
        "--memory",
        type=positive,
        default=DEFAULT_MEMORY_MIB,
        metavar="MIB",
        help=f"default {DEFAULT_MEMORY_MIB}",
    )
    start.add_argument(
        "--storage",
        type=positive,
        default=DEFAULT_STORAGE_MIB,
        metavar="MIB",
        help=f"size of /data/local/tmp, which lies in the memory (default {DEFAULT_STORAGE_MIB})",
    )
    start.add_argument(
        "--count", type=positive, default=1, metavar="N", help="how many (default 1)"
    )
    start.add_argument("--name", default="", help="another name for it, for you to tell them apart")
    start.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="ADBKEY.pub",
        help="let in only who has this key (can be repeated); without, everybody on this machine",
    )
    start.add_argument(
        "--cold", action="store_true", help="boot it, even where a stored boot could be continued"
    )
    start.add_argument(
        "--mirror",
        metavar="ADDRESS",
        help="Debian archive to build the image from, the first time (default that of "
        "this machine's apt)",
    )
    output.add_json(start, "print the phones as JSON")
    listing = actions.add_parser("list", help="show what runs")
    output.add_json(listing, "print the list as JSON")
    stop = actions.add_parser("stop", help="stop one phone, or all")
    stop.add_argument("serial", nargs="*", metavar="SERIAL", help="its serial or its name")
    stop.add_argument("--all", action="store_true", help="stop all of your virtual phones")


def run(args: argparse.Namespace) -> int:
    actions = {"start": _start, "list": _list, "stop": _stop}
    return actions[args.action](args)


def _start(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.device_runner.virtual import phone

    started: list[VirtualPhone] = []
    try:
        with console.Narrator(args.verbosity) as narrator:
            for number in range(args.count):
                name = args.name if args.count == 1 else args.name and f"{args.name}-{number + 1}"
                narrator.phase(f"starting a virtual phone ({args.cpu})")
                started.append(
                    phone.start(
                        args.cpu,
                        memory_mib=args.memory,
                        storage_mib=args.storage,
                        name=name,
                        keys=args.key,
                        snapshot=not args.cold,
                        owned=False,
                        mirror=args.mirror,
                        say=narrator.phase,
                    )
                )
                phone.announce(started[-1])
            narrator.note(phone.WHAT_IT_IS)
    except BaseException:
        # All or none: nobody would know the serials of those that came up.
        for virtual_phone in started:
            virtual_phone.stop()
        raise
    if args.json:
        print(json.dumps([_to_json(virtual_phone, "ready") for virtual_phone in started], indent=2))
    else:
        for virtual_phone in started:
            print(virtual_phone.serial)
    return 0


def _list(args: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from devdiff.cli import console
    from devdiff.device_runner.virtual import phone
    from devdiff.report import parts
    from devdiff.report.parts import escape

    phones = phone.running()
    with ThreadPoolExecutor(max_workers=16) as pool:
        states = list(
            pool.map(lambda virtual_phone: virtual_phone.answer(_LIST_SECONDS).value, phones)
        )
    if args.json:
        records = [
            _to_json(virtual_phone, state)
            for virtual_phone, state in zip(phones, states, strict=True)
        ]
        print(json.dumps(records, indent=2))
        return 0
    if args.verbosity == output.QUIET:
        for virtual_phone in phones:
            print(virtual_phone.serial)
        return 0
    out = console.stdout()
    if not phones:
        out.print("no virtual phones; devdiff virtual start makes one")
        return 0
    table = parts.table("serial", "name", "cpu", "memory", "storage", "up", "state")
    for virtual_phone, state in zip(phones, states, strict=True):
        record = virtual_phone.record
        sizes = (f"{record.memory_mib} MiB", f"{record.storage_mib} MiB")
        up = f"{max(0.0, time.time() - record.started_at) / 60:.0f} min"
        table.add_row(virtual_phone.serial, escape(record.name), record.cpu, *sizes, up, state)
    out.print(table)
    parts.say(f"{phone.WHAT_IT_IS}.", out)
    return 0


def _stop(args: argparse.Namespace) -> int:
    from devdiff.device_runner.errors import RunnerChoiceError
    from devdiff.device_runner.virtual import phone

    if args.all == bool(args.serial):
        raise RunnerChoiceError(
            "say which virtual phone to stop, or --all; devdiff virtual list shows them"
        )
    phones = phone.running() if args.all else [phone.find(serial) for serial in args.serial]
    for virtual_phone in phones:
        virtual_phone.stop()
        if args.verbosity != output.QUIET:
            print(f"stopped {virtual_phone.serial}")
    return 0


def _to_json(virtual_phone: VirtualPhone, state: str) -> dict[str, Any]:
    from devdiff.device_runner.virtual import phone

    record = virtual_phone.record
    return {
        "serial": virtual_phone.serial,
        "name": record.name,
        "address": f"127.0.0.1:{virtual_phone.port}",
        "cpu": record.cpu,
        "memory_mib": record.memory_mib,
        "storage_mib": record.storage_mib,
        "enforces_keys": record.enforces_keys,
        "from_snapshot": record.restored,
        "started_at": record.started_at,
        "pid": record.process.pid if record.process else None,
        "qemu": record.qemu,
        "image": record.image,
        "log": str(virtual_phone.log),
        "state": state,
        "is": phone.WHAT_IT_IS,
    }
