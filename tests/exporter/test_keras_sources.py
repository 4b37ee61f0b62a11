"""Keras files and SavedModels are read for what they are, and run no code unless trusted."""

from __future__ import annotations

import io
import os
import random
import shutil
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from devdiff.exporter.errors import ConversionError, SourceModelError
from devdiff.exporter.recipe import FLOAT32, INT8
from devdiff.exporter.worker_client import ExportWorker
from tests.support.exporting import calibration_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_keras_keeps_names_layout_and_tables(reader: ExportWorker, keras_models: Path) -> None:
    source = reader.describe(keras_models / "lookup.keras", {})
    assert (source.format, source.runtime) == ("keras", "keras")
    assert [spec.describe() for spec in source.inputs] == ["ids int32[1,6]", "extra float32[1,4]"]
    assert [spec.describe() for spec in source.outputs] == [
        "left float32[1,3]",
        "right float32[1,2]",
    ]
    assert source.index_limits == {"ids": 11}


def test_a_file_of_keras_2_is_read_by_keras_2(reader: ExportWorker, keras_models: Path) -> None:
    source = reader.describe(keras_models / "older.h5", {})
    assert source.runtime == "tf-keras"
    assert source.inputs[0].describe() == "image float32[1,16,16,3]"


def test_dynamic_axes_ask_for_a_choice(reader: ExportWorker, keras_models: Path) -> None:
    path = keras_models / "any-size.keras"
    with pytest.raises(SourceModelError, match=r"image\[\?,\?,\?,3\] has dynamic axes"):
        reader.describe(path, {})
    assert reader.describe(path, {"image": (1, 12, 9, 3)}).inputs[0].shape == (1, 12, 9, 3)
    with pytest.raises(SourceModelError, match="--shape names input 'picture'"):
        reader.describe(path, {"picture": (1, 12, 9, 3)})


def test_a_loop_that_the_quantizer_dies_of_is_told_from_a_broken_machine(
    keras_models: Path, tmp_path: Path
) -> None:
    with ExportWorker(tmp_path / "log.txt") as worker:
        source = worker.describe(keras_models / "long.keras", {})
        calibration = calibration_files(source, tmp_path, samples=2)
        with pytest.raises(ConversionError, match=r"quantizer crashed.*--compress none"):
            worker.export(tmp_path, (FLOAT32, INT8), calibration, "test", 0)
    assert (tmp_path / "float.tflite").exists()
    assert not (tmp_path / "manifest.json").exists()


def test_every_file_of_a_folder_is_hashed(
    reader: ExportWorker, keras_models: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(keras_models / "exported", tmp_path / "copy")
    source, same = reader.describe(keras_models / "exported", {}), reader.describe(copy, {})
    assert source.sha256 == same.sha256
    assert {"saved_model.pb", "variables/variables.index"} < set(source.files)
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets/note.txt").write_text("other")
    assert reader.describe(copy, {}).sha256 != source.sha256


def test_several_signatures_ask_for_one(reader: ExportWorker, keras_models: Path) -> None:
    path = keras_models / "two"
    with pytest.raises(SourceModelError, match=r"decode, encode: choose one.*--signature"):
        reader.describe(path, {})
    with pytest.raises(SourceModelError, match="no signature 'serve'; it has decode, encode"):
        reader.describe(path, {}, "serve")
    assert reader.describe(path, {}, "encode").outputs[0].name == "code"
    # Loops hide the shape of what comes out of them.
    assert reader.describe(path, {}, "decode").outputs[0].describe() == "out float32[1,2]"
    with pytest.raises(SourceModelError, match="--signature is for SavedModels"):
        reader.describe(keras_models / "lookup.keras", {}, "encode")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none", r"has no signatures.*signatures=function"),
        ("counting", "keeps state from one call to the next .AssignAddVariableOp"),
        ("stateful.keras", "keeps state from one call to the next .AssignVariableOp"),
        ("dicing", "draws random numbers .RandomStandardNormal"),
        ("only.weights.h5", r"holds weights without a model.*model\.save"),
        ("plain.h5", "is no Keras model"),
        ("elsewhere.h5", "takes 'weights' from another file"),
        ("bomb.h5", "no model compresses like that"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    reader: ExportWorker, keras_models: Path, name: str, reason: str
) -> None:
    with pytest.raises(SourceModelError, match=reason):
        reader.describe(keras_models / name, {})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lambda.keras", "a Lambda layer 'twice'"),
        ("lambda.h5", "a Lambda layer 'twice'"),
        ("planted.keras", r"os\.system"),
        ("planted-class.keras", r"antigravity\.\w+"),
        ("writing", "WriteFile"),
    ],
)
def test_code_in_a_file_does_not_run(
    reader: ExportWorker, keras_models: Path, name: str, reason: str
) -> None:
    with pytest.raises(SourceModelError, match=f"{reason}.*--trust"):
        reader.describe(keras_models / name, {})
    assert not (keras_models / "planted").exists()


