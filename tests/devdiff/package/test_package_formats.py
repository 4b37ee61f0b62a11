"""Models that are no .tflite files are seen, too, by their content first: nobody tested them."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
import random
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from devdiff.device_runner.errors import ArchiveError
from devdiff.errors import UsageError
from devdiff.package import PackageCheck, Tested, verify_package
from devdiff.package.formats import HEAD
from devdiff.package.formats import form_of as form_of_content
from devdiff.verdict import Verdict
from tests.support.app_archives import packed
from tests.support.packages import MANIFEST, known, library, package, sha256, tflite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MODEL, OTHER = tflite(1), tflite(2)
NOISE = random.Random(0).randbytes(400)


def onnx_model(**changes: str) -> bytes:
    shape = [1, 3]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    made: bytes = helper.make_model(graph, **changes).SerializeToString()
    return made


@pytest.fixture(scope="session")
def ort(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What ONNX Runtime itself writes for phones."""
    import onnxruntime

    file = tmp_path_factory.mktemp("ort") / "model.ort"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(file)
    options.add_session_config_entry("session.save_model_format", "ORT")
    model = onnx.load_from_string(onnx_model())
    model.ir_version, model.opset_import[0].version = 8, 17
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return file.read_bytes()


def torch_models() -> list[Path]:
    """Models for phones that come with PyTorch: zip archives, and flatbuffers."""
    found = importlib.util.find_spec("torch")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "bin/upgrader_models"
    return [*sorted(folder.glob("*.ptl"))[:2], *sorted(folder.glob("*.ptl.ff"))[:1]]


def checked(tmp_path: Path, entries: dict[str, bytes], allow: Sequence[str] = ()) -> PackageCheck:
    """An app with these files and the one model that was tested."""
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite": MODEL} | entries)
    return verify_package(app, known(MODEL), allow=allow)


def form_of(tmp_path: Path, name: str, data: bytes) -> str | None:
    """What the file is taken for; it must keep the app from passing."""
    check = checked(tmp_path, {name: data})
    found = next((model for model in check.models if model.place == name), None)
    if found is None:
        assert check.verdict is Verdict.PASS
        return None
    assert check.verdict is Verdict.FAIL
    assert found.untested
    assert "--allow" in found.note
    return found.form


@pytest.mark.parametrize("name", ["assets/model.onnx", "assets/data.bin", "res/raw/a1"])
def test_an_onnx_model_is_seen_by_its_fields(tmp_path: Path, name: str) -> None:
    assert form_of(tmp_path, name, onnx_model()) == "onnx"
    check = checked(tmp_path, {name: onnx_model(producer_name="pytorch", doc_string="d" * 900)})
    assert [model.form for model in check.models if model.place == name] == ["onnx"]


def test_the_fields_of_an_onnx_model_may_come_in_any_order(tmp_path: Path) -> None:
    whole = onnx_model(producer_name="p")
    assert whole[0] == 0x08
    assert form_of(tmp_path, "assets/d", whole[2:] + whole[:2]) == "onnx"


@pytest.mark.parametrize(
    "data",
    [
        onnx_model()[:-1],
        onnx_model() + b"\x00",
        b'"quoted text, as in a file of strings"\n',
        b"(c) 2026\n",
        b"\x08\x07\x12\x03abc",
        onnx.load_from_string(onnx_model()).graph.SerializeToString(),
        b"",
    ],
)
def test_what_is_no_onnx_model_is_passed_by(tmp_path: Path, data: bytes) -> None:
    assert form_of(tmp_path, "assets/data", data) is None


def test_an_ort_model_is_seen_under_any_name(tmp_path: Path, ort: bytes) -> None:
    assert form_of(tmp_path, "assets/data", ort) == "ort"


@pytest.mark.parametrize("model", torch_models(), ids=lambda path: path.suffixes[-1])
def test_a_pytorch_model_for_phones_is_seen(tmp_path: Path, model: Path) -> None:
    assert form_of(tmp_path, "assets/data", model.read_bytes()) == "pytorch"


