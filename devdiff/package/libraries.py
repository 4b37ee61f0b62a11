"""The native libraries in a package: which of them run models, and whether phones can load them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.android_harness import elf
from devdiff.android_harness.errors import ElfError
from devdiff.package.other_runtimes import ONNX_RUNTIME, ORT_EXPORT, OtherRuntime, runtime_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from devdiff.package.contents import Content

Role = Literal["runtime", "embeds", "delegate", "play-services", "other-runtime"]

PAGE: Final = 16384
_MAGIC: Final = b"\x7fELF"
_FOLDER: Final = re.compile(r"(?:^|/)(?:lib|jni)/([^/]+)/[^/]+$")
_ABIS: Final[Mapping[str, str]] = {
    "aarch64": "arm64-v8a",
    "arm": "armeabi-v7a",
    "x86_64": "x86_64",
    "x86": "x86",
    "riscv": "riscv64",
}
# Android has 16 KiB pages on these alone.
LARGE_PAGES: Final = ("arm64-v8a", "x86_64")
_NAMED: Final[Mapping[str, Role]] = {
    "libtensorflowlite_jni.so": "runtime",
    "libtensorflowlite_jni_stable.so": "runtime",
    "libtensorflowlite_c.so": "runtime",
    "libtensorflowlite.so": "runtime",
    "libtensorflowlite_flex_jni.so": "delegate",
    "libtensorflowlite_gpu_jni.so": "delegate",
    "libtensorflowlite_gpu_delegate.so": "delegate",
    "libLiteRt.so": "runtime",
    "liblitert-lm.so": "runtime",
    "libtensorflowlite_jni_gms_client.so": "play-services",
}
# Functions that a runtime exports for apps to call.
_EXPORTS: Final = (b"\0TfLiteInterpreterCreate\0", b"\0LiteRtCreateCompiledModel\0")
# What the interpreter says when it lacks an operator: linked in, whatever else was stripped.
_INSIDE: Final = b"Didn't find op for builtin opcode"
_OVERLAP: Final = 64
_FIRST: Final = 64 << 10
_MAX_LAST: Final = 64 << 20
_MAX_SYMBOLS: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class PackagedLibrary:
    """A native library in a package.

    ``role`` is None for one that has nothing to do with models, ``embeds`` means that the runtime
    is linked into a library of another name. ``sha256`` is None where there is no role. ``page`` is
    the largest page, in bytes, with which it can be loaded, None when its headers are damaged;
    ``offset`` where it begins in the installed .apk, None where it is compressed. ``tested`` says
    whether a test ran with this very file; ``other`` is the runtime of models of another kind that
    it is.
    """

    place: str
    name: str
    abi: str
    role: Role | None
    sha256: str | None
    bytes: int
    page: int | None
    offset: int | None
    tested: bool = False
    other: OtherRuntime | None = None

    @property
    def needs_large_pages(self) -> bool:
        return self.abi in LARGE_PAGES

    def to_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "abi": self.abi,
            "role": self.role,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "page": self.page,
            "offset": self.offset,
            "tested": self.tested,
            "other_runtime": self.other.name if self.other else None,
        }


def library_in(content: Content) -> PackagedLibrary | None:
    """The native library that a file in a package is; None when it is none.

    Raises `ArchiveError`.
    """
    if content.head[:4] != _MAGIC:
        return None
    name = PurePosixPath(content.member.name).name
    role, other = _NAMED.get(name), None
    if role is None:
        role, other = _role(content, runtime_of_file(name))
    folder = _FOLDER.search(content.member.name)
    machine, page = _headers(content)
    return PackagedLibrary(
        place=content.place,
        name=name,
        abi=folder[1] if folder else _ABIS.get(machine, machine),
        role=role,
        sha256=_sha256(content) if role else None,
        bytes=content.member.size,
        page=page,
        offset=content.offset if content.kind == "apk" and folder else None,
        other=other,
    )


def _role(content: Content, named: OtherRuntime | None) -> tuple[Role | None, OtherRuntime | None]:
    """What a library has to do with models: by its name, else by what is written in it."""
    if named is not None:
        return "other-runtime", named
    found: set[bytes] = set()
    inside, before = False, b""
    for chunk in content.archive.chunks(content.member):
        joint = before + chunk[:_OVERLAP]
        found |= {name for name in (*_EXPORTS, ORT_EXPORT) if name in chunk or name in joint}
        inside = inside or _INSIDE in chunk or _INSIDE in joint
        before = chunk[-_OVERLAP:]
    # Who calls a runtime has the names of its functions, too.
    if found.intersection(_EXPORTS) and _exports(content, _EXPORTS):
        return "runtime", None
    if inside:
        return "embeds", None
    if ORT_EXPORT in found and _exports(content, [ORT_EXPORT]):
        return "other-runtime", ONNX_RUNTIME
    return None, None


def _exports(content: Content, names: Iterable[bytes]) -> bool:
    if content.member.size > _MAX_SYMBOLS:
        return False
    data = b"".join(content.archive.chunks(content.member))
    wanted = [name.strip(b"\0").decode() for name in names]
    try:
        return elf.exports_any(content.member.name, data, wanted)
    except ElfError:
        return False


def _headers(content: Content) -> tuple[str, int | None]:
    """The machine, ``unknown`` when the headers are damaged, and the page size."""
    archive, member = content.archive, content.member
    # Some tools move the headers to the end.
    for size in (min(member.size, _FIRST), min(member.size, _MAX_LAST)):
        try:
            return elf.load_headers(member.name, archive.head(member, size), member.size)
        except ElfError:
            continue
    return "unknown", None


def _sha256(content: Content) -> str:
    digest = hashlib.sha256()
    for chunk in content.archive.chunks(content.member):
        digest.update(chunk)
    return digest.hexdigest()
