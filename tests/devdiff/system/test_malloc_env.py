"""Children that work on large arrays keep what they freed, and nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from devdiff.system.malloc_env import KEEP_FREED, keeping_freed

if TYPE_CHECKING:
    import pytest

# Faults of a page each while 32 arrays of 48 MB are made, one after the other.
COUNT = (
    "import resource, numpy\n"
    "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
    "numpy.ones(6_000_000)\n"
    "before = faults()\n"
    "for _ in range(32): numpy.ones(6_000_000)\n"
    "print(faults() - before)\n"
)


def test_freed_arrays_are_used_again() -> None:
    def faults() -> int:
        return int(subprocess.check_output([sys.executable, "-c", COUNT]))

    plain = faults()
    with keeping_freed():
        keeping = faults()
    assert keeping * 10 < plain


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = KEEP_FREED
    monkeypatch.setenv(first, "4096")
    monkeypatch.delenv(second, raising=False)
    with keeping_freed():
        assert os.environ[first] == "4096"
        assert os.environ[second] == KEEP_FREED[second]
    assert os.environ[first] == "4096"
    assert second not in os.environ
