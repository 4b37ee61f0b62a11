"""What the runner may use of Android's libraries, and stand-ins for them that have just that.

Without the NDK there is nothing to link against. The linker only needs to see that a name exists
and in which file; so an empty library of each file's name, with the names that are declared here,
does. What is not declared here does not link.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Each function with the API level that brought it to all of arm, arm64 and x86-64, by the
# "introduced" notes in bionic's own version scripts (libc/libc.map.txt, libdl/libdl.map.txt; what
# has no note there is as old as bionic, and arm64 and x86-64 begin with 21).
_LIBC: Final = {
    "__errno": 21,
    "__libc_init": 21,
    "_exit": 21,
    "access": 21,
    "alarm": 21,
    "calloc": 21,
    "clock_gettime": 21,
    "close": 21,
    "dup2": 21,
    "fcntl": 21,
    "fork": 21,
    "free": 21,
    "ftruncate64": 21,
    "getppid": 21,
    "lseek64": 21,
    "memcmp": 21,
    "memcpy": 21,
    "memmove": 21,
    "memset": 21,
    "mmap": 21,
    "munmap": 21,
    "open": 21,
    "pipe": 21,
    "prctl": 21,
    "read": 21,
    "realloc": 21,
    "signal": 21,
    "snprintf": 21,
    "strchr": 21,
    "strcmp": 21,
    "strerror": 21,
    "strlen": 21,
    "strncmp": 21,
    "strrchr": 21,
    "strstr": 21,
    "strtol": 21,
    "strtoull": 21,
    "vsnprintf": 21,
    "waitpid": 21,
    "write": 21,
}
_LIBDL: Final = {"dlerror": 21, "dlopen": 21, "dlsym": 21}

LIBRARIES: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {"libc.so": _LIBC, "libdl.so": _LIBDL}
)


def assembly(library: str) -> str:
    """The source of an empty library that has every function declared for ``library``."""
    names = "".join(
        f".globl {name}\n.type {name}, %function\n{name}:\n" for name in sorted(LIBRARIES[library])
    )
    return f".text\n{names}"
