"""A wheel built after scripts/build_runners carries the runners, and an installation uses them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from devdiff.android_harness import build, ship
from devdiff.exporter.artifact import sha256_file

ROOT = Path(__file__).parents[2]


def test_all_runners_are_shipped_and_old_ones_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = {abi: build.runner_path(abi).read_bytes() for abi in build.TARGETS}
    monkeypatch.setattr(build, "PREBUILT", tmp_path / "prebuilt")
    old = [tmp_path / "prebuilt" / place for place in ("linux-x86_64/an-old-key", "amiga/key")]
    for folder in old:
        folder.mkdir(parents=True)
    shipped = list(ship.ship_runners())
    assert {path.parent.parent.name: path.read_bytes() for path in shipped} == built
    assert all(os.access(path, os.X_OK) for path in shipped)
    assert not any(folder.exists() for folder in old)
    assert [build.runner_path(abi) for abi in build.TARGETS] == shipped
    before = [path.stat().st_mtime_ns for path in shipped]
    assert [path.stat().st_mtime_ns for path in ship.ship_runners()] == before


@pytest.mark.slow
def test_a_wheel_has_the_runners_and_an_installation_finds_them(tmp_path: Path) -> None:
    """Built from a copy, installed into a folder, and used with a cache that cannot be written."""
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "prebuilt")
    shutil.copytree(ROOT / "devdiff", copy / "devdiff", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy)

    def python(*words: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shipped = python("-m", "devdiff.android_harness.ship", PYTHONPATH=str(copy))
    assert [line.split()[0] for line in shipped.splitlines()] == list(build.TARGETS)
    pip = ("-m", "pip", "--disable-pip-version-check", "--quiet")
    python(*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(copy))
    (wheel,) = tmp_path.glob("devdiff-*.whl")
    python("-m", "check_wheel_contents", str(wheel))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for abi in build.TARGETS:
        place = f"devdiff/android_harness/prebuilt/{abi}/{build.build_key(abi)}/{build.EXECUTABLE}"
        assert place in names
    assert "devdiff/android_harness/runner/main.c" in names
    assert "devdiff/android_harness/bionic/libc.h" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"devdiff"}

    installed = tmp_path / "installed"
    python(*pip, "install", "--no-deps", "--target", str(installed), str(wheel))
    (tmp_path / "file").write_text("in the way")
    code = (
        "from devdiff.android_harness.build import TARGETS, runner_path; import json; "
        "print(json.dumps({abi: str(runner_path(abi)) for abi in TARGETS}))"
    )
    said = python(
        *("-c", code), PYTHONPATH=str(installed), DEVDIFF_CACHE_DIR=str(tmp_path / "file")
    )
    found = {abi: Path(path) for abi, path in json.loads(said).items()}
    for abi, path in found.items():
        assert path.is_relative_to(installed)
        assert sha256_file(path) == sha256_file(build.runner_path(abi))
    about = subprocess.run([found["linux-x86_64"], "--about"], capture_output=True, check=True)
    assert json.loads(about.stdout)["ok"] is True
