"""Fixtures for all tests; each package's own live in a module beside its tests."""

from __future__ import annotations

import os

import pytest

# Not the user's: set before anything runs, so that child processes inherit it, too.
os.environ["DEVDIFF_HISTORY"] = "off"
os.environ.pop("MLFLOW_TRACKING_URI", None)

pytest_plugins = [
    "exporting",
    "history_runs",
    "html_runs",
    "native_running",
    "phone_bench",
    "phone_fixtures",
    "real_adbd",
    "source_zoo",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that may run side by side (``-n 2 --dist loadgroup``), and those that may not.

    What starts phones shares their ports and the patience of their time limits, so it stays in one
    process; other modules stay whole, for the sake of their fixtures.
    """
    for item in items:
        phones = {"phone_place", "adb_server"} & set(getattr(item, "fixturenames", ()))
        alone = phones or "device_runner" in item.path.parts
        item.add_marker(pytest.mark.xdist_group("phones" if alone else item.path.stem))
