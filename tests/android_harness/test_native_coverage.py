"""The figures of scripts/coverage_native."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from devdiff.android_harness import build

TESTS = Path(__file__).parent


@pytest.mark.slow
def test_what_the_tests_execute_is_counted_and_nothing_else(clang: None, tmp_path: Path) -> None:
    if (build.PREBUILT / "linux-x86_64" / build.build_key("linux-x86_64")).is_dir():
        pytest.skip("scripts/build_runners has put runners into this checkout, which do not count")
    command = [sys.executable, "-m", "scripts.coverage_native", "--work", str(tmp_path / "work")]
    words = ["-q", "-p", "no:cacheprovider", f"{TESTS / 'test_pack_parser.py'}"]
    done = subprocess.run(
        [*command, *words, "-k", "known_traps"],
        cwd=TESTS.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\| (\w+\.c) \| (\d+) of (\d+) \|", done.stdout, re.MULTILINE)
    lines = {name: (int(covered), int(count)) for name, covered, count in rows}
    covered, count = lines["pack_read.c"]
    assert count / 2 < covered < count
    assert lines["sha256.c"][0] == lines["backend_tflite.c"][0] == 0
    assert (tmp_path / "work" / "html" / "index.html").is_file()
