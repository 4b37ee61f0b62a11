"""What the end of a runner process means for the job, wherever the process ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.pack import Header, PackTensor, encode_done, encode_header, encode_record
from devdiff.device_runner.retry import Ending, Policy, run_to_end
from devdiff.device_runner.runner import Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TENSORS = (PackTensor("x", "float32", (1,)),)
POLICY = Policy(crashes_a_sample=2, keep_going=False, losses=2)


def job(folder: Path, samples: int = 3) -> Job:
    return Job(
        model=folder / "model.tflite",
        tensors=TENSORS,
        samples=samples,
        encode=lambda index: [np.zeros(1, np.float32)],
        results=folder / "results.pack",
        log=folder / "log.txt",
    )


def runs(*endings: tuple[Ending, int]) -> Callable[[int, Path], Ending]:
    """Processes that end so, after so many samples; with -1 before they were ready for any."""
    left = list(endings)

    def attempt(first: int, segment: Path) -> Ending:
        ending, samples = left.pop(0)
        if samples >= 0:
            records = [
                encode_record(first + index, [np.ones(1, np.float32)]) for index in range(samples)
            ]
            end = encode_done(samples) if not ending.death else b""
            segment.write_bytes(encode_header(Header({}, TENSORS)) + b"".join(records) + end)
        return ending

    return attempt


KILLED = Ending(death="was killed by SIGKILL", killed=True)
CRASHED = Ending(death="was killed by SIGSEGV")
LOST = Ending(death="phone: the connection is lost", lost=True)


def test_one_death_while_loading_is_forgiven_where_two_on_a_sample_are(tmp_path: Path) -> None:
    for number, death in enumerate((KILLED, CRASHED)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert run_to_end(job(folder), POLICY, runs((death, -1), (Ending(), 3))).resumed == 0


def test_only_who_dies_by_himself_while_loading_may_be_broken(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"SIGSEGV while loading .*the runtime is broken"):
        run_to_end(job(tmp_path), POLICY, runs((CRASHED, -1), (CRASHED, -1)))
    with pytest.raises(RunnerError, match="SIGKILL while loading") as caught:
        run_to_end(job(tmp_path), POLICY, runs((KILLED, -1), (KILLED, -1)))
    assert "broken" not in str(caught.value)


def test_losses_are_counted_from_the_last_new_sample_on(tmp_path: Path) -> None:
    ways = runs((LOST, -1), (LOST, 0), (LOST, 1), (LOST, -1), (LOST, 1), (Ending(), 1))
    run_to_end(job(tmp_path), POLICY, ways)
    with pytest.raises(RunnerError, match="2 of 5 samples are kept: run the same command again"):
        folder = tmp_path / "again"
        folder.mkdir()
        run_to_end(job(folder, 5), POLICY, runs((LOST, 2), (LOST, 0), (LOST, -1), (Ending(), 3)))
