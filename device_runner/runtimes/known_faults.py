"""Kernels of published runtimes that are known to compute wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class KnownFault:
    """Where a host runtime computes an operator wrongly, what it does, and the way around."""

    runtime: str
    version: str
    kernels: str
    operator: str
    precision: str
    effect: str

    def __str__(self) -> str:
        return f"{self.kernels} of {self.runtime} {self.version} {self.effect}"


KNOWN: Final = (
    KnownFault(
        runtime="litert",
        version="2.1.0",
        kernels="xnnpack",
        operator="BATCH_MATMUL",
        precision="int8",
        effect="leaves out the zero point of the second operand of an int8 BATCH_MATMUL of two "
        "computed tensors, as attention has them; --host-runtime litert:builtin computes it",
    ),
)


def found(identity: Mapping[str, Any], precision: str, kinds: Collection[str]) -> tuple[str, ...]:
    """What is known to be wrong where a model of these operators ran, in words.

    ``identity`` is what `Runner.identity` says of a host runtime.
    """
    place = tuple(identity.get(key) for key in ("runtime", "version", "kernels"))
    return tuple(
        str(fault)
        for fault in KNOWN
        if place == (fault.runtime, fault.version, fault.kernels)
        and precision == fault.precision
        and fault.operator in kinds
    )
