"""Fixtures for all tests; each package's own live in a module beside its tests."""

pytest_plugins = [
    "exporting",
    "html_runs",
    "native_running",
    "phone_bench",
    "phone_fixtures",
    "real_adbd",
    "source_zoo",
]
