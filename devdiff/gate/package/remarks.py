"""What is wrong with a package beside its models: runtimes, page sizes, how models are stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from devdiff.gate.package.contents import Kind
from devdiff.gate.package.libraries import PAGE, PackagedLibrary
from devdiff.gate.package.models import PackagedModel, listed
from devdiff.gate.package.tested import Tested

Topic = Literal["runtime", "pages", "storage", "device"]

# The flatbuffer's numbers are read where they lie.
_MODEL_ALIGNMENT: Final = 4


@dataclass(frozen=True, slots=True)
class Strictness:
    """Of which topics a remark makes the check fail: the runtime's, the page sizes'."""

    runtime: bool = False
    pages: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """``text`` on ``place``, with the next thing to try; ``fails`` when the check must not pass."""

    topic: Topic
    place: str
    text: str
    fails: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def remarks(
    kind: Kind,
    models: Sequence[PackagedModel],
    libraries: Sequence[PackagedLibrary],
    tested: Tested,
    strictness: Strictness,
) -> tuple[Remark, ...]:
    """All there is to say of a package, the gravest topic first."""
    found: list[Remark] = []
    for place, text in _runtimes(kind, libraries, tested):
        found.append(Remark("runtime", place, text, strictness.runtime))
    for library in libraries:
        found += [Remark("pages", library.place, t, strictness.pages) for t in _pages(library)]
    for model in models:
        found += [Remark("storage", model.place, text, False) for text in _storage(model)]
    found += [Remark("device", place, text, False) for place, text in _devices(models)]
    return tuple(found)


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
            f"begins at byte {library.offset} of the .apk, which is no multiple of {PAGE}: phones "
            "with pages of 16 KiB cannot load it from there; align with zipalign -P 16 4"
        )


def _devices(models: Sequence[PackagedModel]) -> Iterator[tuple[str, str]]:
    """Which models no phone has run, by where they did run."""
    elsewhere = defaultdict(list)
    for model in models:
        if model.tested is not None and not model.tested.on_phone:
            elsewhere[model.tested.devices].append(model)
    for devices, several in elsewhere.items():
        yield listed(several), f"ran on {', '.join(devices)} and on no phone; test on one, --device"


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
            f"begins at byte {model.offset} of the .apk, which is no multiple of "
            f"{_MODEL_ALIGNMENT}: mapped models are read unaligned; align with zipalign 4"
        )
