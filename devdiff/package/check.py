"""Whether a package may go to the store: what is in it, held against what was tested."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.resources
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devdiff.device_runner.runtimes.archive import open_archive
from devdiff.errors import UsageError
from devdiff.package.contents import Kind, kind_of, walk
from devdiff.package.libraries import PackagedLibrary, library_in
from devdiff.package.lint import Remark, Strictness, listed, remarks
from devdiff.package.models import PackagedModel, model_in
from devdiff.package.tested_files import Tested
from devdiff.verdict import Verdict, combine

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
            which = "its model was" if count == 1 else f"all {count} models were"
            return f"{which} tested and passed{warned}"
        known = [m.place for m in self.models if m.verdict is verdict and not m.untested]
        untested = [model.place for model in self.models if model.untested]
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
) -> PackageCheck:
    """Hold an .apk, .aab, .aar or an archive of apks against what was tested.

    The package is read where it lies, nothing of it is unpacked to disk. Places that a pattern of
    ``skip`` fits are not looked at, which a remark says. Raises `ArchiveError` when the package is
    damaged or not to be trusted, `UsageError` when there is no model in it (nothing would be
    checked), and `OSError` when it cannot be read.
    """
    models: list[PackagedModel] = []
    libraries: list[PackagedLibrary] = []
    skipped: list[str] = []
    files = 0
    with open_archive(path) as archive:
        kind = kind_of(archive)
        for content in walk(archive, skip, skipped):
            files += 1
            if (model := model_in(content)) is not None:
                models.append(_known(model, tested))
            elif (library := library_in(content)) is not None:
                known = library.sha256 in tested.runtimes
                libraries.append(dataclasses.replace(library, tested=known))
        sha256, size = archive.sha256()
    if not models:
        raise UsageError(
            f"{path.name} holds no TFLite model among its {files} files, so there is nothing to "
            "verify: name the package that ships the model; one that the app downloads or decrypts "
            "is in no package"
        )
    return PackageCheck(
        name=path.name,
        sha256=sha256,
        bytes=size,
        kind=kind,
        models=tuple(models),
        libraries=tuple(libraries),
        remarks=remarks(kind, models, libraries, tested, skipped, strictness or Strictness()),
        tested=tested,
    )


def _known(model: PackagedModel, tested: Tested) -> PackagedModel:
    """The model with what is known of it."""
    found = tested.models.get(model.sha256)
    if found is not None and not found.compared:
        note = "scanned, but no test compared it: devdiff export-and-test"
    elif found is not None:
        note = ""
    elif model.sha256 in tested.steps:
        note = (
            f"only a step of the test in {tested.steps[model.sha256]}, which was for another "
            "model: test this one itself (a float model: --compress none)"
        )
    elif model.form == "litertlm":
        note = "a LiteRT-LM bundle: devdiff cannot test it"
    elif model.form == "unknown":
        note = "named like a model, but no .tflite: encrypted or damaged"
    else:
        note = "no test ended with this file: devdiff export-and-test, with this .tflite"
    return dataclasses.replace(model, tested=found, note=note)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
