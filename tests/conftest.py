"""Fixtures for all tests; each package's own live in a module beside its tests."""

from __future__ import annotations

import os

import pytest

from devdiff.system.cache import cache_root

# Not the user's: set before anything runs, so that child processes inherit it, too.
os.environ["DEVDIFF_HISTORY"] = "off"
os.environ.pop("MLFLOW_TRACKING_URI", None)
# What was converted once is not converted again until the exporter or its packages change.
os.environ.setdefault("DEVDIFF_EXPORT_CACHE", str(cache_root() / "tests" / "exports"))

# Tests run side by side: threads that spin while they wait would take cores from each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest.register_assert_rewrite("tests.support", "tests.zoo", "tests.models")

pytest_plugins = [
    "tests.support.browsing",
    "tests.support.clang",
    "tests.support.exporting",
    "tests.support.demonstration",
    "tests.support.history_runs",
    "tests.support.html_runs",
    "tests.support.lanes",
    "tests.support.native_running",
    "tests.support.phone_bench",
    "tests.support.phone_fixtures",
    "tests.support.real_adbd",
    "tests.support.source_zoo",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--large", action="store_true", help="run the largest models anew, whatever is kept of them"
    )


def pytest_configure(config: pytest.Config) -> None:
    from tests.support import kept_results

    if config.getoption("--large"):
        os.environ[kept_results.FORGET] = "1"
