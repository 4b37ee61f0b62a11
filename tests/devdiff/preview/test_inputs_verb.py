"""``devdiff inputs``: ranges, classes and oddities of samples, with a model or without."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from devdiff.cli.main import main
from tests.support.command import DATA, DIGITS, HELDOUT
from tests.support.data_sets import gradient, tone

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_model_the_digits_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["inputs", *DATA]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("800 labelled samples of ")
    assert "nothing odd about the values" in shown.splitlines()[0]
    assert re.search(r"image +1×1?×?28×28.* +float32 +0 +1 ", shown)
    assert re.search(r"9 +92 +11.5 % +█+", shown)


def test_the_document_holds_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inputs", *DATA, "--limit", "40", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    with np.load(HELDOUT) as data:
        whole = data["image"] / 255
    assert document["model"] is None
    assert (document["inputs"]["samples"], document["inputs"]["available"]) == (40, 800)
    (tensor,) = document["tensors"]
    assert tensor["samples"] == 40
    assert tensor["values"]["mean"] == pytest.approx(whole.mean(), rel=0.1)
    assert sum(tensor["histogram"]) == 40 * 28 * 28
    assert sum(entry["samples"] for entry in document["classes"]) == 40


def test_what_is_odd_is_a_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(HELDOUT) as data:
        np.savez(here / "odd.npz", image=data["image"][:50].astype(np.float32), labels=[3] * 50)
    assert main(["inputs", "--inputs", "odd.npz", "--preprocess", "mean=0.5,std=0.5"]) == 0
    shown = capsys.readouterr().out
    assert "2 warnings" in shown.splitlines()[0]
    assert "warning: all 50 labels are class 3" in shown
    assert "scale=1/255 is missing" in shown


def test_photographs_are_shown_with_their_classes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, count in (("cat", 6), ("dog", 3)):
        for number in range(count):
            gradient(here / f"photos/{name}/{number}.png", 40 + number, 60)
    assert main(["inputs", "--inputs", "photos", "--show"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"0 cat +6 +66.7 %", shown)
    assert "no model and no size: shown as large as 0.png, 40x60" in shown
    assert "page: devdiff-inputs.html" in shown
    page = (here / "devdiff-inputs.html").read_text()
    assert page.count("<img src=") == 9
    assert "dog/2.png" in page
    assert "1 dog" in page
    assert "<script" not in page


def test_sound_is_drawn(here: Path) -> None:
    for number in range(4):
        tone(here / f"clips/{number}.wav", hz=300 + 100 * number)
    assert main(["inputs", "--inputs", "clips", "--show", "--out", "look.html"]) == 0
    assert (here / "look.html").read_text().count('<path d="M') == 4


def test_names_do_not_become_part_of_the_page(here: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    (here / "photos" / hostile).mkdir(parents=True)
    (here / "photos" / "b").mkdir()
    for folder in (hostile, "b"):
        Image.new("RGB", (20, 20), (9, 8, 7)).save(here / "photos" / folder / "a.png")
    assert main(["inputs", "--inputs", "photos", "--show"]) == 0
    assert "<img src=x" not in (here / "devdiff-inputs.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inputs"], "there is nothing to look at"),
        (["inputs", "--inputs", "loader.py:batches"], "name it, too (devdiff inputs MODEL"),
        (["inputs", "--inputs", "s.npz", "--trust"], "--trust is for a model"),
        (["inputs", "--inputs", "s.npz", "--out", "p.html"], "add --show"),
        (["inputs", "--inputs", "s.npz", "--show", "--out", "no/p.html"], "a folder that exists"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    here: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "loader.py").write_text("def batches(): yield []")
    np.savez(here / "s.npz", x=np.zeros((3, 4)))
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_is_asked_and_nothing_is_exported(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inputs", str(DIGITS), *DATA, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    answers = document["answers"]
    assert answers["verdict"] == "pass"
    assert answers["accuracy"]["trials"] == 200
    assert answers["accuracy"]["successes"] > 190
    assert document["model"] == "digits.onnx"
    assert list(here.iterdir()) == []


@pytest.mark.slow
def test_labels_that_do_not_suit_the_model_are_exit_code_5(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(HELDOUT) as data:
        labels = np.random.default_rng(0).permutation(data["labels"])
    np.save(here / "labels.npy", labels)
    words = ["inputs", str(DIGITS), *DATA, "--labels", "labels.npy", "--show"]
    assert main(words) == 5
    shown = capsys.readouterr().out
    assert "they do not suit the model" in shown.splitlines()[0]
    assert "no better than chance" in shown
    assert "check labels, class order, channel order and preprocessing" in shown
    assert "no better than chance" in (here / "devdiff-inputs.html").read_text()
