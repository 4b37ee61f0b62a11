"""The models in a package, known by what is in them and not by their names alone."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.errors import ArchiveError
from devdiff.device_runner.runtimes.archive import ZIP
from devdiff.package.contents import Content, Kind
from devdiff.package.formats import HEAD, Form, form_of, form_of_archive, form_of_name, unread
from devdiff.package.packed import Packing, packing_of, unpacked
from devdiff.package.tested_files import TestedModel
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Compressed thrice over is a riddle.
_MAX_LAYERS: Final = 3
_BUNDLE: Final = ".task"


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model in a package: SHA-256 and ``bytes`` as an app would load it, uncompressed.

    ``form`` is what it is, ``unknown`` for what is only named like a model, and ``packings`` how
    the file itself is compressed, outermost first. ``offset`` is where it begins in the installed
    .apk, None where it is compressed or ``kind`` is not what gets installed. ``tested`` is None for
    a model that no run ended with; ``note`` says why. ``allowed`` names the pattern or the SHA-256
    by which it may ship untested. ``refused`` says why a test that passed is not counted.
    """

    place: str
    form: Form
    kind: Kind
    sha256: str
    bytes: int
    compressed: bool
    offset: int | None
    packings: tuple[Packing, ...] = ()
    tested: TestedModel | None = None
    note: str = ""
    allowed: str | None = None
    refused: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What the package gets for it: an untested model is a ``fail`` unless it is allowed."""
        if self.untested or self.tested is None:
            return Verdict.PASS if self.allowed is not None else Verdict.FAIL
        return self.tested.verdict

    @property
    def untested(self) -> bool:
        """Whether nothing that counts is known for or against it: no test, one on too little, or
        only a scan without a finding."""
        if self.tested is None or self.refused is not None:
            return True
        undecided = self.tested.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
        return not self.tested.compared and undecided

    def to_json(self) -> dict[str, Any]:
        tested = self.tested
        return {
            "place": self.place,
            "form": self.form,
            "packings": list(self.packings),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "compressed": self.compressed,
            "offset": self.offset,
            "tested": tested is not None and tested.compared and self.refused is None,
            "verdict": self.verdict.value,
            "devices": list(tested.devices) if tested else [],
            "evidence": list(tested.evidence) if tested else [],
            "note": self.note,
            "allowed": self.allowed,
        }


def model_in(content: Content) -> PackagedModel | None:
    """The model that a file in a package is; None when it is none. Raises `ArchiveError`."""
    member = content.member
    named = form_of_name(member.name, content.archive.members)
    packings: tuple[Packing, ...] = ()
    if content.inner is None:
        packings, form = _identified(content, named is not None)
    else:
        form = form_of_archive(content.inner.members)
        # A bundle holds models, which are looked at one by one.
        named = None if member.name.lower().endswith(_BUNDLE) else named
    form = form or named
    if form is None:
        return None
    digest, size = hashlib.sha256(), 0
    for block in _unpacked(content, packings):
        digest.update(block)
        size += len(block)
    return PackagedModel(
        place=content.place,
        form=form,
        kind=content.kind,
        sha256=digest.hexdigest(),
        bytes=size,
        compressed=bool(packings) or not member.stored or content.offset is None,
        offset=content.offset if content.kind == "apk" and not packings else None,
        packings=packings,
    )


def unread_in(content: Content) -> str | None:
    """How a file is packed that could hold a model and is not looked into; None where it is."""
    head = content.head
    packings: tuple[Packing, ...] = ()
    if content.inner is not None:
        return None
    while (how := unread(head)) is None:
        if packings and head.startswith(ZIP):
            return f"a zip archive under {' and '.join(packings)}"
        packing = packing_of(head)
        if packing is None or len(packings) == _MAX_LAYERS:
            return None
        packings = (*packings, packing)
        head, error = _first(_unpacked(content, packings))
        if error is not None:
            return None
    return f"{how} under {' and '.join(packings)}" if packings else how


def _identified(content: Content, named: bool) -> tuple[tuple[Packing, ...], Form | None]:
    """What a file is, and how it is compressed; what is ``named`` like a model must be whole."""
    packings: tuple[Packing, ...] = ()
    head = content.head
    while True:
        form = form_of(head, functools.partial(_unpacked, content, packings))
        packing = packing_of(head)
        if form is not None or packing is None or len(packings) == _MAX_LAYERS:
            return packings, form
        packings = (*packings, packing)
        head, error = _first(_unpacked(content, packings))
        if error is not None and form_of(head, lambda: ()) is None:
            if named:
                raise error
            # It only began like that, and is not ours to complain of.
            return (), None


def _first(blocks: Iterator[bytes]) -> tuple[bytes, ArchiveError | None]:
    """The beginning of a content, and what was wrong with it."""
    head = b""
    try:
        for block in blocks:
            head += block
            if len(head) >= HEAD:
                break
    except ArchiveError as error:
        return head[:HEAD], error
    return head[:HEAD], None


def _unpacked(content: Content, packings: Sequence[Packing]) -> Iterator[bytes]:
    """What is left of a file when its compressions are taken off. Raises `ArchiveError`."""
    blocks = content.archive.chunks(content.member)
    for packing in packings:
        blocks = unpacked(packing, blocks, content.member.size, content.where)
    return blocks
