"""What is known of wrong kernels is told where they ran, and nowhere else."""

from __future__ import annotations

import pytest

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.device_runner.runtimes.known_faults import KNOWN, found


def test_the_pinned_runtime_is_told_of_where_it_is_wrong() -> None:
    """tests/cases shows the fault on one operator; a raised pin has to be looked at again."""
    (told,) = found(HostRunner().identity(), "int8", {"CONV_2D", "BATCH_MATMUL"})
    assert told.startswith("xnnpack of litert 2.1.0 leaves out the zero point")
    assert "--host-runtime litert:builtin" in told


@pytest.mark.parametrize(
    ("runner", "precision", "kinds"),
    [
        (HostRunner(), "float32", {"BATCH_MATMUL"}),
        (HostRunner(), "int8", {"CONV_2D"}),
        (HostRunner.parse("litert:builtin", 1), "int8", {"BATCH_MATMUL"}),
        (HostRunner.parse("tflite-runtime:builtin", 1), "int8", {"BATCH_MATMUL"}),
    ],
)
def test_nothing_is_told_elsewhere(runner: HostRunner, precision: str, kinds: set[str]) -> None:
    assert found(runner.identity(), precision, kinds) == ()


def test_a_device_is_not_spoken_of() -> None:
    assert found({"device": "local", "library": {"version": KNOWN[0].version}}, "int8", {"X"}) == ()
