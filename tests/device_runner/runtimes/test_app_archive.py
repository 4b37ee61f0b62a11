"""The runtime an app ships is taken out of its archive as it is, or refused with a reason."""

from __future__ import annotations

import hashlib
import random
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness.build import runner_path
from devdiff.device_runner.errors import RuntimeLibraryError
from devdiff.device_runner.runtimes import runtime
from devdiff.device_runner.runtimes.app_archive import LIBRARIES, library_from_archive
from tests.support.app_archives import archive, packed, patched

if TYPE_CHECKING:
    from pathlib import Path

ARM64 = "android-arm64-v8a"
JNI, PLAIN, LITERT = LIBRARIES


@pytest.fixture(scope="module")
def library() -> bytes:
    """A real file for ARM64 Android."""
    return runner_path(ARM64).read_bytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("app.apk", f"lib/arm64-v8a/{JNI}"),
        ("library.aar", f"jni/arm64-v8a/{JNI}"),
        ("bundle.aab", f"base/lib/arm64-v8a/{JNI}"),
        ("bundle.aab", f"vision/lib/arm64-v8a/{PLAIN}"),
        ("renamed.zip", f"lib/arm64-v8a/{LITERT}"),
    ],
)
def test_each_kind_of_archive_keeps_its_library_elsewhere(
    tmp_path: Path, name: str, place: str
) -> None:
    app = archive(tmp_path / name, {"classes.dex": b"x", place: b"the library"})
    path, member = library_from_archive(app, ARM64)
    assert path.read_bytes() == b"the library"
    assert path.name == place.rpartition("/")[2]
    assert member == place


def test_the_preferred_library_is_the_one_the_java_interface_uses(tmp_path: Path) -> None:
    entries = {f"lib/arm64-v8a/{name}": name.encode() for name in reversed(LIBRARIES)}
    for name in LIBRARIES:
        app = archive(tmp_path / f"{len(entries)}.apk", entries)
        assert library_from_archive(app, ARM64)[0].read_bytes() == name.encode()
        del entries[f"lib/arm64-v8a/{name}"]


def test_the_devices_own_abi_is_taken(tmp_path: Path) -> None:
    abis = ("arm64-v8a", "armeabi-v7a", "x86_64")
    app = archive(tmp_path / "app.apk", {f"lib/{abi}/{JNI}": abi.encode() for abi in abis})
    for abi in abis:
        assert library_from_archive(app, f"android-{abi}")[0].read_bytes() == abi.encode()


def test_the_gpu_delegate_comes_along(tmp_path: Path, library: bytes) -> None:
    gpu = "libtensorflowlite_gpu_jni.so"
    app = archive(
        tmp_path / "app.apk",
        {f"lib/arm64-v8a/{JNI}": library, f"lib/arm64-v8a/{gpu}": b"gpu"},
    )
    found = runtime.from_file(app, ARM64)
    beside = runtime.delegate_library(found, "gpu")
    assert beside is not None
    assert beside.read_bytes() == b"gpu"
    assert runtime.delegate_library(found, "nnapi") is None
    assert runtime.delegate_library(found, "xnnpack") is None


def test_an_archive_of_apks_is_looked_into(tmp_path: Path) -> None:
    apks = {
        "base.apk": packed({"classes.dex": b"x"}),
        "config.arm64_v8a.apk": packed({f"lib/arm64-v8a/{JNI}": b"inner"}),
        "config.en.apk": packed({"resources.arsc": b"x"}),
    }
    path, member = library_from_archive(archive(tmp_path / "app.xapk", apks), ARM64)
    assert path.read_bytes() == b"inner"
    assert member == f"lib/arm64-v8a/{JNI}"


def test_an_unpacked_library_is_kept_by_the_archives_hash(tmp_path: Path) -> None:
    entries = {f"lib/arm64-v8a/{JNI}": b"one"}
    first = library_from_archive(archive(tmp_path / "a.apk", entries), ARM64)[0]
    before = first.stat().st_mtime_ns
    again = library_from_archive(archive(tmp_path / "renamed.apk", entries), ARM64)[0]
    other = library_from_archive(
        archive(tmp_path / "a.apk", {f"lib/arm64-v8a/{JNI}": b"two"}), ARM64
    )[0]
    assert again == first
    assert first.stat().st_mtime_ns == before
    assert other != first
    assert other.read_bytes() == b"two"


def test_a_kept_library_that_was_changed_is_unpacked_again(tmp_path: Path) -> None:
    app = archive(tmp_path / "a.apk", {f"lib/arm64-v8a/{JNI}": b"one"})
    path, _ = library_from_archive(app, ARM64)
    path.write_bytes(b"changed")
    assert library_from_archive(app, ARM64)[0].read_bytes() == b"one"