def test_no_phone_runs_what_writes_files_trusted_or_not(
    reader: ExportWorker, keras_models: Path
) -> None:
    with pytest.raises(SourceModelError, match=r"reaches for Python or files \(WriteFile\)"):
        reader.describe(keras_models / "writing", {}, trust=True)


def _zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("reason", "write"),
    [
        ("is empty", lambda path, whole: path.touch()),
        ("is not a .keras file", lambda path, whole: path.write_bytes(b"x" * 3000)),
        ("damaged or truncated", lambda path, whole: path.write_bytes(whole[: len(whole) // 2])),
        ("has no config.json", lambda path, whole: _zip(path, {"a": b"b"})),
        ("leads out of it", lambda path, whole: _zip(path, {"../config.json": b"{}"})),
        ("leads out of it", lambda path, whole: _zip(path, {"/config.json": b"{}"})),
        ("compresses like that", lambda path, whole: _zip(path, {"config.json": bytes(300 << 20)})),
        ("looks like an HDF5 file", lambda path, whole: path.write_bytes(b"\x89HDF\r\n\x1a\n" * 9)),
    ],
)  # fmt: skip
def test_what_is_no_keras_file(
    reader: ExportWorker,
    keras_models: Path,
    tmp_path: Path,
    reason: str,
    write: Callable[[Path, bytes], object],
) -> None:
    path = tmp_path / "m.keras"
    write(path, (keras_models / "convolutions.keras").read_bytes())
    with pytest.raises(SourceModelError, match=reason):
        reader.describe(path, {})


@pytest.mark.parametrize("name", ["convolutions.keras", "older.h5"])
def test_damaged_files_are_refused_or_read(
    reader: ExportWorker, keras_models: Path, tmp_path: Path, name: str
) -> None:
    whole = (keras_models / name).read_bytes()
    generator = random.Random(0)
    outcomes = Counter[str]()
    for number in range(24):
        data = bytearray(whole)
        if number % 2:
            del data[generator.randrange(len(data)) :]
        for _ in range(generator.randrange(1, 20)):
            if data:
                data[generator.randrange(len(data))] = generator.randrange(256)
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(data)
        try:
            reader.describe(path, {})
            outcomes["read"] += 1
        except SourceModelError as error:
            assert str(number) in str(error)
            outcomes["refused"] += 1
    # How many are read depends on how much of a file its checksums cover.
    assert outcomes["refused"] > 10


@pytest.mark.parametrize("name", ["convolutions.keras", "older.h5"])
def test_a_changed_weight_is_another_model_and_no_damage(
    reader: ExportWorker, keras_models: Path, tmp_path: Path, name: str
) -> None:
    whole, changed = keras_models / name, tmp_path / name
    if whole.suffix == ".h5":
        changed.write_bytes(with_a_changed_weight(whole.read_bytes()))
    else:
        with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(changed, "w") as other:
            for member in archive.namelist():
                data = archive.read(member)
                weights = member.endswith(".h5")
                other.writestr(member, with_a_changed_weight(data) if weights else data)
    first, second = (reader.describe(path, {}) for path in (whole, changed))
    assert second.sha256 != first.sha256
    assert (second.inputs, second.outputs) == (first.inputs, first.outputs)


def with_a_changed_weight(data: bytes) -> bytes:
    """An HDF5 file with one bit of its first large weight changed."""
    import h5py

    found: list[bytes] = []

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == "float32" and item.size > 16:
            found.append(item[()].tobytes())

    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(look)
    place = data.index(found[0])
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_what_is_no_saved_model(reader: ExportWorker, keras_models: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceModelError, match=r"no SavedModel: it has no saved_model\.pb"):
        reader.describe(tmp_path, {})
    definition = tmp_path / "saved_model.pb"
    with pytest.raises(SourceModelError, match="a part of a SavedModel: name its folder"):
        reader.describe(keras_models / "two/saved_model.pb", {})
    for data, reason in ((b"", "is empty"), (os.urandom(3000), "not a SavedModel|no graph")):
        definition.write_bytes(data)
        with pytest.raises(SourceModelError, match=reason):
            reader.describe(tmp_path, {})
    copy = shutil.copytree(keras_models / "two", tmp_path / "copy")
    (copy / "variables/variables.index").unlink()
    with pytest.raises(SourceModelError, match=r"lacks variables/variables\.index"):
        reader.describe(copy, {}, "encode")
