"""An interrupt while the export's process starts leaves neither the process nor its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.exporter.worker_client import ExportWorker
from devdiff.system import interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def usual_interrupts() -> Iterator[None]:
    """A shell that starts the tests in the background lets them ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", ["before the start", "behind the start"])
def test_an_interrupt_while_a_worker_starts_leaves_nothing(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if moment == "before the start":
                signal.raise_signal(signal.SIGINT)
            super().__init__(*arguments, **options)
            started.append(self.pid)
            if moment == "behind the start":
                signal.raise_signal(signal.SIGINT)

    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt), ExportWorker(tmp_path / "log.txt"):
        pytest.fail("the interrupt was lost")
    (process,) = started
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert list(scratch.iterdir()) == []


def test_what_is_deferred_reaches_its_handler_once_the_block_is_over() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        signal.raise_signal(signal.SIGINT)
        done.append("whole")
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
