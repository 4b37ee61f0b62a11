"""Every model in a package is found, whatever it is called, and known by its SHA-256 or not."""

from __future__ import annotations

import gzip
import zipfile
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import ArchiveError
from devdiff.errors import UsageError
from devdiff.package import PackagedModel, Tested, verify_package
from devdiff.verdict import Verdict
from tests.support.app_archives import packed
from tests.support.packages import MANIFEST, known, package, sha256, tflite

if TYPE_CHECKING:
    from pathlib import Path

MODEL, OTHER = tflite(1), tflite(2)


def models(path: Path, tested: Tested | None = None) -> dict[str, PackagedModel]:
    return {model.place: model for model in verify_package(path, tested or Tested()).models}


@pytest.mark.parametrize(
    "name",
    [
        "assets/model.tflite",
        "assets/deep/er/model.lite",
        "assets/data.bin",
        "res/raw/model",
        "res/a1.png",
        "vision_pack/assets/model.tflite",
        "feature/res/raw/m.tflite",
        "lib/arm64-v8a/libmodel.so",
    ],
)
@pytest.mark.parametrize("deflated", [True, False])
def test_a_model_is_known_by_its_mark_wherever_it_lies(
    tmp_path: Path, name: str, deflated: bool
) -> None:
    app = package(
        tmp_path / "app.apk", MANIFEST | {name: MODEL}, deflated=[name] if deflated else []
    )
    found = models(app, known(MODEL))[name]
    assert found.sha256 == sha256(MODEL)
    assert found.bytes == len(MODEL)
    assert found.compressed is deflated
    assert (found.verdict, found.untested) == (Verdict.PASS, False)


def test_what_is_no_model_is_passed_by(tmp_path: Path) -> None:
    others = {
        "assets/notes.txt": b"TFL3 is the mark of models",
        "assets/shifted.bin": b"TFL3" + MODEL,
        "assets/short": b"\x1c\0\0\0TFL",
        "assets/text.gz": gzip.compress(b"hello " * 100),
        "assets/empty": b"",
        "assets/words.zip": packed({"a.txt": b"hello"}),
    }
    app = package(tmp_path / "app.apk", MANIFEST | others | {"assets/m.tflite": MODEL})
    assert list(models(app)) == ["assets/m.tflite"]


@pytest.mark.parametrize("name", ["m.tflite.gz", "weights.bin"])
def test_a_model_under_gzip_is_known_by_what_it_unzips_to(tmp_path: Path, name: str) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {name: gzip.compress(MODEL)})
    found = models(app, known(MODEL))[name]
    assert (found.form, found.packings) == ("tflite", ("gzip",))
    assert (found.bytes, found.verdict) == (len(MODEL), Verdict.PASS)


def test_models_in_bundles_and_apks_are_found_with_the_way_to_them(tmp_path: Path) -> None:
    task = packed({"detector.tflite": MODEL, "labels.txt": b"cat"})
    base = packed(MANIFEST | {"assets/vision.task": task, "res/raw/m": OTHER})
    app = package(
        tmp_path / "app.xapk",
        {"base.apk": base, "config.en.apk": packed(MANIFEST)},
        deflated=["base.apk"],
    )
    found = models(app, known(MODEL))
    assert list(found) == [
        "detector.tflite in assets/vision.task in base.apk",
        "res/raw/m in base.apk",
    ]
    assert [model.untested for model in found.values()] == [False, True]
    assert {model.kind for model in found.values()} == {"apk"}


def test_an_offset_is_that_in_the_apk_which_is_installed(tmp_path: Path) -> None:
    task = packed({"detector.tflite": MODEL})
    base = package(tmp_path / "base.apk", MANIFEST | {"assets/vision.task": task}).read_bytes()
    (found,) = models(package(tmp_path / "app.apks", {"splits/base.apk": base})).values()
    assert found.offset == base.index(MODEL)
    assert base.index(MODEL) != (tmp_path / "app.apks").read_bytes().index(MODEL)


def test_a_model_in_a_compressed_bundle_has_no_place_to_map(tmp_path: Path) -> None:
    task = packed({"detector.tflite": MODEL})
    app = package(tmp_path / "app.apk", MANIFEST | {"a.task": task}, deflated=["a.task"])
    (found,) = models(app).values()
    assert found.compressed
    assert found.offset is None


