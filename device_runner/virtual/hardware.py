"""What a virtual phone can be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_CPU: Final = "cortex-a76"
DEFAULT_MEMORY_MIB: Final = 1024
DEFAULT_STORAGE_MIB: Final = 512

# What can be chosen, and what QEMU is told. "max" has every feature QEMU can emulate; pointer
# authentication by the book would make it many times slower. QEMU's SME is wrong in places;
# Debian's kernel hides it from programs today, "sme=off" keeps it away whatever the kernel does.
CPUS: Final[Mapping[str, str]] = {
    "cortex-a53": "cortex-a53",
    "cortex-a72": "cortex-a72",
    "cortex-a76": "cortex-a76",
    "neoverse-n1": "neoverse-n1",
    "max": "max,pauth-impdef=on",
    "max,sme=off": "max,pauth-impdef=on,sme=off",
}
