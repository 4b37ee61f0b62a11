"""A finished search comes back from disk as it was, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.scanner import search_cache
from devdiff.scanner.search_job import Candidate, ClassPair, SearchJob, SearchResult, SearchSettings
from devdiff.scanner.trigger import Form, Trigger

if TYPE_CHECKING:
    from pathlib import Path


def _candidate(form: Form, field: bool = False) -> Candidate:
    random = np.random.default_rng(0)
    mask, pattern, shift = (random.random((1, 8, 8), np.float32) for _ in range(3))
    bend = random.random((2, 8, 8), np.float32) if field else None
    trigger = Trigger(form, mask, pattern, shift, 0.0, 1.0, bend)
    return Candidate(3, None, trigger, 0.9, 4, 5, (1, 3, 5, 7, 9), 105)


def _hunted() -> SearchResult:
    fold = replace(_candidate("patch"), source=1)
    scores = np.arange(20, dtype=np.float32).reshape(4, 5)
    return SearchResult(
        (_candidate("warp", field=True), _candidate("patch")),
        (ClassPair(1, 3, (fold, fold)),),
        20,
        0.25,
        scores,
        scores + 1,
    )


def _job(folder: Path) -> SearchJob:
    for name in ("full", "compressed", "input"):
        (folder / name).write_bytes(name.encode())
    return SearchJob(
        full=folder / "full",
        compressed=folder / "compressed",
        outputs=(0, 0),
        kind="classes",
        inputs=((folder / "input",), (folder / "input",)),
        changed=(0, 0),
        searched=(0, 2),
        held=(1, 3),
        low=0.0,
        high=1.0,
        settings=SearchSettings(),
        deadline=100.0,
    )


def test_what_was_found_comes_back_as_it_was(tmp_path: Path) -> None:
    found, path = _hunted(), tmp_path / "search.npz"

    search_cache.save(found, path)
    again = search_cache.load(path)

    assert again is not None
    assert (again.tried, again.effort) == (20, 0.25)
    np.testing.assert_array_equal(again.compressed, found.compressed)
    old = [*found.candidates, *found.pairs[0].folds]
    new = [*again.candidates, *again.pairs[0].folds]
    for one, other in zip(old, new, strict=True):
        assert one.trigger.form == other.trigger.form
        assert replace(one, trigger=other.trigger) == other
        for name, value in one.trigger.arrays().items():
            np.testing.assert_array_equal(value, other.trigger.arrays()[name])
    assert [path.name for path in tmp_path.iterdir()] == ["search.npz"]


def test_a_file_that_is_not_whole_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "search.npz"
    assert search_cache.load(path) is None
    search_cache.save(_hunted(), path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        assert search_cache.load(path) is None


def test_only_time_may_differ_between_a_search_and_the_one_that_takes_it_over(
    tmp_path: Path,
) -> None:
    job = _job(tmp_path)
    place = search_cache.cache_path(job, tmp_path)

    assert search_cache.cache_path(replace(job, deadline=7.0, share=3.0), tmp_path) == place
    others = [
        replace(job, seed=1),
        replace(job, variant="placebo"),
        replace(job, held=(1,)),
        replace(job, pairs=True),
        replace(job, settings=SearchSettings(images=3)),
    ]
    assert (
        len({search_cache.cache_path(one, tmp_path) for one in others} | {place}) == len(others) + 1
    )
    (tmp_path / "compressed").write_bytes(b"other")
    assert search_cache.cache_path(job, tmp_path) != place


@pytest.mark.parametrize("name", ["told", "full"])
def test_a_file_without_its_parts_is_not_taken(name: str, tmp_path: Path) -> None:
    path = tmp_path / "search.npz"
    search_cache.save(_hunted(), path)
    with np.load(path) as file:
        arrays = {key: value for key, value in file.items() if key != name}
    np.savez(path, **arrays)

    assert search_cache.load(path) is None
