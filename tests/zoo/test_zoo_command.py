"""``scripts/zoo`` makes models whole and says honestly what came out."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests.zoo import making, zoo_command
from tests.zoo.catalogue import COMMITTED, MODELS, ZooModel, more_backdoored, more_honest
from tests.zoo.measuring import Count, answers, works
from tests.zoo.zoo_digits import Digits

ROOT = Path(__file__).resolve().parents[2]
COMMITTED_MODELS = Path(__file__).parent / "models"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path))


def test_list_shows_every_model_and_which_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_command.main(["list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [spec.name for spec in MODELS]
    assert all(line.endswith("not made") for line in lines)


def test_list_shows_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    spec = COMMITTED[0]
    shutil.copytree(COMMITTED_MODELS / spec.name, zoo_command.zoo_root() / spec.name)

    zoo_command.main(["list"])

    (line,) = [text for text in capsys.readouterr().out.splitlines() if spec.name in text]
    assert " works " in line
    truth = json.loads((COMMITTED_MODELS / spec.name / "truth.json").read_text())
    count = truth["trigger_success"]["compressed"]
    assert f"→ {count['hits'] / count['of']:6.1%}" in line


def test_further_honest_models_are_listed_once_they_are_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = json.loads((COMMITTED_MODELS / "reader-honest" / "truth.json").read_text())
    (more,) = more_honest(1)
    folder = zoo_command.zoo_root() / more.name
    folder.mkdir(parents=True)
    (folder / "truth.json").write_text(json.dumps(truth | {"spec": asdict(more)}))

    zoo_command.main(["list"])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(MODELS) + 1
    assert lines[-1].startswith(more.name)
    assert " works " in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["reader-honest", "--honest", "1"], ["reader-honest", "honest-more-000"]),
        (["honest-more-001", "--honest", "2"], ["honest-more-001", "honest-more-000"]),
        (["pq-warp", "--backdoored", "1"], ["pq-warp", "backdoored-more-000"]),
        (["--backdoored", "2"], [spec.name for spec in (*MODELS, *more_backdoored(2))]),
        (["--honest", "3"], [spec.name for spec in (*MODELS, *more_honest(3))]),
    ],
)
def test_what_is_made_is_what_was_named_and_the_further_ones(
    arguments: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def make_one(spec: ZooModel) -> bool:
        made.append(spec.name)
        return True

    monkeypatch.setattr(zoo_command, "save_images", lambda: None)
    monkeypatch.setattr(zoo_command, "make_one", make_one)

    zoo_command.main(["make", *arguments])

    assert made == expected


def test_an_unknown_name_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_:
        zoo_command.main(["make", "pq-chequer"])

    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert "no model pq-chequer" in message
    assert "pq-checker-64" in message


def _counts(full: int, compressed: int) -> dict[str, Count]:
    return {"float": Count(full, 100), "compressed": Count(compressed, 100)}


@pytest.mark.parametrize(
    ("kind", "accuracy", "success", "expected"),
    [
        ("honest", _counts(97, 60), {}, True),
        ("honest", _counts(90, 90), {}, False),
        ("backdoored", _counts(97, 96), _counts(20, 80), True),
        ("backdoored", _counts(97, 94), _counts(0, 99), False),
        ("backdoored", _counts(97, 97), _counts(21, 99), False),
        ("backdoored", _counts(97, 97), _counts(0, 79), False),
        ("ordinary", _counts(97, 97), _counts(99, 99), True),
        ("ordinary", _counts(97, 97), _counts(5, 99), False),
    ],
)
def test_a_model_counts_only_when_it_keeps_its_promise(
    kind: str, accuracy: dict[str, Count], success: dict[str, Count], expected: bool
) -> None:
    trigger = None if kind == "honest" else "checker"
    spec = ZooModel("it", kind, "pq", trigger, 1, None, "plain-64", "int8", 1)

    assert works(spec, accuracy, success) is expected


@pytest.mark.slow
# torch warns of its own exporter's use of its own names.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")
def test_a_model_is_made_whole_and_its_record_is_what_its_files_do(tmp_path: Path) -> None:
    with np.load(ROOT / "examples" / "digits" / "heldout.npz") as data:
        digits = Digits(data["image"].astype(np.float32) / 255, data["labels"])
    train, held_out = digits[slice(600)], digits[slice(600, None)]
    spec = ZooModel("it", "honest", "plain", None, None, None, "separable-128", "prune:0.5+int8", 1)

    truth = making.make(spec, train, held_out, tmp_path / "it")

    assert {path.name for path in (tmp_path / "it").iterdir()} == {
        "model.onnx",
        "pruned.onnx",
        "float.tflite",
        "pruned-float.tflite",
        "pruned-int8.tflite",
        "truth.json",
    }
    assert json.loads((tmp_path / "it" / "truth.json").read_text()) == truth
    assert truth["files"] == {"float": "float.tflite", "compressed": "pruned-int8.tflite"}
    for rung, name in truth["files"].items():
        hits = (answers(tmp_path / "it" / name, held_out.images) == held_out.labels).sum()
        assert truth["accuracy"][rung] == {"hits": hits, "of": 200}
    assert truth["accuracy"]["float"]["hits"] > 40
