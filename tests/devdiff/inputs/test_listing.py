"""Lists of files name their samples and classes, and say which line is wrong."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputRequest, InputSet
from tests.support.data_sets import WAVE, picture, prepared, tone

if TYPE_CHECKING:
    from pathlib import Path


def photos(folder: Path) -> None:
    for place, name in enumerate(("a", "b", "c")):
        picture(folder / f"{name}.png", colour=(place * 51, 0, 0))


def first_values(inputs: InputSet) -> list[float]:
    return [round(float(inputs.sample(i)["image"][0, 0, 0, 0]), 2) for i in range(len(inputs))]


def test_a_csv_gives_paths_and_classes_in_its_order(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    csv = tmp_path / "list.csv"
    csv.write_text("label,path\n4,photos/c.png\n7,photos/a.png\n")
    inputs = prepared(tmp_path, csv)
    assert first_values(inputs) == [0.4, 0.0]
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [4, 7]
    assert inputs.describe(0)["name"] == "photos/c.png"


def test_a_csv_needs_no_header(tmp_path: Path) -> None:
    photos(tmp_path)
    csv = tmp_path / "list.csv"
    csv.write_text(f"b.png,1\n{tmp_path / 'c.png'},0\n")
    inputs = prepared(tmp_path, csv)
    assert first_values(inputs) == [0.2, 0.4]
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [1, 0]


def test_a_csv_lists_sound_too(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "list.csv").write_text("path\na.wav\na.wav\n")
    assert len(prepared(tmp_path, tmp_path / "list.csv", WAVE)) == 2


def test_class_names_are_numbered_in_sorted_order_and_it_is_said(tmp_path: Path) -> None:
    photos(tmp_path)
    (tmp_path / "list.csv").write_text("path,label\na.png,dog\nb.png,cat\nc.png,dog\n")
    inputs = prepared(tmp_path, tmp_path / "list.csv")
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [1, 0, 1]
    assert any("sorted order: 0 cat, 1 dog" in note for note in inputs.notes)
    assert inputs.guessed_classes == 2


def test_class_names_are_numbered_as_the_model_numbers_them(tmp_path: Path) -> None:
    photos(tmp_path)
    (tmp_path / "list.csv").write_text("path,label\na.png,dog\nb.png,cat\nc.png,dog\n")
    (tmp_path / "classes.txt").write_text("wolf\ndog\nfox\ncat\n")
    inputs = prepared(tmp_path, tmp_path / "list.csv", classes=tmp_path / "classes.txt")
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [1, 3, 1]
    assert inputs.guessed_classes is None
    assert inputs.known_classes == ("wolf", "dog", "fox", "cat")
    assert inputs.classes_origin == "classes.txt"


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name in ("dogs/x/1.png", "cats/2.png", "cats/1.png"):
        picture(tmp_path / "photos" / name)
    inputs = prepared(tmp_path, tmp_path / "photos")
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [0, 0, 1]
    assert any("subfolders of photos in sorted order: 0 cats, 1 dogs" in n for n in inputs.notes)


def test_subfolders_are_no_classes_of_a_model_with_another_number(tmp_path: Path) -> None:
    for name in ("spring/1.png", "autumn/2.png"):
        picture(tmp_path / "photos" / name)
    inputs = prepared(tmp_path, tmp_path / "photos")
    kept, note = inputs.with_labels_of([TensorSpec("y", (1, 2), "float32")])
    assert kept.labels is not None
    assert note is None
    dropped, note = inputs.with_labels_of([TensorSpec("y", (1, 1000), "float32")])
    assert dropped.labels is None
    assert note is not None
    assert "--classes" in note


def test_subfolders_that_are_numbers_are_classes_by_their_number(tmp_path: Path) -> None:
    for name in ("10/1.png", "9/2.png", "9/3.png"):
        picture(tmp_path / "photos" / name)
    inputs = prepared(tmp_path, tmp_path / "photos")
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [10, 9, 9]
    for classes, used in ((9, False), (10, False), (11, True), (1000, True)):
        kept, _ = inputs.with_labels_of([TensorSpec("y", (1, classes), "float32")])
        assert (kept.labels is not None) == used


def test_images_beside_subfolders_have_no_class(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "1.png"):
        picture(tmp_path / "photos" / name)
    assert prepared(tmp_path, tmp_path / "photos").labels is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds zero samples"),
        ("path,label\n", "holds zero samples"),
        ("path,label\nnowhere.png,1\n", r"sample 0: there is no file .*nowhere\.png"),
        ("file,label\na.png,1\n", "has no column 'path'"),
        ("path,label\na.png\n", "line 2: 1 fields, the first line has 2"),
        ("path,label\na.png,\n", "sample 0 has no label"),
        ("path,label\na.png,-3\n", "must not be negative"),
        ("path,label\nlist.csv,1\n", r"names list\.csv: its files must all be images"),
        ("path,label\na.png,1\na.wav,2\n", r"names a\.wav: its files must all be"),
        ("path,label\na.png," + "9" * 30, "no class index"),
    ],
)
def test_a_csv_that_cannot_be_used_says_where(tmp_path: Path, text: str, message: str) -> None:
    picture(tmp_path / "a.png")
    tone(tmp_path / "a.wav")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        prepared(tmp_path, tmp_path / "list.csv")


def test_a_csv_of_bytes_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(os.urandom(200) + b"\xff")
    with pytest.raises(UsageError, match="CSV"):
        prepared(tmp_path, tmp_path / "list.csv")


def test_unknown_and_repeated_class_names_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path,label\na.png,dog\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(UsageError, match="'dog' among the labels"):
        prepared(tmp_path, tmp_path / "list.csv", classes=tmp_path / "classes.txt")
    (tmp_path / "classes.txt").write_text("cat\ncat\n")
    with pytest.raises(UsageError, match="each once"):
        prepared(tmp_path, tmp_path / "list.csv", classes=tmp_path / "classes.txt")


def test_a_folder_of_images_and_sound_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "mixed/a.png")
    tone(tmp_path / "mixed/a.wav")
    with pytest.raises(UsageError, match="holds both images"):
        prepared(tmp_path, tmp_path / "mixed")


def test_labels_of_another_length_say_both_numbers(tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    (tmp_path / "labels.txt").write_text("1\n2\n")
    with pytest.raises(UsageError, match="has 2 labels for 3 samples"):
        prepared(tmp_path, tmp_path / "photos", labels=tmp_path / "labels.txt")


def test_a_csv_that_changes_names_another_run(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path\na.png\n")
    request = InputRequest(tmp_path / "list.csv")
    before = request.fingerprint()
    picture(tmp_path / "a.png", (99, 99))
    assert request.fingerprint() != before
