"""PyTorch files are read for what they are, and run no code of theirs unless they are trusted."""

from __future__ import annotations

import random
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from devdiff.exporter.errors import ConversionError, SourceModelError
from devdiff.exporter.worker_client import ExportWorker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_programs_keep_the_names_of_their_module(reader: ExportWorker, torch_models: Path) -> None:
    source = reader.describe(torch_models / "lookup.pt2", {})
    assert (source.format, source.runtime) == ("exported-program", "torch")
    assert [spec.describe() for spec in source.inputs] == ["ids int64[1,6]", "extra float32[1,4]"]
    assert [spec.name for spec in source.outputs] == ["scores", "mean"]
    assert source.index_limits == {"ids": 11}
    assert set(source.files) == {"lookup.pt2"}


def test_a_free_batch_becomes_one(reader: ExportWorker, torch_models: Path) -> None:
    path = torch_models / "convolutions.pt2"
    assert reader.describe(path, {}).inputs[0].shape == (1, 3, 16, 16)
    assert reader.describe(path, {"image": (4, 3, 16, 16)}).inputs[0].shape == (4, 3, 16, 16)
    with pytest.raises(SourceModelError, match="--shape image:1,3,8,8 does not fit"):
        reader.describe(path, {"image": (1, 3, 8, 8)})


def test_torchscript_asks_for_shapes_and_finds_its_types(
    reader: ExportWorker, torch_models: Path
) -> None:
    path = torch_models / "script.pt"
    with pytest.raises(SourceModelError, match=r"which shape its input ids, extra has.*--shape"):
        reader.describe(path, {})
    source = reader.describe(path, {"ids": (1, 6), "extra": (1, 4)})
    assert [spec.describe() for spec in source.inputs] == ["ids int64[1,6]", "extra float32[1,4]"]
    assert [spec.name for spec in source.outputs] == ["output_0", "output_1"]
    with pytest.raises(SourceModelError, match="does not run with inputs"):
        reader.describe(path, {"ids": (1, 6), "extra": (1, 5)})


@pytest.mark.parametrize("name", ["weights.pth", "old.pth", "checkpoint.pt"])
def test_weights_without_a_model_are_named(
    reader: ExportWorker, torch_models: Path, name: str
) -> None:
    with pytest.raises(SourceModelError, match=r"holds weights without a model.*torch\.export"):
        reader.describe(torch_models / name, {})


def test_a_model_that_changes_itself_is_refused(reader: ExportWorker, torch_models: Path) -> None:
    with pytest.raises(SourceModelError, match="changes its own count with every call"):
        reader.describe(torch_models / "counting.pt2", {})
    with pytest.raises(SourceModelError, match="changes its own count with every call"):
        reader.describe(torch_models / "counting.pt", {"x": (1, 4)})


def test_what_onnx_lacks_is_named(reader: ExportWorker, torch_models: Path) -> None:
    with pytest.raises(ConversionError, match=r"cannot export sorting\.pt2.*linalg_eig"):
        reader.describe(torch_models / "sorting.pt2", {})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("module.pth", "is a pickled module"),
        ("planted.pt", "is a pickled module"),
        ("planted-old.pth", "is a pickled module"),
        ("planted-inputs.pt2", "a pickle in it holds more than tensors"),
        ("mapping.pt", "calls from_file"),
        ("planted-object.pt2", "a custom object, which is unpickled"),
        ("planted-size.pt2", "the expression"),
        ("planted-operator.pt2", r"the operator 'torch\.hub\.load'"),
        ("planted-name.pt2", "the text 'image=print"),
    ],
)
def test_code_in_a_file_does_not_run(
    reader: ExportWorker, torch_models: Path, name: str, reason: str
) -> None:
    with pytest.raises(SourceModelError, match=f"{reason}.*--trust"):
        reader.describe(torch_models / name, {})
    assert not (torch_models / "planted").exists()
    assert not (torch_models / "mapped").exists()


def test_trust_lets_it_run(torch_models: Path, tmp_path: Path) -> None:
    with ExportWorker(tmp_path / "log.txt") as worker:
        with pytest.raises(SourceModelError, match="holds a dict, not an"):
            worker.describe(torch_models / "planted.pt", {}, trust=True)
        assert (torch_models / "planted").exists()
        (torch_models / "planted").unlink()
        with pytest.raises(SourceModelError, match=r"needs the code of its module.*PYTHONPATH"):
            worker.describe(torch_models / "module.pth", {}, trust=True)


def test_a_newer_version_is_told(reader: ExportWorker, torch_models: Path) -> None:
    with pytest.raises(SourceModelError, match=r"PyTorch 2\.13.*archive version 99"):
        reader.describe(torch_models / "newer.pt2", {})


@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".pth"])
def test_what_is_no_torch_file(
    reader: ExportWorker, torch_models: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"m{suffix}"
    whole = (torch_models / "lookup.pt2").read_bytes()
    zipped = tmp_path / "other.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("notes.txt", "hello")
    contents = {
        "is empty": b"",
        "is not a PyTorch": random.Random(0).randbytes(3000),
        "damaged or truncated": whole[: len(whole) // 2],
        "looks like a finished .tflite": b"\x1c\0\0\0TFL3" + bytes(50),
        "nothing that torch.save wrote": zipped.read_bytes(),
    }
    for reason, data in contents.items():
        path.write_bytes(data)
        with pytest.raises(SourceModelError, match=reason):
            reader.describe(path, {})


def test_damaged_programs_are_refused_or_read(
    reader: ExportWorker, torch_models: Path, tmp_path: Path
) -> None:
    whole = (torch_models / "lookup.pt2").read_bytes()
    generator = random.Random(0)
    outcomes = Counter[str]()
    for number in range(40):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 20)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        path = tmp_path / f"{number}.pt2"
        path.write_bytes(data)
        try:
            reader.describe(path, {})
            outcomes["read"] += 1
        except (SourceModelError, ConversionError) as error:
            assert str(number) in str(error)
            outcomes["refused"] += 1
    # How many are read depends on how much of a file its checksums cover.
    assert outcomes["refused"] > 10


def test_a_changed_weight_is_another_program_and_no_damage(
    reader: ExportWorker, torch_models: Path, tmp_path: Path
) -> None:
    whole, changed = torch_models / "lookup.pt2", tmp_path / "lookup.pt2"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(changed, "w") as other:
        names = [name for name in archive.namelist() if "/weights/weight_" in name]
        for member in archive.namelist():
            data = archive.read(member)
            if member == names[0]:
                data = bytes([data[0] ^ 1]) + data[1:]
            other.writestr(member, data)
    first, second = (reader.describe(path, {}) for path in (whole, changed))
    assert second.sha256 != first.sha256
    assert (second.inputs, second.outputs) == (first.inputs, first.outputs)
