"""How tests run side by side: a file stays whole, and files with phones share a process.

Files with adb servers cannot run beside other phones: every server finds the emulators on the ports
that it knows. Those without give their phones ports beyond these, and share another process.
pytest-xdist's own groups do not hold with pytest 9.2, which no longer lets a plugin rename items.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from devdiff.system.cache import cache_root

PHONE_FIXTURES: Final = frozenset({"phone_place", "adb_server", "adbd", "own_adbd"})
FAR_PHONE_FILES: Final = (
    "tests/device_runner/adb/test_adb_runner.py",
    "tests/device_runner/adb/test_adb_runner_failures.py",
    "tests/device_runner/test_phone_stress.py",
)
PHONE_FILES: Final = (
    "tests/device_runner/adb/test_devices.py",
    "tests/device_runner/adb/",
    "tests/device_runner/virtual/",
    "tests/devdiff/bisection/test_bisect_devices.py",
    "tests/devdiff/cli/test_interrupts.py",
    "tests/devdiff/cli/test_phone.py",
)
# Files whose cases are independent and long, so that each may run elsewhere.
_PARTED_FILES: Final = (
    "tests/cases/test_cases.py",
    "tests/conformance/test_conformance.py",
    "tests/test_documents.py",
)
# Of a file with phones, the tests that use none are named so.
_ON_THIS_MACHINE: Final = ("[local-", "-local-")
_PHONE_CASE: Final = "--device emulator-5554]"
_LARGE_MODELS: Final = ("light_bvlc_alexnet", "light_vgg19", "light_zfnet512")
_PHONES: Final = "phones"
FAR_PHONES: Final = "far phones"
_LARGE: Final = "large"
_UNKNOWN_S: Final = 10.0
_SECONDS: Final = "lane_seconds"
_KNOWN: Final = pytest.StashKey[dict[str, float]]()


def lane(nodeid: str) -> str:
    """What shares a process, and runs in its order, with the test of that name."""
    path, _, test = nodeid.partition("::")
    if test.endswith(_PHONE_CASE):
        return _PHONES
    if path in FAR_PHONE_FILES:
        return FAR_PHONES
    if path.startswith(PHONE_FILES):
        return f"{path}[local" if any(mark in test for mark in _ON_THIS_MACHINE) else _PHONES
    _, _, case = test.rpartition("[")
    if path in _PARTED_FILES and case.endswith("]"):
        return _LARGE if case[:-1] in _LARGE_MODELS else f"{path}[{case}"
    return path


class LaneScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives lanes to processes in the order of the collection."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return lane(nodeid)


class LaneDurations:
    """Seconds that each lane took the last time, kept so that the longest can begin first."""

    def __init__(self) -> None:
        self._path = cache_root() / "tests" / "lanes.json"
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def load(self) -> dict[str, float]:
        try:
            found: dict[str, float] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[lane(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        whole = self.load() | {name: round(spent, 1) for name, spent in self._seconds.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(whole, indent=1, sort_keys=True))
        partial.replace(self._path)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):
        durations = LaneDurations()
        config.stash[_KNOWN] = durations.load()
        config.pluginmanager.register(durations, "lane-durations")


def pytest_configure_node(node: Any) -> None:
    # Read once: all processes must come to the same order, whoever else is running tests here.
    node.workerinput[_SECONDS] = node.config.stash[_KNOWN]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LaneScheduling:
    return LaneScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses a phone; with processes side by side, put the longest lanes first."""
    for item in items:
        if PHONE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.phone)
            if lane(item.nodeid) not in (_PHONES, FAR_PHONES):
                raise pytest.UsageError(f"{item.nodeid} uses a phone: add it to PHONE_FILES")
    if hasattr(config, "workerinput"):
        known = config.workerinput[_SECONDS]
        seconds = {name: known.get(name, _UNKNOWN_S) for name in {lane(i.nodeid) for i in items}}
        seconds[FAR_PHONES] = float("inf")
        # What they took last time says nothing: mostly their results are kept.
        seconds[_LARGE] = float("inf")
        seconds[_PHONES] = float("inf")
        items.sort(key=lambda item: (-seconds[lane(item.nodeid)], lane(item.nodeid)))
