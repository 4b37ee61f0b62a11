"""Apps built by Android's own tools, with models that have really been tested."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness.build import runner_path
from devdiff.package import PackageCheck, Tested, verify_package
from devdiff.verdict import Verdict
from tests.support.command import DATA, devdiff
from tests.support.html_runs import FinishedRun, finished_run
from tests.support.packages import library, package

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

TOOLS = {"aapt": "aapt", "zipalign": "zipalign", "apksigner": "apksigner", "keytool": "apksigner"}
PASSWORD = "of-no-account"


@pytest.fixture(scope="module")
def tools() -> None:
    """Debian's build tools. Skips the tests, or fails them under CI, where they are missing."""
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        text = f"no build tools: as root, apt-get install {' '.join(missing)} (or scripts/setup)"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


def do(command: Sequence[str | Path], folder: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@dataclass(frozen=True)
class Shipped:
    """A model file and the run that tested it."""

    model: Path
    run: FinishedRun


@pytest.fixture(scope="module")
def shipped(passed_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The compressed digits, tested once more as the finished model that they are."""
    folder = tmp_path_factory.mktemp("shipped")
    model = folder / "int8.tflite"
    shutil.copy(passed_run.folder / "artifacts/int8.tflite", model)
    run = finished_run(folder, model, *DATA)
    assert run.report["verdict"] == "pass"
    return Shipped(model, run)


@pytest.fixture(scope="module")
def app(shipped: Shipped, tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed .apk with the model in three places: stored, compressed, and without a suffix."""
    folder = tmp_path_factory.mktemp("app")
    places = ("assets/model.tflite", "assets/packed.bin", "res/raw/reader")
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shipped.model, folder / place)
    (folder / "AndroidManifest.xml").write_text(
        '<manifest package="org.example.reader"><application/></manifest>'
    )
    command = ["aapt", "package", "-f", "-M", "AndroidManifest.xml", "-A", "assets", "-S", "res"]
    do([*command, "-0", "tflite", "-F", "raw.apk"], folder)
    with zipfile.ZipFile(folder / "raw.apk", "a") as raw:  # aapt would compress the library
        raw.writestr("lib/arm64-v8a/libtensorflowlite_jni.so", library())
    do(["zipalign", "-p", "4", "raw.apk", "app.apk"], folder)
    sign(folder / "app.apk")
    return folder / "app.apk"


def sign(app: Path) -> None:
    """Sign with a key of the moment, of the schemes 1 to 3."""
    name = ["-alias", "key", "-keystore", "store.p12", "-storepass", PASSWORD]
    kind = ["-keyalg", "EC", "-dname", "CN=devdiff", "-validity", "9999", "-storetype", "PKCS12"]
    do(["keytool", "-genkeypair", *name, *kind], app.parent)
    store = ["--ks", "store.p12", "--ks-pass", f"pass:{PASSWORD}", "--min-sdk-version", "23"]
    do(["apksigner", "sign", *store, app], app.parent)


def check(app: Path, run: FinishedRun) -> PackageCheck:
    return verify_package(app, Tested.from_reports([run.folder]))


def test_a_signed_app_whose_models_were_tested_passes(app: Path, shipped: Shipped) -> None:
    before = hashlib.sha256(app.read_bytes()).hexdigest()
    checked = check(app, shipped.run)
    assert checked.verdict is Verdict.PASS
    assert {model.place: model.compressed for model in checked.models} == {
        "assets/model.tflite": False,
        "assets/packed.bin": True,
        "res/raw/reader": True,
    }
    assert checked.kind == "apk"
    assert checked.sha256 == before
    said = do(["apksigner", "verify", "--verbose", "--min-sdk-version", "23", app], app.parent)
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in said


def test_offsets_are_where_androids_own_tools_put_the_files(app: Path, shipped: Shipped) -> None:
    checked = check(app, shipped.run)
    data = app.read_bytes()
    stored = checked.models[0]
    assert stored.offset == data.index(shipped.model.read_bytes())
    assert stored.offset % 4 == 0
    (native,) = checked.libraries
    assert native.offset is not None
    assert native.offset % 4096 == 0
    assert data[native.offset :][: native.bytes] == library()
    said = [remark.text for remark in checked.remarks if remark.topic == "pages"]
    assert bool(said) is (native.offset % 16384 != 0)


def test_the_report_of_a_failed_test_fails_the_app(app: Path, digits_run: FinishedRun) -> None:
    """The very same file; but the step that made it changed the model's answers."""
    assert digits_run.report["verdict"] == "fail"
    assert check(app, digits_run).verdict is Verdict.FAIL


def test_the_command_names_the_untested_model(
    app: Path, shipped: Shipped, digits_run: FinishedRun, tmp_path: Path
) -> None:
    (other,) = (digits_run.folder / "artifacts").glob("*float.tflite")
    (tmp_path / "assets").mkdir()
    shutil.copy(other, tmp_path / "assets/float.tflite")
    shutil.copy(app, tmp_path / "app.apk")
    do(["aapt", "add", "app.apk", "assets/float.tflite"], tmp_path)
    done = devdiff("verify", "app.apk", "--report", shipped.run.folder, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  app.apk: 1 of 4 models not tested: assets/float.tflite\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.apk", "assets"]


def test_a_bundle_with_an_asset_pack_passes(shipped: Shipped, tmp_path: Path) -> None:
    model = shipped.model.read_bytes()
    bundle = package(
        tmp_path / "app.aab",
        {
            "BundleConfig.pb": b"\x0a\x08\x12\x061.15.6",
            "base/manifest/AndroidManifest.xml": b"\x0a\x00",
            "base/assets/model.tflite": model,
            "base/lib/arm64-v8a/libapp.so": runner_path("android-arm64-v8a").read_bytes(),
            "models/manifest/AndroidManifest.xml": b"\x0a\x00",
            "models/assets/second.tflite": model,
        },
        deflated=["base/assets/model.tflite", "models/assets/second.tflite"],
    )
    checked = check(bundle, shipped.run)
    assert checked.verdict is Verdict.PASS
    assert (checked.kind, len(checked.models)) == ("aab", 2)
