"""--atol and --rtol: values for all outputs or for one by name."""

from __future__ import annotations

import pytest

from devdiff.comparison import DEFAULT_TOLERANCE, Tolerance, Tolerances
from devdiff.errors import UsageError

OUTPUTS = ("logits", "StatefulPartitionedCall:0")


def test_nothing_given_means_the_stated_defaults() -> None:
    tolerances = Tolerances.parse([], [], OUTPUTS)
    assert tolerances.of("logits") == DEFAULT_TOLERANCE == Tolerance(1e-5, 1e-4)


def test_a_bare_value_is_for_all_and_a_named_one_for_its_output() -> None:
    tolerances = Tolerances.parse(["1e-3", "logits:1e-2"], ["0"], OUTPUTS)
    assert tolerances.of("logits") == Tolerance(1e-2, 0)
    assert tolerances.of(OUTPUTS[1]) == Tolerance(1e-3, 0)


def test_a_named_rtol_keeps_the_general_atol() -> None:
    tolerances = Tolerances.parse(["0.5"], ["logits:0.25"], OUTPUTS)
    assert tolerances.of("logits") == Tolerance(0.5, 0.25)


def test_names_are_split_at_the_last_colon() -> None:
    tolerances = Tolerances.parse(["StatefulPartitionedCall:0:0.125"], [], OUTPUTS)
    assert tolerances.of("StatefulPartitionedCall:0").atol == 0.125


def test_an_output_may_be_called_like_a_number() -> None:
    tolerances = Tolerances.parse(["495:0.5"], [], ["495", "496"])
    assert tolerances.of("495").atol == 0.5
    assert tolerances.of("496") == DEFAULT_TOLERANCE


@pytest.mark.parametrize("value", ["much", "", "-1", "nan", "inf", "logits:", "logits:x", "1e-5,"])
def test_what_is_no_tolerance_is_a_usage_error_that_quotes_it(value: str) -> None:
    with pytest.raises(UsageError, match="--atol") as caught:
        Tolerances.parse([value], [], OUTPUTS)
    assert "no tolerance; give a number" in str(caught.value)


def test_an_unknown_output_is_answered_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"no output 'logit'; the outputs are logits, Stateful"):
        Tolerances.parse([], ["logit:1"], OUTPUTS)


@pytest.mark.parametrize("values", [["1", "2"], ["logits:1", "logits:1"]])
def test_a_tolerance_given_twice_is_refused(values: list[str]) -> None:
    with pytest.raises(UsageError, match="given twice"):
        Tolerances.parse(values, [], OUTPUTS)


def test_the_relative_part_is_of_the_peak() -> None:
    assert Tolerance(0.5, 0.01).allowed(200.0) == 2.5
