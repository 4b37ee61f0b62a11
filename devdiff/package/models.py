"""The models in a package, known by their first bytes and not by their names alone."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from devdiff.device_runner.errors import ArchiveError
from devdiff.device_runner.runtimes.archive import BLOCK
from devdiff.package.contents import Content, Kind
from devdiff.package.tested_files import TestedModel
from devdiff.verdict import Verdict

Form = Literal["tflite", "gzip", "litertlm", "unknown"]

_GZIP: Final = b"\x1f\x8b\x08"
_MAX_INFLATED: Final = 4 << 30
_MAX_SWELLING: Final = 100
_NAMES: Final = (".tflite", ".tflite.gz")


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model in a package: SHA-256 and ``bytes`` as an app would load it, unzipped.

    ``form`` is what holds it: a .tflite file, one under gzip, a LiteRT-LM bundle, or something
    unknown that is named like a model. ``offset`` is where it begins in the installed .apk, None
    where it is compressed or ``kind`` is not what gets installed. ``tested`` is None for a model
    that no run ended with; ``note`` says why.
    """

    place: str
    form: Form
    kind: Kind
    sha256: str
    bytes: int
    compressed: bool
    offset: int | None
    tested: TestedModel | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the package gets for it: an untested model is a ``fail``."""
        return Verdict.FAIL if self.untested or self.tested is None else self.tested.verdict

    @property
    def untested(self) -> bool:
        """Whether nothing is known for or against it: no test, or only a scan without a finding."""
        if self.tested is None:
            return True
        return not self.tested.compared and self.tested.verdict is Verdict.PASS

    def to_json(self) -> dict[str, Any]:
        tested = self.tested
        return {
            "place": self.place,
            "form": self.form,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "compressed": self.compressed,
            "offset": self.offset,
            "tested": tested is not None and tested.compared,
            "verdict": self.verdict.value,
            "devices": list(tested.devices) if tested else [],
            "evidence": list(tested.evidence) if tested else [],
            "note": self.note,
        }


def model_in(content: Content) -> PackagedModel | None:
    """The model that a file in a package is; None when it is none. Raises `ArchiveError`."""
    member, head = content.member, content.head
    named = member.name.lower().endswith(_NAMES)
    form: Form
    chunks: Iterable[bytes] = content.archive.chunks(member)
    if head[4:8] == b"TFL3":
        form = "tflite"
    elif head == b"LITERTLM":
        form = "litertlm"
    elif head.startswith(_GZIP) and (named or _gzipped_model(content)):
        form, chunks = "gzip", _inflated(content)
    elif named:
        form = "unknown"
    else:
        return None
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return PackagedModel(
        place=content.place,
        form=form,
        kind=content.kind,
        sha256=digest.hexdigest(),
        bytes=size,
        compressed=form == "gzip" or not member.stored or content.offset is None,
        offset=content.offset if content.kind == "apk" and form != "gzip" else None,
    )


def _gzipped_model(content: Content) -> bool:
    first = b""
    try:
        for chunk in _inflated(content):
            first += chunk
            if len(first) >= len(content.head):
                break
    except ArchiveError:  # it only began like gzip, and is not ours to complain of
        return False
    return first[4:8] == b"TFL3"


def _inflated(content: Content) -> Iterator[bytes]:
    """What a file under gzip holds, in blocks. Raises `ArchiveError`."""
    where = f"{content.member.name} in {content.archive.label}"
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    size, most = 0, min(_MAX_INFLATED, _MAX_SWELLING * (content.member.size + 1024))
    try:
        for chunk in content.archive.chunks(content.member):
            left = chunk
            while left and not inflate.eof:
                block = inflate.decompress(left, BLOCK)
                left = inflate.unconsumed_tail
                size += len(block)
                if size > most:
                    raise ArchiveError(
                        f"{where} swells from {content.member.size} to more than {size} bytes, and "
                        "was not read; build or download the app again"
                    )
                yield block
    except zlib.error as error:
        raise ArchiveError(f"{where} is damaged: {error}; build the app again") from error
    if not inflate.eof:
        raise ArchiveError(f"{where} is cut short; build the app again")
