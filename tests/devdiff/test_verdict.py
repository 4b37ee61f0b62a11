"""Verdicts combine to the gravest, and each has its exit code."""

from __future__ import annotations

import pytest

from devdiff.verdict import Verdict, combine


def test_exit_codes() -> None:
    assert {verdict.value: verdict.exit_code for verdict in Verdict} == {
        "pass": 0,
        "fail": 1,
        "error": 3,
        "finding": 4,
        "inconclusive": 5,
    }


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [
        ([Verdict.PASS, Verdict.PASS], Verdict.PASS),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE),
        ([Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS], Verdict.FAIL),
        ([Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE], Verdict.ERROR),
        ([Verdict.ERROR, Verdict.FINDING, Verdict.FAIL], Verdict.FINDING),
    ],
)
def test_the_gravest_decides(verdicts: list[Verdict], combined: Verdict) -> None:
    assert combine(verdicts) is combined


def test_nothing_checked_is_no_pass() -> None:
    assert combine([]) is Verdict.ERROR
