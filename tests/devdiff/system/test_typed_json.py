"""JSON that has a type: what does not fit is refused, and the field is named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from devdiff.system.errors import FormatError
from devdiff.system.typed_json import (
    Count,
    Extended,
    Record,
    Sha256,
    Share,
    converted,
    decode,
    encode,
)


class Leaf(Record, frozen=True):
    level: Extended | None
    count: Count


@dataclass(frozen=True, slots=True)
class Plain:
    names: tuple[str, ...] = ()


class Tree(Record, frozen=True, omit_defaults=True):
    leaves: tuple[Leaf, ...]
    named: Mapping[str, Mapping[str, Leaf]]
    plain: Plain
    class_: int = msgspec.field(name="class", default=0)
    share: Share = 0.0
    digest: Sha256 | None = None


def tree(**changes: Any) -> dict[str, Any]:
    leaf: dict[str, Any] = {"level": "inf", "count": 1}
    usual = {
        "leaves": [leaf, {"level": 2, "count": 2}],
        "named": {"a": {"b": leaf, "c": {"level": None, "count": 3}}, "d": {}},
        "plain": {"names": ["x"]},
        "class": 7,
    }
    return usual | changes


def test_what_is_encoded_comes_back_equal() -> None:
    read = decode(Tree, tree())
    assert read.leaves[0].level == math.inf
    assert (read.class_, read.plain.names) == (7, ("x",))
    assert encode(read) == tree()
    assert decode(Tree, encode(read)) == read


def test_numbers_of_numpy_and_keys_that_are_numbers_are_json() -> None:
    assert encode({1: np.float64(0.5), "deep": [(np.float64(-math.inf),)]}) == {
        "1": 0.5,
        "deep": [["-inf"]],
    }


def test_half_a_pair_of_surrogates_is_text_where_any_text_may_stand() -> None:
    leaf = {"level": 0.5, "count": 1}
    data = tree(plain={"names": ["\ud800"]}, named={"\udfff": {"\udcff.onnx": leaf}})
    assert encode(decode(Tree, data)) == data


def test_what_has_no_form_in_json_is_not_written() -> None:
    with pytest.raises(NotImplementedError, match="ndarray has no form in JSON"):
        encode({"a": np.zeros(2)})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leaves": [{"level": "loud", "count": 1}]}, "leaves[0].level: expected float, got str"),
        ({"leaves": [{"level": "nan", "count": 1}]}, "leaves[0].level: expected float, got str"),
        ({"leaves": [{"level": True, "count": 1}]}, "leaves[0].level: expected float, got bool"),
        ({"leaves": [{"level": 1}]}, "leaves[0]: the field count is missing"),
        ({"leaves": [{"level": 1, "count": True}]}, "leaves[0].count: expected int, got bool"),
        ({"leaves": [{"level": 1, "count": -1}]}, "leaves[0].count: expected int >= 0"),
        ({"more": 1}, "the whole: there is no field more"),
        ({"share": 1.5}, "share: expected float <= 1.0"),
        ({"digest": "a" * 64 + "\n"}, "digest: expected str"),
        ({"digest": "A" * 64}, "digest: expected str matching regex"),
        ({"plain": {"names": [1]}}, "plain.names[0]: expected str, got int"),
        ({"\ud800": 1}, "the whole: there is no field ?"),
        ({"leaves": [{"level": "\ud800", "count": 1}]}, "leaves[0].level: expected float"),
        ({"class": "\ud800"}, "class: expected int, got str"),
    ],
)
def test_the_first_field_that_does_not_fit_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError) as refused:
        decode(Tree, tree(**changes))
    assert str(refused.value).startswith(words)


def test_what_would_go_unread_is_refused_where_that_is_asked_for() -> None:
    data = tree(plain={"names": ["x"], "more": 1}, digest=None)
    assert decode(Tree, data).plain == Plain(("x",))
    with pytest.raises(FormatError, match=r"^plain: there is no field more$"):
        decode(Tree, data, closed=True)
    assert decode(Tree, tree(digest=None), closed=True) == decode(Tree, tree())


def test_values_of_our_own_that_do_not_fit_are_a_fault_and_no_wrong_file() -> None:
    assert converted(Leaf, {"level": np.float64(1.0), "count": 2}) == Leaf(1.0, 2)
    with pytest.raises(TypeError, match="Leaf: count: expected int, got str"):
        converted(Leaf, {"level": None, "count": "2"})


def test_the_key_of_a_mapping_is_named_among_many() -> None:
    good: dict[str, Any] = {"level": 1.0, "count": 1}
    named = {f"k{place}": {"x": good, "y": good, "z": good} for place in range(1000)}
    named["k612"] = {"x": good, "y": {"level": 1.0, "count": "many"}, "z": good}
    with pytest.raises(FormatError, match=r"^named\.k612\.y\.count: expected int, got str$"):
        decode(Tree, tree(named=named))
