"""Which libraries run the models of a package, and whether phones can load them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devdiff.package import PackageCheck, Strictness, Tested, verify_package
from devdiff.verdict import Verdict
from tests.support import packages
from tests.support.packages import JNI, MANIFEST, known, library, package, sha256, tflite

if TYPE_CHECKING:
    from devdiff.package.libraries import PackagedLibrary

MODEL = {"assets/m.tflite": tflite()}
LINKED = b"Didn't find op for builtin opcode '%s'"


def checked(
    tmp_path: Path,
    entries: dict[str, bytes],
    tested: Tested | None = None,
    align: int = 16384,
    strictness: Strictness | None = None,
) -> PackageCheck:
    app = package(tmp_path / "app.apk", MANIFEST | entries | MODEL, align=align)
    return verify_package(app, tested or known(*MODEL.values()), strictness)


def only(check: PackageCheck) -> PackagedLibrary:
    (found,) = check.libraries
    return found


def said(check: PackageCheck, topic: str) -> list[str]:
    return [str(remark) for remark in check.remarks if remark.topic == topic]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        (JNI, "runtime"),
        ("libtensorflowlite_c.so", "runtime"),
        ("libLiteRt.so", "runtime"),
        ("libtensorflowlite_gpu_jni.so", "delegate"),
        ("libtensorflowlite_jni_gms_client.so", "play-services"),
        ("libother.so", None),
    ],
)
def test_a_library_has_a_role_by_its_name(tmp_path: Path, name: str, role: str | None) -> None:
    """The file itself calls a runtime, and so has the names of a runtime's functions in it."""
    found = only(checked(tmp_path, {f"lib/arm64-v8a/{name}": library()}))
    assert (found.role, found.abi, found.bytes) == (role, "arm64-v8a", len(library()))
    assert found.sha256 == (None if role is None else sha256(library()))


def _installed(package: str, pattern: str) -> bytes:
    """A library out of a package of this environment."""
    (folder,) = importlib.util.find_spec(package).submodule_search_locations  # type: ignore[union-attr, misc]
    (path,) = Path(folder).glob(pattern)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("package", "pattern", "role"),
    [
        ("ai_edge_litert", "libLiteRt.so", "runtime"),
        ("tflite_runtime", "_pywrap_tensorflow_interpreter_wrapper.so", "embeds"),
        ("scipy", "linalg/_flapack*.so", None),
    ],
)
@pytest.mark.parametrize("deflated", [True, False])
def test_a_library_of_another_name_has_a_role_by_what_it_does(
    tmp_path: Path, package: str, pattern: str, role: str | None, deflated: bool
) -> None:
    data, place = _installed(package, pattern), "lib/x86_64/libother.so"
    app = tmp_path / "app.apk"
    packages.package(app, MANIFEST | {place: data} | MODEL, deflated=[place] if deflated else [])
    assert only(verify_package(app, Tested())).role == role


@pytest.mark.parametrize("before", [0, 1, 10, len(LINKED) - 1, len(LINKED)])
def test_what_is_sought_is_found_across_the_blocks_that_are_read(
    tmp_path: Path, before: int
) -> None:
    start = library()
    data = start + bytes((1 << 20) - len(start) - before) + LINKED + b"x" * 100
    assert only(checked(tmp_path, {"lib/arm64-v8a/libother.so": data})).role == "embeds"


@pytest.mark.parametrize(
    "place",
    [
        "lib/x86_64/libLiteRt.so",
        "base/lib/x86_64/libLiteRt.so",
        "jni/x86_64/libLiteRt.so",
        "assets/plugins/libLiteRt.so",
    ],
)
def test_the_abi_is_that_of_the_folder_or_of_the_file(tmp_path: Path, place: str) -> None:
    found = only(checked(tmp_path, {place: library(abi="android-x86_64")}))
    assert (found.abi, found.page) == ("x86_64", 16384)


def test_the_runtime_of_the_test_is_known_by_its_hash(tmp_path: Path) -> None:
    runtime = library()
    check = checked(
        tmp_path,
        {f"lib/arm64-v8a/{JNI}": runtime},
        known(*MODEL.values(), runtimes=[runtime]),
    )
    assert only(check).tested
    assert check.remarks == ()
    assert check.summary == "its model was tested and passed"


def test_a_runtime_no_test_ran_with_is_a_warning_or_a_fail(tmp_path: Path) -> None:
    entries = {
        f"lib/arm64-v8a/{JNI}": library(),
        f"lib/armeabi-v7a/{JNI}": library(abi="android-armeabi-v7a"),
    }
    tested = known(*MODEL.values(), runtimes=[b"another"])
    check = checked(tmp_path, entries, tested)
    assert check.verdict is Verdict.PASS
    assert check.summary.endswith(", 1 warning")
    (remark,) = said(check, "runtime")
    assert remark.startswith(f"{JNI} for arm64-v8a, armeabi-v7a: no test ran with it (but with: ")
    assert "--runtime" in remark
    strict = checked(tmp_path, entries, tested, strictness=Strictness(runtime=True))
    assert strict.verdict is Verdict.FAIL
    assert strict.summary == remark


def test_a_runtime_inside_another_library_is_told(tmp_path: Path) -> None:
    check = checked(tmp_path, {"lib/arm64-v8a/libapp.so": library(inside=LINKED)})
    assert "libapp.so for arm64-v8a: has a runtime linked into it" in said(check, "runtime")[0]


