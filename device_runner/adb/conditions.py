"""How hot a device is and how fast its cores run just now, as far as it tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from devdiff.device_runner.adb.transport import Transport

# Newer Androids keep thermal zones from the shell; the battery's temperature is always told.
_SCRIPT: Final = """\
for zone in /sys/class/thermal/thermal_zone*; do
  read -r kind < $zone/type && read -r heat < $zone/temp && echo "zone $kind $heat"
done 2>/dev/null
for core in /sys/devices/system/cpu/cpu[0-9]*; do
  read -r clock < $core/cpufreq/scaling_cur_freq && echo "clock ${core##*cpu} $clock"
done 2>/dev/null
dumpsys battery 2>/dev/null | sed -n 's/^ *temperature: */battery /p'
"""
_LINE: Final = re.compile(r"(?:(zone) (.*) (-?\d+)|(clock) (\d+) (\d+)|(battery) (-?\d+))\s*")
# Beyond these a zone is switched off or counts in units of its own.
_COLDEST_C: Final = -40.0
_HOTTEST_C: Final = 150.0


def conditions(transport: Transport) -> dict[str, Any]:
    """Temperatures in °C by sensor, and clocks in MHz by core number; empty when nothing is told.

    Raises `DeviceError`.
    """
    return read(transport.shell(_SCRIPT).stdout.decode(errors="replace"))


def read(text: str) -> dict[str, Any]:
    """The conditions in what the device's shell printed."""
    heat: dict[str, float] = {}
    clocks: dict[str, float] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        if match[4]:
            clocks[match[5]] = int(match[6]) / 1000
            continue
        name, celsius = (match[2], int(match[3]) / 1000) if match[1] else ("battery", int(match[8]))
        celsius = celsius if match[1] else celsius / 10
        if _COLDEST_C < celsius < _HOTTEST_C:
            heat[name] = max(celsius, heat.get(name, _COLDEST_C))
    found: dict[str, Any] = {}
    if heat:
        found["temperature_c"] = heat
    if clocks:
        found["clock_mhz"] = clocks
    return found
