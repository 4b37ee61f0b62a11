"""A fixture ``devdiff`` for pytest. Loaded at every start of pytest, so nothing heavy is imported.

What could not be tested is an *error* in pytest's reports, not a failed test: a phone that was
unplugged says nothing about a model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from devdiff.gate.pytest_api import Tests


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("devdiff", "on-device tests of compressed models")
    group.addoption(
        "--devdiff-device",
        metavar="DEVICE",
        help="where tests run that name no device, and checks of the configuration's models",
    )
    group.addoption(
        "--devdiff-config",
        metavar="FILE",
        type=Path,
        help="the configuration (default: the nearest one above the test)",
    )
    group.addoption(
        "--devdiff-runs",
        metavar="DIR",
        type=Path,
        help="keep run directories there (default: among pytest's temporary directories)",
    )


@pytest.fixture
def devdiff(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tests:
    """Runs models as ``devdiff export-and-test`` and ``devdiff check`` do; see docs/gate.md."""
    from devdiff.gate.pytest_api import Tests

    option = request.config.getoption
    runs = option("--devdiff-runs") or tmp_path_factory.mktemp("devdiff")
    return Tests(
        start=request.path.parent,
        runs=runs,
        device=option("--devdiff-device"),
        config=option("--devdiff-config"),
    )


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report what kept a model from being tested as an error, in one line.

    pytest knows errors only in what surrounds a test, and JUnit files follow it in this.
    """
    report = yield
    excinfo = call.excinfo
    if report.when == "call" and report.failed and excinfo is not None and _could_not(excinfo):
        lines = [entry.lineno + 1 for entry in excinfo.traceback if entry.path == item.path]
        where = f"{item.path.name}:{lines[-1]}" if lines else item.nodeid
        report.longrepr = f"{where}: {excinfo.exconly()}"
        report.when = "setup"
    return report


def _could_not(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether devdiff said that it could not do what was asked."""
    if "devdiff.gate.pytest_api" not in sys.modules:
        return False
    from devdiff.system.errors import DevdiffError

    return isinstance(excinfo.value, DevdiffError)