def test_a_package_without_a_runtime_uses_another_one(tmp_path: Path) -> None:
    gms = {"lib/arm64-v8a/libtensorflowlite_jni_gms_client.so": library()}
    for entries in ({}, gms, {"lib/arm64-v8a/libother.so": library()}):
        (remark,) = said(checked(tmp_path, entries), "runtime")
        assert "ships no runtime library" in remark
        assert "Google Play services" in remark
    assert checked(tmp_path, {}, strictness=Strictness(runtime=True)).verdict is Verdict.FAIL


@pytest.mark.parametrize("abi", ["android-arm64-v8a", "android-x86_64"])
def test_libraries_for_small_pages_are_named(tmp_path: Path, abi: str) -> None:
    folder = abi.removeprefix("android-")
    entries = {f"lib/{folder}/lib{n}.so": library(page=4096, abi=abi) for n in range(5)}
    check = checked(tmp_path, entries)
    (remark,) = said(check, "pages")
    assert remark.startswith(f"lib/{folder}/lib0.so, lib/{folder}/lib1.so, ")
    assert "and 2 more: aligned for pages of 4096 bytes" in remark
    assert check.verdict is Verdict.PASS
    strict = checked(tmp_path, entries, strictness=Strictness(pages=True))
    assert strict.verdict is Verdict.FAIL


def test_a_promise_of_large_pages_that_the_parts_do_not_keep_counts_for_nothing(
    tmp_path: Path,
) -> None:
    data = bytearray(library())
    table = int.from_bytes(data[32:40], "little")
    for at in range(table, table + 56 * int.from_bytes(data[56:58], "little"), 56):
        if data[at : at + 4] == b"\1\0\0\0" and data[at + 8 : at + 16] != bytes(8):
            address = int.from_bytes(data[at + 16 : at + 24], "little") + 4096
            data[at + 16 : at + 24] = address.to_bytes(8, "little")
            break
    assert only(checked(tmp_path, {"lib/arm64-v8a/libother.so": bytes(data)})).page == 4096


def test_thirty_two_bit_libraries_need_no_large_pages(tmp_path: Path) -> None:
    entries = {"lib/armeabi-v7a/libother.so": library(abi="android-armeabi-v7a", page=4096)}
    check = checked(tmp_path, entries, align=4)
    assert only(check).page == 4096
    assert said(check, "pages") == []


def test_a_library_is_loaded_out_of_the_apk_only_from_a_page(tmp_path: Path) -> None:
    entries = {"lib/arm64-v8a/libother.so": library()}
    assert said(checked(tmp_path, entries), "pages") == []
    (remark,) = said(checked(tmp_path, entries, align=4096), "pages")
    assert "zipalign -P 16" in remark


def test_a_compressed_library_is_unpacked_by_the_installer(tmp_path: Path) -> None:
    place = "lib/arm64-v8a/libother.so"
    app = package(
        tmp_path / "app.apk", MANIFEST | {place: library()} | MODEL, deflated=[place], align=4
    )
    assert said(verify_package(app, Tested()), "pages") == []


def test_the_alignment_in_a_bundle_is_not_that_of_the_apks_made_of_it(tmp_path: Path) -> None:
    entries = {
        "BundleConfig.pb": b"",
        "base/lib/arm64-v8a/libother.so": library(),
        "base/assets/m.tflite": tflite(),
    }
    app = package(tmp_path / "app.aab", entries, deflated=["base/assets/m.tflite"])
    check = verify_package(app, known(tflite()))
    assert said(check, "pages") == said(check, "storage") == []


@pytest.mark.parametrize("size", [4, 40, 70])
def test_a_damaged_library_is_told_and_does_not_stop_the_check(tmp_path: Path, size: int) -> None:
    check = checked(tmp_path, {"lib/arm64-v8a/libother.so": library()[:size]})
    assert only(check).page is None
    assert "headers are damaged" in said(check, "pages")[0]


def test_models_that_cannot_be_mapped_come_with_the_remedy(tmp_path: Path) -> None:
    entries = {"assets/m.lite": tflite(1), "res/raw/m": tflite(2), "assets/fine": tflite(3)}
    app = package(tmp_path / "app.apk", MANIFEST | entries, deflated=["assets/m.lite", "res/raw/m"])
    one, other = said(verify_package(app, Tested()), "storage")
    assert one.startswith("assets/m.lite: stored compressed")
    assert 'noCompress += "lite"' in one
    assert other.startswith("res/raw/m: stored compressed")
    assert ".tflite by default" in other


def test_a_model_that_lies_unaligned_is_told(tmp_path: Path) -> None:
    data = tflite()
    for padding in range(4):
        name = "assets/" + "m" * (padding + 1)
        app = package(tmp_path / "app.apk", {name: data} | MANIFEST, align=1)
        unaligned = app.read_bytes().index(data) % 4 != 0
        assert bool(said(verify_package(app, Tested()), "storage")) is unaligned


def test_a_model_that_no_phone_has_run_is_told(tmp_path: Path) -> None:
    check = checked(tmp_path, {}, known(*MODEL.values(), on_phone=False))
    assert "on no phone" in said(check, "device")[0]
