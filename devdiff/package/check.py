"""Whether a package may go to the store: what is in it, held against what was tested."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib.metadata
import importlib.resources
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.runtimes.archive import open_archive
from devdiff.errors import UsageError
from devdiff.gate.requirements import Requirements
from devdiff.package.contents import Kind, kind_of, walk
from devdiff.package.formats import TITLES
from devdiff.package.libraries import PackagedLibrary, library_in
from devdiff.package.lint import Remark, Strictness, listed, remarks
from devdiff.package.models import PackagedModel, model_in, unread_in
from devdiff.package.tested_files import Tested, TestedModel
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA_VERSION: Final = 1


def schema() -> dict[str, Any]:
    """The JSON Schema of `PackageCheck.to_json`."""
    text = importlib.resources.files("devdiff.package").joinpath("schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@dataclass(frozen=True, slots=True)
class PackageCheck:
    """What a package holds and what is known of it; there is at least one model."""

    name: str
    sha256: str
    bytes: int
    kind: Kind
    models: tuple[PackagedModel, ...]
    libraries: tuple[PackagedLibrary, ...]
    remarks: tuple[Remark, ...]
    tested: Tested

    @property
    def verdict(self) -> Verdict:
        """The gravest of the models' verdicts; a remark that fails is a ``fail``."""
        verdicts = [model.verdict for model in self.models]
        verdicts += [Verdict.FAIL for remark in self.remarks if remark.fails]
        return combine(verdicts)

    @property
    def summary(self) -> str:
        """One sentence for the first line of every format."""
        verdict, count = self.verdict, len(self.models)
        if verdict is Verdict.PASS:
            warned = f", {len(self.remarks)} warning{_s(len(self.remarks))}" if self.remarks else ""
            allowed = sum(model.untested for model in self.models)
            if allowed:
                which = f"{count - allowed} of {count} models were"
                warned = f", {allowed} allowed untested{warned}"
            else:
                which = "its model was" if count == 1 else f"all {count} models were"
            return f"{which} tested and passed{warned}"
        known = [m.place for m in self.models if m.verdict is verdict and not m.untested]
        untested = [m.place for m in self.models if m.untested and m.allowed is None]
        reasons = [f"{listed(known)}: tested, with the verdict {verdict.value}"] if known else []
        if untested:
            reasons.append(
                f"{len(untested)} of {count} model{_s(count)} not tested: {listed(untested)}"
            )
        reasons = reasons or [str(remark) for remark in self.remarks if remark.fails]
        return "; ".join(reasons)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "devdiff": importlib.metadata.version("devdiff"),
            "verdict": self.verdict.value,
            "exit_code": self.verdict.exit_code,
            "summary": self.summary,
            "package": {
                "name": self.name,
                "sha256": self.sha256,
                "bytes": self.bytes,
                "kind": self.kind,
            },
            "models": [model.to_json() for model in self.models],
            "libraries": [library.to_json() for library in self.libraries],
            "tested_runtimes": [runtime.to_json() for runtime in self.tested.runtimes.values()],
            "remarks": [remark.to_json() for remark in self.remarks],
        }


def verify_package(
    path: Path,
    tested: Tested,
    strictness: Strictness | None = None,
    skip: Sequence[str] = (),
    allow: Sequence[str] = (),
    requirements: Requirements | None = None,
) -> PackageCheck:
    """Hold an .apk, .aab, .aar or an archive of apks against what was tested.

    The package is read where it lies, nothing of it is unpacked to disk. Places that a pattern of
    ``skip`` fits are not looked at, which a remark says. An untested model does not count where its
    place fits a pattern of ``allow`` or its SHA-256 is one of them. A test that passed on less than
    ``requirements`` demand (by default `Requirements`) is none. Raises `ArchiveError` when the
    package is damaged or not to be trusted, `UsageError` when there is no model in it, or none that
    is not allowed (nothing would be checked), and `OSError` when it cannot be read.
    """
    models: list[PackagedModel] = []
    libraries: list[PackagedLibrary] = []
    skipped: list[str] = []
    unread: dict[str, str] = {}
    requirements = requirements or Requirements()
    files = 0
    with open_archive(path) as archive:
        kind = kind_of(archive)
        for content in walk(archive, skip, skipped):
            files += 1
            if (model := model_in(content)) is not None:
                models.append(_allowed(_known(model, tested, requirements), allow))
            elif (library := library_in(content)) is not None:
                known = library.sha256 in tested.runtimes
                libraries.append(dataclasses.replace(library, tested=known))
            elif (how := unread_in(content)) is not None:
                unread[content.place] = how
        sha256, size = archive.sha256()
    if not models:
        raise UsageError(
            f"{path.name} holds no model among its {files} files, so there is nothing to "
            "verify: name the package that ships the model; one that the app downloads or decrypts "
            "is in no package"
        )
    if all(model.untested and model.allowed is not None for model in models):
        raise UsageError(
            f"{path.name} holds {len(models)} model{_s(len(models))}, all untested and allowed, so "
            "there is nothing to verify: allow fewer"
        )
    return PackageCheck(
        name=path.name,
        sha256=sha256,
        bytes=size,
        kind=kind,
        models=tuple(models),
        libraries=tuple(libraries),
        remarks=remarks(
            kind, models, libraries, tested, skipped, unread, strictness or Strictness()
        ),
        tested=tested,
    )


def _known(model: PackagedModel, tested: Tested, requirements: Requirements) -> PackagedModel:
    """The model with what is known of it."""
    found = tested.models.get(model.sha256)
    refused = None
    if found is not None and found.compared and found.verdict is Verdict.PASS:
        refused = requirements.refusal_of_all(found.bases)
    note = refused or _note(model, found, tested)
    return dataclasses.replace(model, tested=found, note=note, refused=refused)


def _note(model: PackagedModel, found: TestedModel | None, tested: Tested) -> str:
    """Why a model is not tested, and what would mend it."""
    accept = f"or accept it untested: --allow {model.sha256}"
    if found is not None:
        return "" if found.compared else "scanned, but no test compared it: devdiff export-and-test"
    if model.sha256 in tested.steps:
        step = f"only a step of the test in {tested.steps[model.sha256]}, which was for another"
        if model.form == "tflite":
            return f"{step} model: test this one itself (a float model: --compress none)"
        return f"{step} model; ship the .tflite that was tested, {accept}"
    if model.form == "tflite":
        return "no test ended with this file: devdiff export-and-test, with this .tflite"
    if model.form == "unknown":
        return f"named like a model, and none that devdiff knows: encrypted or damaged; {accept}"
    if model.form in ("onnx", "pytorch"):
        return (
            f"{TITLES[model.form]}, and devdiff tests .tflite files: convert it (devdiff "
            f"export-and-test) and ship the .tflite, {accept}"
        )
    return f"{TITLES[model.form]}, which devdiff cannot test: ship a .tflite in its place, {accept}"


def _allowed(model: PackagedModel, allow: Sequence[str]) -> PackagedModel:
    for entry in allow:
        if entry.lower() == model.sha256 or fnmatch.fnmatchcase(model.place, entry):
            return dataclasses.replace(model, allowed=entry)
    return model


def _s(count: int) -> str:
    return "" if count == 1 else "s"
