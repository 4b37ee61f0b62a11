"""Fixtures for all tests; each package's own live in a module beside its tests."""

from __future__ import annotations

import os

from android_harness.cache import cache_root

# Not the user's: set before anything runs, so that child processes inherit it, too.
os.environ["DEVDIFF_HISTORY"] = "off"
os.environ.pop("MLFLOW_TRACKING_URI", None)
# What was converted once is not converted again until the exporter or its packages change.
os.environ.setdefault("DEVDIFF_EXPORT_CACHE", str(cache_root() / "tests" / "exports"))

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
