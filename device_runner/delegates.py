"""The delegates that may run a part of a model on a device.

What takes a delegate to the native runner is its name (`android_harness/runner/delegate.c`); what a
new one has to say here is a `Delegate` in `DELEGATES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Delegate:
    """``phones_only``: there is none of it on a computer. ``files`` are the names of the library
    that holds it, where the runtime library does not hold it itself; the first that lies beside it
    is taken."""

    name: str
    phones_only: bool = False
    files: tuple[str, ...] = ()


DELEGATES: Final[Mapping[str, Delegate]] = {
    delegate.name: delegate
    for delegate in (
        Delegate("xnnpack"),
        Delegate("none"),
        Delegate(
            "gpu",
            phones_only=True,
            files=("libtensorflowlite_gpu_jni.so", "libtensorflowlite_gpu_delegate.so"),
        ),
        Delegate("nnapi", phones_only=True, files=("libnnapi_delegate.so",)),
    )
}