def refusal(app: Path, abi: str = ARM64) -> str:
    with pytest.raises(RuntimeLibraryError) as caught:
        library_from_archive(app, abi)
    return str(caught.value)


def unpacked(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*.so") if path.is_file()]


def test_without_a_runtime_the_reason_is_given(tmp_path: Path, cache: Path) -> None:
    app = archive(tmp_path / "app.apk", {"lib/arm64-v8a/libother.so": b"x"})
    assert "app.apk holds none of" in refusal(app)
    assert unpacked(cache) == []


def test_a_runtime_for_other_abis_names_them(tmp_path: Path) -> None:
    entries = {f"lib/{abi}/{JNI}": b"x" for abi in ("x86_64", "armeabi-v7a")}
    said = refusal(archive(tmp_path / "app.apk", entries))
    assert "armeabi-v7a, x86_64" in said
    assert "device's arm64-v8a" in said


def test_a_linux_device_does_not_take_an_apps_library(tmp_path: Path) -> None:
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": b"x"})
    assert "linux-aarch64" in refusal(app, "linux-aarch64")


def test_an_encrypted_library_is_refused(tmp_path: Path, cache: Path) -> None:
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": b"x" * 50})
    assert "is encrypted" in refusal(patched(app, local=6, central=8, form="<H", value=1))
    assert unpacked(cache) == []


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, cache: Path) -> None:
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": bytes(50_000_000)})
    assert app.stat().st_size < 100_000
    assert "swells from" in refusal(app)
    assert unpacked(cache) == []


def test_an_entry_that_holds_more_than_it_claims_is_damaged(tmp_path: Path, cache: Path) -> None:
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": bytes(50_000_000)})
    assert "damaged" in refusal(patched(app, local=22, central=24, form="<I", value=4096))
    assert unpacked(cache) == []


def test_a_claim_of_gigabytes_is_refused(tmp_path: Path) -> None:
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": b"x" * 50})
    said = refusal(patched(app, local=22, central=24, form="<I", value=0xF0000000))
    assert "claims 4026531840 bytes" in said


def test_the_same_name_twice_is_refused(tmp_path: Path, cache: Path) -> None:
    """Two readers could take different ones of the two."""
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": b"one"})
    with zipfile.ZipFile(app, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr(f"lib/arm64-v8a/{JNI}", b"two")
    assert "is there twice" in refusal(app)
    assert unpacked(cache) == []


def test_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo(f"lib/arm64-v8a/{JNI}")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "app.apk", "w") as made:
        made.writestr(info, "/etc/passwd")
    assert "is a link" in refusal(tmp_path / "app.apk")


@pytest.mark.parametrize(
    "name", [f"../lib/arm64-v8a/{JNI}", f"/lib/arm64-v8a/{JNI}", f"a/../lib/arm64-v8a/{JNI}"]
)
def test_a_path_that_leaves_the_archive_is_not_followed(
    tmp_path: Path, cache: Path, name: str
) -> None:
    said = refusal(archive(tmp_path / "app.apk", {name: b"x"}))
    assert "app.apk" in said
    assert unpacked(cache) == []


def test_more_apks_than_any_app_has_are_not_looked_into(tmp_path: Path) -> None:
    app = archive(tmp_path / "app.xapk", {f"{i}.apk": b"" for i in range(300)})
    assert "more than an app has" in refusal(app)


def test_no_damage_gets_through(tmp_path: Path, cache: Path) -> None:
    """Whatever is overwritten or cut off: the library as it was, or a refusal."""
    library = random.Random(0).randbytes(3000)
    app = archive(tmp_path / "app.apk", {"a": b"x", f"lib/arm64-v8a/{JNI}": library, "z": b"y"})
    whole = app.read_bytes()
    generator = random.Random(1)
    outcomes = set()
    for number in range(300):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            changed[generator.randrange(4, len(changed))] = generator.randrange(256)
        if generator.random() < 0.2:
            del changed[generator.randrange(8, len(changed)) :]
        damaged = tmp_path / f"{number}.apk"
        damaged.write_bytes(changed)
        try:
            path, _ = library_from_archive(damaged, ARM64)
        except RuntimeLibraryError as error:
            assert damaged.name in str(error)
            outcomes.add("refused")
        else:
            assert path.read_bytes() == library
            outcomes.add("taken")
    assert outcomes == {"refused", "taken"}


def test_the_library_is_recorded_as_any_other(tmp_path: Path, library: bytes) -> None:
    app = archive(tmp_path / "app.apk", {f"lib/arm64-v8a/{JNI}": library})
    found = runtime.for_device(ARM64, app)
    assert found.sha256 == hashlib.sha256(library).hexdigest()
    assert found.origin == f"lib/arm64-v8a/{JNI} in app.apk"
    assert found.path.is_absolute()
