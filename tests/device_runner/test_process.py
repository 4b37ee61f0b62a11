"""A runner process may die, hang or refuse; samples are lost only where they killed it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner import process
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.pack import (
    PackSample,
    PackTensor,
    Status,
    encode_record,
    read_header,
)
from devdiff.device_runner.process import Command
from devdiff.device_runner.runner import Job, Outcome
from tests.support import moody_runner
from tests.support.pack_records import read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SAMPLES = 40
RUNNER = moody_runner.__file__


def run(
    folder: Path,
    mood: Mapping[str, str] | None = None,
    *,
    timeout_s: float = 20,
    samples: int = SAMPLES,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    job = Job(
        model=folder / "model.bin",
        tensors=(PackTensor("x", "float32", (1, 3)),),
        samples=samples,
        encode=lambda index: [np.full((1, 3), index, np.float32)],
        results=folder / "results.pack",
        log=folder / "log.txt",
        timeout_s=timeout_s,
    )
    return process.run(Command((sys.executable, RUNNER), mood or {}), job, progress)


def records(folder: Path) -> list[PackSample]:
    with (folder / "results.pack").open("rb") as stream:
        return list(read_records(stream, read_header(stream).tensors))


def check_values(found: list[PackSample]) -> None:
    for record in found:
        if record.status is Status.OK:
            assert record.arrays[0].tolist() == [[2.0 * record.index] * 3]


def test_every_sample_is_answered_in_order(tmp_path: Path) -> None:
    seen: list[int] = []
    outcome = run(tmp_path, progress=seen.append)
    assert outcome.about == {"runtime": "moody"}
    assert outcome.resumed == 0
    found = records(tmp_path)
    assert [record.index for record in found] == list(range(SAMPLES))
    assert {record.nanoseconds for record in found} == {7}
    check_values(found)
    assert seen == sorted(seen)
    assert seen[-1] == SAMPLES


@pytest.mark.parametrize("places", [[0], [SAMPLES - 1], [3, 4, 20]])
def test_a_sample_that_kills_the_runner_costs_itself_alone(
    tmp_path: Path, places: list[int]
) -> None:
    run(tmp_path, {"DIE_AT": ",".join(map(str, places))})
    found = records(tmp_path)
    assert len(found) == SAMPLES
    assert [r.index for r in found if r.status is Status.CRASHED] == places
    assert all("SIGSEGV" in r.message for r in found if r.status is Status.CRASHED)
    check_values(found)


@pytest.mark.slow
def test_a_hanging_sample_is_stopped(tmp_path: Path) -> None:
    run(tmp_path, {"HANG_AT": "5"}, timeout_s=4)
    found = records(tmp_path)
    assert [r.index for r in found if r.status is Status.CRASHED] == [5]
    assert "no answer for 4 s" in found[5].message
    check_values(found)


def test_a_failed_sample_keeps_its_message(tmp_path: Path) -> None:
    run(tmp_path, {"FAIL_AT": "2,7"})
    failed = [r for r in records(tmp_path) if r.status is Status.FAILED]
    assert [(r.index, r.message) for r in failed] == [(2, "not today"), (7, "not today")]


def test_a_runner_that_keeps_dying_is_given_up_with_what_it_did(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"SIGSEGV at sample 15.*giving up"):
        run(tmp_path, {"DIE_AT": "10,11,12,13,14,15,16"})
    assert run(tmp_path).resumed == 15


def test_a_refusal_is_the_runners_own_words(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"model\.bin: the sky is falling"):
        run(tmp_path, {"REFUSE": "the sky is falling"})


def test_death_while_loading_is_no_samples_fault(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"was killed by SIGSEGV while loading model\.bin"):
        run(tmp_path, {"DIE_LOADING": "1"})


def test_a_missing_program_is_one_sentence(tmp_path: Path) -> None:
    job = Job(tmp_path / "m", (), 1, lambda index: [], tmp_path / "r", tmp_path / "log")
    with pytest.raises(RunnerError, match="cannot start /nowhere/runner: No such file"):
        process.run(Command(("/nowhere/runner",)), job, lambda done: None)


def test_a_fault_in_the_inputs_is_raised_as_it_is(tmp_path: Path) -> None:
    def encode(index: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        raise LookupError(f"no sample {index}")

    job = Job(
        tmp_path / "m",
        (PackTensor("x", "float32", (1, 3)),),
        SAMPLES,
        encode,
        tmp_path / "r",
        tmp_path / "log",
    )
    with pytest.raises(LookupError, match="no sample 0"):
        process.run(Command((sys.executable, RUNNER)), job, lambda done: None)


def test_a_killed_run_continues_where_it_stopped(tmp_path: Path) -> None:
    run(tmp_path)
    whole = (tmp_path / "results.pack").read_bytes()
    size = len(encode_record(0, [np.zeros((1, 3), np.float32)]))
    for cut in (len(whole) - 1, len(whole) - size // 2, len(whole) // 2, 60, 3, 0):
        (tmp_path / "results.pack").write_bytes(whole[:cut])
        outcome = run(tmp_path)
        assert (tmp_path / "results.pack").read_bytes() == whole
        assert 0 <= outcome.resumed < SAMPLES or cut > len(whole) - size


def test_a_segment_left_behind_is_taken_over_once(tmp_path: Path) -> None:
    run(tmp_path)
    results, segment = tmp_path / "results.pack", tmp_path / "results.pack.segment"
    whole = results.read_bytes()
    size = len(encode_record(0, [np.zeros((1, 3), np.float32)]))
    # As if killed while moving: the pack has 30 samples, the segment still all 35 of them.
    start = len(whole) - size * SAMPLES - len(encode_record(0))
    segment.write_bytes(whole[: start + 35 * size + 11])
    results.write_bytes(whole[: start + 30 * size])
    assert run(tmp_path).resumed == 35
    assert results.read_bytes() == whole
    assert not segment.exists()


def test_a_finished_run_starts_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path, {"DIE_LOADING": "1"}).resumed == SAMPLES
