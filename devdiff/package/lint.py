"""What is wrong with a package beside its models: runtimes, page sizes, how models are stored."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from devdiff.package.libraries import PAGE, PackagedLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devdiff.package.contents import Kind
    from devdiff.package.models import PackagedModel
    from devdiff.package.tested_files import Tested

Topic = Literal["evidence", "allowed", "skipped", "unread", "runtime", "pages", "storage", "device"]

_TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
_LISTED: Final = 3
# The flatbuffer's numbers are read where they lie.
_MODEL_ALIGNMENT: Final = 4


@dataclass(frozen=True, slots=True)
class Strictness:
    """Of which topics a remark makes the check fail: the runtime's, the page sizes'."""

    runtime: bool = False
    pages: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """``text`` on ``places``, with what to try; ``fails`` where the check must not pass."""

    topic: Topic
    places: tuple[str, ...]
    text: str
    fails: bool

    def __str__(self) -> str:
        return f"{listed(self.places)}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "places": list(self.places),
            "text": self.text,
            "fails": self.fails,
        }


def remarks(
    kind: Kind,
    models: Sequence[PackagedModel],
    libraries: Sequence[PackagedLibrary],
    tested: Tested,
    skipped: Sequence[str],
    unread: Mapping[str, str],
    strictness: Strictness,
) -> tuple[Remark, ...]:
    """All there is to say, the gravest topic first, the same of several places once.

    ``unread`` says of files that could not be looked into how they are packed.
    """
    grouped: dict[tuple[Topic, str], list[str]] = defaultdict(list)
    for refusal in tested.refused:
        grouped["evidence", f"tests nothing, since it {refusal.why}"].append(refusal.evidence)
    for place in skipped:
        grouped["skipped", "not looked at, as was asked for with --skip"].append(place)
    for place, how in unread.items():
        grouped["unread", f"packed with {how}, which devdiff does not look into"].append(place)
    for place, text in _other_runtimes(models, libraries):
        grouped["runtime", text].append(place)
    for place, text in _runtimes(kind, libraries, tested):
        grouped["runtime", text].append(place)
    for library in libraries:
        for text in _pages(library):
            grouped["pages", text].append(library.place)
    for model in models:
        for topic, text in _of_model(model):
            grouped[topic, text].append(model.place)
    # Evidence that was changed may have spoken against a model.
    strict = {"evidence": True, "runtime": strictness.runtime, "pages": strictness.pages}
    return tuple(
        Remark(topic, tuple(places), text, strict.get(topic, False))
        for (topic, text), places in sorted(
            grouped.items(), key=lambda item: _TOPICS.index(item[0][0])
        )
    )


def _of_model(model: PackagedModel) -> Iterator[tuple[Topic, str]]:
    if model.untested and model.allowed is not None:
        yield "allowed", f"ships untested, as was allowed ({model.allowed})"
    for text in _storage(model):
        yield "storage", text
    if model.tested is not None and not model.tested.on_phone:
        where = ", ".join(model.tested.devices)
        yield "device", f"ran on {where} and on no phone; test on one, --device"


def listed(places: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    shown = ", ".join(places[:_LISTED])
    return shown if len(places) <= _LISTED else f"{shown} and {len(places) - _LISTED} more"


def _other_runtimes(
    models: Sequence[PackagedModel], libraries: Sequence[PackagedLibrary]
) -> Iterator[tuple[str, str]]:
    """Runtimes of other kinds of which no model was seen: there must be some, somewhere."""
    forms = {model.form for model in models}
    for library in libraries:
        if library.other is not None and not forms.intersection(library.other.forms):
            yield (
                library.place,
                f"runs models with {library.other.name}, and none was found: they are downloaded, "
                "encrypted or of a form that devdiff does not know, and no test speaks for them",
            )


def _runtimes(
    kind: Kind, libraries: Sequence[PackagedLibrary], tested: Tested
) -> Iterator[tuple[str, str]]:
    """What the models will run with, where it is not what they were tested with."""
    running = [library for library in libraries if library.role in ("runtime", "embeds")]
    if not running:
        brings = (
            "the app that takes it brings one, or uses that of Google Play services"
            if kind == "aar"
            else "the app uses that of Google Play services, which changes without it"
        )
        yield "the package", f"ships no runtime library: {brings}; no test speaks for that one"
    untested = defaultdict(list)
    for library in running:
        if not library.tested:
            untested[library.name, library.role].append(library.abi)
    ran = ", ".join(
        f"{runtime.origin or runtime.sha256[:12]}{f' ({runtime.abi})' if runtime.abi else ''}"
        for runtime in tested.runtimes.values()
    )
    for (name, role), abis in untested.items():
        place = f"{name} for {', '.join(dict.fromkeys(abis))}"
        if role == "embeds":
            yield place, "has a runtime linked into it, with which devdiff cannot test"
        else:
            yield (
                place,
                f"no test ran with it (but with: {ran or 'nothing on a device'}); test on such a "
                "phone with --runtime and this package",
            )


def _pages(library: PackagedLibrary) -> Iterator[str]:
    if library.page is None:
        yield "its ELF headers are damaged: no phone can load it; build it again"
    elif library.needs_large_pages and library.page < PAGE:
        yield (
            f"aligned for pages of {library.page} bytes: phones with pages of 16 KiB cannot load "
            "it; take a newer release of it, or link it with -Wl,-z,max-page-size=16384"
        )
    if library.needs_large_pages and library.offset is not None and library.offset % PAGE:
        yield (
            "stored uncompressed, and not at a multiple of 16 KiB in the .apk: phones with pages "
            "of 16 KiB cannot load it from there; align with zipalign -P 16 4"
        )


def _storage(model: PackagedModel) -> Iterator[str]:
    """What keeps an installed model from being mapped into memory; of an .apk alone it is known."""
    if model.kind != "apk":
        return
    if model.compressed:
        suffix = PurePosixPath(model.place.partition(" in ")[0]).suffix.removeprefix(".")
        remedy = (
            f'androidResources {{ noCompress += "{suffix}" }} in build.gradle, or aapt -0 {suffix}'
            if suffix
            else "name it with a suffix that is not compressed, .tflite by default"
        )
        yield (
            "stored compressed, so it cannot be memory-mapped and takes its size in memory again; "
            f"{remedy}"
        )
    elif model.offset is not None and model.offset % _MODEL_ALIGNMENT:
        yield (
            "not at a multiple of 4 bytes in the .apk: a mapped model is read unaligned; align "
            "with zipalign 4"
        )