@pytest.mark.parametrize("name", ["pack/version", "pack/data/tile.bin", "pack/code/main.js"])
def test_an_archive_with_such_names_is_looked_into(tmp_path: Path, name: str) -> None:
    check = checked(tmp_path, {"assets/data": packed({name: b"of ours", "deep/m": OTHER})})
    assert [model.place for model in check.models if model.untested] == ["deep/m in assets/data"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_that_torch_saves_today_is_seen(tmp_path: Path) -> None:
    """It is a 64-bit zip archive, of the kind that is refused as a package."""
    import torch

    layer = torch.nn.Linear(2, 2)
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    torch.jit.save(torch.jit.trace(layer, torch.zeros(1, 2)), tmp_path / "script.pt")
    program = torch.export.export(layer, (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "program.pt2")
    for file in ("weights.pt", "script.pt", "program.pt2"):
        data = (tmp_path / file).read_bytes()
        assert form_of(tmp_path, "assets/data", data) == "pytorch"
        with zipfile.ZipFile(tmp_path / file) as archive:
            again = packed({name: archive.read(name) for name in archive.namelist()})
        assert form_of(tmp_path, "assets/data", again) == "pytorch"


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("executorch", b"\x30\0\0\0ET12eh00" + NOISE),
        ("executorch", b"\x30\0\0\0FT01" + NOISE),
        ("litertlm", b"LITERTLM" + NOISE),
        ("gguf", b"GGUF\3\0\0\0" + NOISE),
        ("ggml", b"lmgg" + NOISE),
        ("mindspore", b"\x20\0\0\0MSL2" + NOISE),
        ("ncnn", b"7767517\n75 83\nInput data 0 1 data\n"),
        ("ncnn", b"\xdd\x85\x76\0" + NOISE),
        ("ncnn", b"\x47\x6b\x30\x01" + NOISE),
        ("snpe", packed({"model": NOISE, "dlc.metadata": b"x"})),
    ],
)
def test_other_kinds_are_seen_by_their_marks(tmp_path: Path, form: str, data: bytes) -> None:
    assert form_of(tmp_path, "assets/data", data) == form


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("mnn", "assets/face.mnn"),
        ("tnn", "assets/face.tnnmodel"),
        ("unknown", "assets/face.onnx"),
        ("unknown", "assets/face.ORT"),
        ("unknown", "assets/face.task"),
        ("unknown", "assets/face.tflite.zst"),
        ("unknown", "assets/face.onnx.enc"),
    ],
)
def test_what_is_named_like_a_model_and_not_known_cannot_pass(
    tmp_path: Path, form: str, name: str
) -> None:
    assert form_of(tmp_path, name, NOISE) == form


def test_weights_of_ncnn_are_known_by_the_file_beside_them(tmp_path: Path) -> None:
    both = {"assets/face.bin": b"\0\0\0\0" + NOISE, "assets/face.param": b"7767517\n"}
    check = checked(tmp_path, both | {"assets/other.bin": NOISE})
    assert {model.place for model in check.models if model.form == "ncnn"} == set(both)
    assert len(check.models) == 3


def test_a_bundle_is_not_a_model_beside_those_in_it(tmp_path: Path) -> None:
    check = checked(tmp_path, {"assets/vision.task": packed({"detector.tflite": MODEL})})
    assert check.verdict is Verdict.PASS
    assert len(check.models) == 2


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("how", list(PACKED))
def test_a_compressed_model_is_the_one_that_it_unpacks_to(tmp_path: Path, how: str) -> None:
    check = checked(tmp_path, {"assets/data": PACKED[how](MODEL)})
    assert check.verdict is Verdict.PASS
    assert [model.packings for model in check.models] == [(how,), ()]
    assert form_of(tmp_path, "assets/d", PACKED[how](onnx_model())) == "onnx"
    assert form_of(tmp_path, "assets/d", gzip.compress(PACKED[how](onnx_model()))) == "onnx"


@pytest.mark.parametrize("how", ["gzip", "xz", "bzip2"])
def test_every_member_of_a_compressed_file_counts(tmp_path: Path, how: str) -> None:
    """A reader of one member sees the tested model, one of both sees another."""
    pack = PACKED[how]
    check = checked(tmp_path, {"assets/data": pack(MODEL) + pack(b"and more")})
    assert check.verdict is Verdict.FAIL
    assert check.models[0].sha256 == sha256(MODEL + b"and more")
    halves = pack(MODEL[:900]) + pack(MODEL[900:])
    assert checked(tmp_path, {"assets/data": halves}).verdict is Verdict.PASS


@pytest.mark.parametrize("how", list(PACKED))
def test_bytes_behind_a_compressed_model_are_refused(tmp_path: Path, how: str) -> None:
    with pytest.raises(ArchiveError, match="behind the end of its compressed data"):
        checked(tmp_path, {"assets/data": PACKED[how](MODEL) + OTHER})
    padded = {"assets/data": PACKED[how](MODEL) + bytes(512)}
    assert checked(tmp_path, padded).verdict is Verdict.PASS


@pytest.mark.parametrize("how", list(PACKED))
def test_a_compressed_model_that_is_cut_short_is_refused(tmp_path: Path, how: str) -> None:
    with pytest.raises(ArchiveError, match="cut short"):
        checked(tmp_path, {"assets/m.tflite.gz": PACKED[how](MODEL)[:-9]})


