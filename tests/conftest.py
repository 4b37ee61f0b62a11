"""Fixtures for all tests; each package's own live in a module beside its tests."""

from __future__ import annotations

import os

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
