"""What a message says: the file or option that is meant, and the next step."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.cli.main import main
from devdiff.device_runner.adb import devices
from devdiff.device_runner.errors import DeviceChoiceError
from devdiff.errors import RunDirectoryError, UsageError
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.recipe import Recipe
from devdiff.inputs import readers
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder.run_directory import open_run, read_json
from devdiff.report import load
from devdiff.system.atomic_file import whole_file
from tests.support.command import DIGITS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which no device is attached."""
    monkeypatch.setattr(devices, "attached", lambda environment: [])
    return {"ANDROID_ADB_SERVER_PORT": "9"}


def test_class_names_given_as_labels_are_sent_to_classes(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("zero\none\ntwo\n")
    with pytest.raises(UsageError, match=f"--classes {names}"):
        readers.read_labels(names, 3)
    (tmp_path / "typo.txt").write_text("0\n1\nl\n")
    with pytest.raises(UsageError, match="one class index a line"):
        readers.read_labels(tmp_path / "typo.txt", 3)
    (tmp_path / "numbers.txt").write_text("0\n1\n\n2\n")
    assert readers.read_labels(tmp_path / "numbers.txt", 3).tolist() == [0, 1, 2]


def test_what_is_no_text_is_named_with_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"\xff\xfe\x00\x80")
    for read, error, said in (
        (lambda: readers.read_labels(path, 3), UsageError, "one class index a line"),
        (lambda: read_json(path), RunDirectoryError, "not JSON, nor any other text"),
        (lambda: Recipe.read(path), CompressionError, "a recipe is a JSON file"),
    ):
        with pytest.raises(error) as raised:
            read()
        assert said in str(raised.value)
        assert str(path) in str(raised.value)
        assert "codec" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "resize=letterbox:224x320,pad=114,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225",
        "resize=28x28,crop=24x20,channels=BGR,layout=NCHW",
        "scale=0.017,mean=127.5,std=1e-07",
        "rate=16000,mono,length=16000,normalize",
        "",
    ],
)
def test_what_a_report_says_of_preprocessing_is_taken_again(text: str) -> None:
    steps = Preprocess.parse(text)
    kept = Preprocess.from_json(json.loads(json.dumps(steps.to_json())))
    assert Preprocess.parse(steps.describe()) == Preprocess.parse(kept.describe()) == steps
    assert "1/255" in steps.describe() or "1/255" not in text


def test_a_run_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(RunDirectoryError, match=f"{tmp_path / 'file'} is a file, not a folder"),
            open_run(path, "m", {}),
        ):
            pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_serial_from_the_environment_says_where_it_came_from(nobody: dict[str, str]) -> None:
    with pytest.raises(DeviceChoiceError, match="'gone', which ANDROID_SERIAL names"):
        devices.resolve(None, nobody | {"ANDROID_SERIAL": "gone"})
    with pytest.raises(DeviceChoiceError) as raised:
        devices.resolve("gone", nobody)
    assert "ANDROID_SERIAL" not in str(raised.value)


def test_a_missing_adb_is_told_where_a_device_is(
    nobody: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceChoiceError, match=r"adb is not installed \(apt-get install adb\)"):
        devices.resolve("R58M12345", nobody)
    assert "adb is not installed" in devices.none_attached(nobody)


def test_too_few_samples_are_blamed_on_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((300, 1, 28, 28), np.float32))
    words = ["scan", str(DIGITS), "--inputs", str(tmp_path / "x.npz"), "--samples", "6"]
    assert main(words) == 2
    assert "--samples 6 is too few for a scan" in capsys.readouterr().err


def test_a_folder_of_runs_names_the_runs_in_it(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        run = tmp_path / name
        run.mkdir()
        (run / "report.json").write_text("{}")
        os.utime(run / "report.json", (number, number))
    (tmp_path / "unfinished").mkdir()
    with pytest.raises(UsageError) as raised:
        load.locate(tmp_path)
    assert f"the latest is {tmp_path / 'second'}; finished ones in it: second, first" in str(
        raised.value
    )


def test_json_that_is_no_report_is_not_called_one_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"name": "x"}')
    with pytest.raises(UsageError, match="is not a report: it has no schema_version"):
        load.load(tmp_path / "other.json")


def test_a_test_that_did_not_finish_has_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text('{"request": {}, "fingerprint": "x"}')
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    said = capsys.readouterr().err
    assert "report.json does not exist: its run did not finish" in said
    assert "KeyError" not in said


def test_a_file_that_cannot_be_written_is_named_and_not_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError) as raised, whole_file(tmp_path / "none" / "junit.xml"):
        pass
    assert raised.value.filename == str(tmp_path / "none" / "junit.xml")
    # A folder stands where the file is to be.
    (tmp_path / "junit.xml").mkdir()
    with pytest.raises(IsADirectoryError) as refused, whole_file(tmp_path / "junit.xml") as stream:
        stream.write("x")
    assert refused.value.filename == str(tmp_path / "junit.xml")
    assert [one.name for one in tmp_path.iterdir()] == ["junit.xml"]

    # What else goes wrong meanwhile is another file's.
    def elsewhere() -> Any:
        with whole_file(tmp_path / "good.xml"):
            (tmp_path / "missing").read_text()

    with pytest.raises(FileNotFoundError) as lost:
        elsewhere()
    assert str(lost.value.filename) == str(tmp_path / "missing")
