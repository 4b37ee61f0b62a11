"""``devdiff devices``: what is attached, and what can be run there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import output
from devdiff.system.printable import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from devdiff.cli.parsing import Parser
    from devdiff.device_runner.adb.inventory import InventoryEntry

NAME: Final = "devices"
HELP: Final = "list the devices that are attached, and what can be run on them"
EXAMPLES: Final = """\
examples:
  devdiff devices
  devdiff devices --json

A serial from this list is what --device and ANDROID_SERIAL take. Devices are found through the adb
server if one runs, and emulators on this machine also without; no server is started or stopped.
With --quiet, a line for each device that is ready: its serial.
"""


def add_arguments(parser: Parser) -> None:
    output.add_json(parser, "print the list as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.device_runner.adb.devices import none_attached
    from devdiff.device_runner.adb.inventory import inventory

    entries = inventory()
    if args.json:
        print(json.dumps([entry.to_json() for entry in entries], indent=2))
    elif args.verbosity == output.QUIET:
        for entry in entries:
            if entry.facts:
                print(printable(entry.attached.address.serial))
    elif entries:
        _print(entries)
    else:
        print(none_attached())
    return 0


def _print(entries: list[InventoryEntry]) -> None:
    from devdiff.cli import console
    from devdiff.device_runner.virtual.phone import WHAT_IT_IS
    from devdiff.report import parts
    from devdiff.report.parts import escape

    out = console.stdout()
    table = parts.table("serial", "state", "what", "CPU", "free", "runs")
    for entry in entries:
        facts = entry.facts
        state = "ready" if facts else entry.attached.state
        row = [entry.attached.address.serial, state, "", "", "", ""]
        if facts:
            row[2] = facts.title() + (", emulated" if facts.emulator else "")
            row[3] = "; ".join(filter(None, (facts.soc, _cores(facts.cores))))
            row[4] = "?" if facts.free_bytes is None else f"{facts.free_bytes / 1e9:.1f} GB"
            row[5] = entry.runs() or "nothing"
        table.add_row(*map(escape, row))
    out.print(table)
    for entry in entries:
        text = entry.problem or entry.attached.address.summary()
        parts.say(escape(text), out)
        if entry.facts and entry.facts.virtual:
            parts.say(escape(f"{entry.attached.address.serial} is {WHAT_IT_IS}"), out)


def _cores(cores: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in cores.items())