def test_every_copy_is_listed(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a": MODEL, "assets/b": MODEL})
    assert len(models(app)) == 2


def test_an_untested_model_is_a_fail_and_is_named(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a": MODEL, "assets/b": OTHER})
    check = verify_package(app, known(MODEL))
    assert check.verdict is Verdict.FAIL
    assert check.summary == "1 of 2 models not tested: assets/b"
    assert "export-and-test" in models(app)["assets/b"].note


def test_one_changed_byte_is_another_model(tmp_path: Path) -> None:
    changed = bytearray(MODEL)
    changed[-1] ^= 1
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a": bytes(changed)})
    assert verify_package(app, known(MODEL)).verdict is Verdict.FAIL


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_tested_model_counts_with_its_verdict(tmp_path: Path, verdict: Verdict) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a": MODEL, "assets/b": OTHER})
    tested = known(MODEL, verdict=verdict).joined(known(OTHER))
    check = verify_package(app, tested)
    assert check.verdict is verdict
    assert verdict is Verdict.PASS or f"assets/a: tested, with the verdict {verdict.value}" in (
        check.summary
    )


def test_a_finding_outranks_an_untested_model_and_both_are_told(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a": MODEL, "assets/b": OTHER})
    check = verify_package(app, known(MODEL, verdict=Verdict.FINDING))
    assert check.verdict.exit_code == 4
    assert "assets/a: tested" in check.summary
    assert "not tested: assets/b" in check.summary


def test_what_is_named_like_a_model_and_is_none_cannot_pass(tmp_path: Path) -> None:
    """An encrypted model is one that nobody tested."""
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/secret.TFLite": b"\x91" * 500})
    (found,) = models(app).values()
    assert found.untested
    assert "encrypted or damaged" in found.note


def test_a_bundle_that_cannot_be_looked_into_cannot_pass(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/chat.litertlm": b"LITERTLM" + MODEL})
    (found,) = models(app).values()
    assert found.untested
    assert "LiteRT-LM" in found.note


def test_a_package_without_models_is_no_pass(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a.txt": b"x"})
    with pytest.raises(UsageError, match="holds no model among its 2 files"):
        verify_package(app, known(MODEL))


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(MODEL + bytes(50_000_000))
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite.gz": bomb})
    with pytest.raises(ArchiveError, match="swells from"):
        models(app)


@pytest.mark.parametrize("cut", [10, 400, -1])
def test_a_gzip_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    app = package(
        tmp_path / "app.apk", MANIFEST | {"assets/m.tflite.gz": gzip.compress(MODEL)[:cut]}
    )
    with pytest.raises(ArchiveError, match="cut short"):
        models(app)


def test_a_model_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = MODEL[:8] + bytes(50_000_000)
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m": bomb}, deflated=["assets/m"])
    with pytest.raises(ArchiveError, match=r"assets/m in app\.apk swells from"):
        models(app)


def test_an_encrypted_archive_inside_is_refused(tmp_path: Path) -> None:
    """There may be a model in it."""
    inner = bytearray(packed({"m": MODEL}))
    inner[6] |= 1
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/models.zip": bytes(inner)})
    with pytest.raises(ArchiveError, match=r"in assets/models\.zip in app\.apk is encrypted"):
        models(app)


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("apk", MANIFEST),
        ("aab", {"BundleConfig.pb": b"", "base/manifest/AndroidManifest.xml": b""}),
        ("aar", MANIFEST | {"classes.jar": packed({})}),
        ("apks", {"toc.pb": b"", "splits/base.apk": packed(MANIFEST)}),
        ("zip", {"readme": b""}),
    ],
)
def test_a_package_is_what_it_holds(tmp_path: Path, kind: str, entries: dict[str, bytes]) -> None:
    app = package(tmp_path / "renamed", entries | {"z.tflite": MODEL})
    assert verify_package(app, Tested()).kind == kind


def test_nothing_is_written_beside_the_package(tmp_path: Path) -> None:
    app = tmp_path / "app.xapk"
    with zipfile.ZipFile(app, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("base.apk", packed(MANIFEST | {"assets/m": MODEL}))
    app.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert len(models(app)) == 1
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == [app]


def test_what_is_skipped_is_not_looked_at_and_is_told(tmp_path: Path) -> None:
    broken = b"PK\3\4" + bytes(100)
    entries = {"assets/m.tflite": MODEL, "vendor/deep/x.tflite": OTHER, "assets/a.zip": broken}
    app = package(tmp_path / "app.apk", MANIFEST | entries)
    with pytest.raises(ArchiveError, match=r"assets/a\.zip"):
        verify_package(app, known(MODEL))
    check = verify_package(app, known(MODEL), skip=["vendor/*", "*.zip"])
    assert check.verdict is Verdict.PASS
    assert check.remarks[0].topic == "skipped"
    assert check.remarks[0].places == ("assets/a.zip", "vendor/deep/x.tflite")
    with pytest.raises(UsageError, match="holds no model"):
        verify_package(app, known(MODEL), skip=["*"])


def test_a_pattern_reaches_into_archives(tmp_path: Path) -> None:
    inner = packed({"x.tflite": OTHER, "m.tflite": MODEL})
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a.zip": inner})
    check = verify_package(app, known(MODEL), skip=["x.tflite in assets/*"])
    assert [model.place for model in check.models] == ["m.tflite in assets/a.zip"]


def test_what_only_begins_like_gzip_is_none(tmp_path: Path) -> None:
    others = {"assets/odd": b"\x1f\x8b\x08" + bytes(50), "assets/cut": gzip.compress(MODEL)[:12]}
    app = package(tmp_path / "app.apk", MANIFEST | others | {"assets/m": MODEL})
    assert list(models(app)) == ["assets/m"]
