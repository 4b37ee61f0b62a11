"""``pip install devdiff`` without extras: what needs no framework installs and runs without one.

A real environment is made of the checkout. The run of the digits classifier that its commands are
given comes from the whole devdiff of these tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import DATA, DIGITS, HELDOUT, ROOT, devdiff
from tests.support.kept_results import kept_in_place

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.network]

MOST_BYTES = 1_000_000_000
MOST_IMPORT_US = 100_000
FRAMEWORKS = ("tensorflow", "torch", "onnx", "onnxruntime", "keras", "onnx2tf", "ziglang")


@dataclass(frozen=True)
class Core:
    """An environment with devdiff's core in it, and a folder with a finished run beside it."""

    prefix: Path
    folder: Path

    def python(self, script: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.prefix / "bin/python", *flags, "-c", script)

    def devdiff(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self._run(self.prefix / "bin/devdiff", *arguments)

    def passes(self, *arguments: str | Path) -> str:
        """What a command prints that ends well."""
        done = self.devdiff(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        # Nothing of the environment of these tests may help.
        hidden = ("PYTHONPATH", "VIRTUAL_ENV", "DEVDIFF_EXPORT_CACHE")
        environment = {name: text for name, text in os.environ.items() if name not in hidden}
        environment["DEVDIFF_HISTORY"] = str(self.folder / "history.db")
        return subprocess.run(
            [*map(str, command)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def _pip(prefix: Path, *arguments: str) -> None:
    done = subprocess.run(
        [
            *(prefix / "bin/python", "-m", "pip", "install", "--disable-pip-version-check"),
            *("--quiet", "--constraint", "constraints.txt", *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _install(prefix: Path) -> None:
    venv.create(prefix, with_pip=True)
    _pip(prefix, ".")


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    with kept_in_place("core", ("pyproject.toml", "constraints.txt"), [], _install) as prefix:
        # Of an environment that was there already, all but this checkout's own code.
        _pip(prefix, "--no-deps", "--force-reinstall", ".")
        yield Core(prefix, _finished_run(tmp_path_factory))


def _finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    made = devdiff(
        *("export-and-test", DIGITS, *DATA, "--device", "none", "--out", "run"),
        cwd=folder,
        env={"DEVDIFF_HISTORY": str(folder / "history.db")},
    )
    assert made.returncode == 0, made.stderr
    return folder


def test_it_is_light(core: Core) -> None:
    size = sum(
        path.lstat().st_size
        for path in core.prefix.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    assert size < MOST_BYTES, f"{size / 1e6:.0f} MB"
    found = json.loads(
        core.python(
            "import importlib.util, json\n"
            f"print(json.dumps([n for n in {FRAMEWORKS} if importlib.util.find_spec(n)]))"
        ).stdout
    )
    assert found == []
    lines = core.python("import devdiff", "-X", "importtime").stderr.splitlines()
    (took,) = [line for line in lines if line.split("|")[-1].strip() == "devdiff"]
    assert int(took.split("|")[1]) <= MOST_IMPORT_US


def test_a_finished_run_is_reported_signed_and_verified(core: Core) -> None:
    formats = ("--html", "r.html", "--junit", "r.xml", "--markdown", "r.md", "--csv", "r.csv")
    core.passes("report", "run", *formats)
    for name in formats[1::2]:
        assert (core.folder / name).stat().st_size > 500
    core.passes("attest", "--new-key", "key.pem")
    core.passes("attest", "run", "--key", "key.pem", "--out", "statement.json")
    with zipfile.ZipFile(core.folder / "app.apk", "w") as app:
        app.write(core.folder / "run/artifacts/int8.tflite", "assets/model.tflite")
    assert "PASS" in core.passes("verify", "app.apk", "--report", "run")
    evidence = ("--attestation", "statement.json", "--public-key", "key.pub.pem")
    assert "PASS" in core.passes("verify", "app.apk", *evidence)


def test_earlier_runs_and_devices_are_listed(core: Core) -> None:
    assert "digits.onnx" in core.passes("history", "--plot", "history.svg")
    assert (core.folder / "history.svg").stat().st_size > 1000
    assert isinstance(json.loads(core.passes("devices", "--json")), list)
    # Nothing that the core always needs is missing, and what is absent is named with its extra.
    findings = core.passes("doctor")
    assert "tensorflow: pip install 'devdiff[export]'" in findings
    assert "torch: pip install 'devdiff[scan]'" in findings


def test_finished_artifacts_are_run_compared_and_checked(core: Core) -> None:
    shutil.copytree(core.folder / "run/artifacts", core.folder / "artifacts", dirs_exist_ok=True)
    data = ("--inputs", HELDOUT, "--preprocess", "scale=1/255")
    for name in ("float", "int8"):
        core.passes("run", f"artifacts/{name}.tflite", *data, "--out", f"outputs-{name}")
    done = core.devdiff("diff", "outputs-float", "outputs-int8", "--min-agreement", "0.95")
    assert done.returncode == 0, done.stdout + done.stderr
    (core.folder / "devdiff.toml").write_text(
        f"[defaults]\ninputs = {str(HELDOUT)!r}\npreprocess = 'scale=1/255'\ndevices = ['none']\n"
        "[models.digits]\nmodel = 'artifacts/int8.tflite'\nfloat = 'artifacts/float.tflite'\n"
    )
    core.passes("check", "--check-dir", "checked", "--junit", "check.xml")
    record = json.loads((core.folder / "checked/check.json").read_text())
    assert record["verdict"] == "pass"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("export", DIGITS, "--out", "exported"), "TensorFlow"),
        (
            ("export-and-test", DIGITS, *DATA, "--device", "none", "--out", "other"),
            "TensorFlow",
        ),
        (("run", DIGITS, "--out", "outputs"), "TensorFlow"),
        (("run", "run/artifacts/int8.tflite", "--on", "tensorflow", "--out", "o"), "tensorflow"),
        (("scan", DIGITS, *DATA, "--out", "scanned"), "PyTorch"),
    ],
)
def test_a_verb_that_needs_an_extra_names_it(
    core: Core, arguments: tuple[str | Path, ...], advice: str
) -> None:
    done = core.devdiff(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    extra = "scan" if arguments[0] == "scan" else "export"
    (line,) = [line for line in done.stderr.splitlines() if "pip install" in line]
    assert advice in line
    assert f"pip install 'devdiff[{extra}]'" in line
    assert "Traceback" not in done.stderr
    assert not (core.folder / "other").exists()