def test_bytes_behind_a_model_make_it_another(tmp_path: Path) -> None:
    check = checked(tmp_path, {"assets/more": MODEL + b"\0"})
    assert check.verdict is Verdict.FAIL
    assert check.models[1].untested


@pytest.mark.parametrize(
    ("how", "data"),
    [
        ("Zstandard", b"\x28\xb5\x2f\xfd" + NOISE),
        ("7z", b"7z\xbc\xaf\x27\x1c" + NOISE),
        ("a zip archive under gzip", gzip.compress(packed({"m": OTHER}))),
        ("tar under xz", lzma.compress(bytes(257) + b"ustar" + NOISE)),
    ],
)
def test_what_is_not_looked_into_is_told(tmp_path: Path, how: str, data: bytes) -> None:
    check = checked(tmp_path, {"assets/data": data})
    (remark,) = [remark for remark in check.remarks if remark.topic == "unread"]
    assert remark.places == ("assets/data",)
    assert f"packed with {how}," in remark.text


@pytest.mark.parametrize(
    ("name", "runtime", "model"),
    [
        ("libonnxruntime.so", "ONNX Runtime", onnx_model()),
        ("libonnxruntime4j_jni.so", "ONNX Runtime", onnx_model()),
        ("libexecutorch.so", "ExecuTorch", b"\x30\0\0\0ET12" + NOISE),
        ("libpytorch_jni_lite.so", "PyTorch", b"\x30\0\0\0PTMF" + NOISE),
        ("libncnn.so", "ncnn", b"7767517\n"),
        ("libllama.so", "llama.cpp", b"GGUF" + NOISE),
        ("liblitertlm_jni.so", "LiteRT-LM", b"LITERTLM" + NOISE),
    ],
)
def test_a_runtime_of_other_models_is_named_and_missed_models_are_told(
    tmp_path: Path, name: str, runtime: str, model: bytes
) -> None:
    entries = {f"lib/arm64-v8a/{name}": library()}
    check = checked(tmp_path, entries)
    assert [found.other.name for found in check.libraries if found.other] == [runtime]
    told = [str(remark) for remark in check.remarks if runtime in remark.text]
    assert len(told) == 1
    assert "none was found" in told[0]
    assert name in told[0]
    check = checked(tmp_path, entries | {"assets/data": model})
    assert not [remark for remark in check.remarks if "none was found" in remark.text]


@pytest.mark.parametrize("name", ["libllamas.so", "libtorchlight.so", "libmnn.txt"])
def test_a_library_of_another_name_is_none(tmp_path: Path, name: str) -> None:
    (found,) = checked(tmp_path, {f"lib/arm64-v8a/{name}": library()}).libraries
    assert found.other is None


def test_a_model_may_be_allowed_by_place_or_by_hash(tmp_path: Path) -> None:
    model = onnx_model()
    entries = {"assets/vendor/a.onnx": model}
    for allow in ("assets/vendor/*", sha256(model), sha256(model).upper()):
        check = checked(tmp_path, entries, allow=[allow])
        assert check.verdict is Verdict.PASS
        assert "1 of 2 models were tested and passed, 1 allowed untested" in check.summary
        (remark,) = [one for one in check.remarks if one.topic == "allowed"]
        assert remark.places == ("assets/vendor/a.onnx",)
        assert not remark.fails
    check = checked(tmp_path, {"assets/vendor/a.onnx": onnx_model(producer_name="p")})
    assert check.verdict is Verdict.FAIL


def test_what_is_allowed_excuses_no_test_that_failed(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a": MODEL, "b": OTHER})
    tested = known(MODEL, verdict=Verdict.FAIL).joined(known(OTHER))
    assert verify_package(app, tested, allow=["*"]).verdict is Verdict.FAIL


def test_an_app_of_which_all_models_are_allowed_is_no_pass(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a.onnx": onnx_model()})
    with pytest.raises(UsageError, match="nothing to verify"):
        verify_package(app, Tested(), allow=["*"])


@pytest.mark.slow
def test_of_the_files_of_an_environment_only_models_are_taken_for_some() -> None:
    """Tens of thousands of files of every kind, a thousand and more ONNX models among them."""
    folder = Path(onnx.__file__).parents[1]
    found: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        form = form_of_content(head, lambda path=path: [path.read_bytes()])  # type: ignore[misc]
        named = path.suffix in (".onnx", ".ptl", ".ff", ".pt", ".pth", ".tflite", ".ort")
        assert form is None or named, path
        assert form is not None or path.suffix not in (".onnx", ".ptl", ".tflite"), path
        found[form or "none"] += 1
    assert found["onnx"] > 1000
    assert found["pytorch"] > 10
    assert found["none"] > 10_000
