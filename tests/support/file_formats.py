"""Every kind of file that devdiff reads: whole ones to begin with, and how devdiff reads them.

A reader raises what devdiff would show as a message, and returns the words of a wrong pass where it
can tell one: something that a checksum or a signature covers was changed, and yet taken for good.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import wave
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from rich.console import Console

from devdiff.attestation import check, keys
from devdiff.attestation.sign import attest
from devdiff.device_runner import pack, results
from devdiff.device_runner.pack import Header, PackTensor
from devdiff.device_runner.runtimes import app_archive
from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.exporter.recipe import Recipe
from devdiff.exporter.tflite_file import inspect
from devdiff.exporter.tflite_graph import read_graph
from devdiff.gate.baseline_file import Baseline
from devdiff.gate.baseline_file import write as write_baseline
from devdiff.gate.config import Config
from devdiff.gate.summary import Facts
from devdiff.inputs import readers, sources
from devdiff.inputs.preprocess import NO_PREPROCESS, Preprocess
from devdiff.package import Tested, verify_package
from devdiff.report import junit, load, markdown, sarif, terminal
from devdiff.report.html import page
from devdiff.tasks import objects
from devdiff.verdict import Verdict
from tests.support.bare_reports import bare_report, typed, with_pair
from tests.support.pack_records import read_records
from tests.support.packages import MANIFEST, package, tflite
from tests.support.packages import report as tested_report

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = 6
# NumPy leaves it unannotated.
_write_array: Final[Any] = np.lib.format.write_array
_VALUES: Final = np.random.default_rng(0).normal(size=(SAMPLES, 1, 3, 8, 8)).astype(np.float32)
_ARRAY: Final = (TensorSpec("x", (1, 3, 8, 8), "float32"),)
_IMAGE: Final = (TensorSpec("x", (1, 3, 8, 8), "float32"),)
_SOUND: Final = (TensorSpec("x", (1, 400), "float32"),)
MODEL: Final = tflite(1)


@dataclass(frozen=True)
class Format:
    """``make`` writes whole files into a folder; ``read`` reads a changed one, whose whole original
    is its second argument. ``heavy`` ones import a framework. ``codes`` are the exit codes of a
    refusal: what comes from a device or a run of ours is no fault of the user's."""

    name: str
    make: Callable[[Path], Sequence[Path]]
    read: Callable[[Path, Path], str | None]
    heavy: bool = False
    codes: tuple[int, ...] = (1, 2)


def _npz(folder: Path) -> Sequence[Path]:
    arrays = {"x": _VALUES, "labels": np.arange(SAMPLES)}
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", **arrays)
    made = [folder / "stored.npz", folder / "deflated.npz"]
    for name, method in (("lzma", zipfile.ZIP_LZMA), ("bzip2", zipfile.ZIP_BZIP2)):
        made.append(folder / f"{name}.npz")
        with zipfile.ZipFile(made[-1], "w", method) as archive:
            for key, value in arrays.items():
                with archive.open(f"{key}.npy", "w") as stream:
                    _write_array(stream, value)
    return made


def _npy(folder: Path) -> Sequence[Path]:
    for version in ((1, 0), (2, 0), (3, 0)):
        with (folder / f"v{version[0]}.npy").open("wb") as stream:
            _write_array(stream, _VALUES, version)
    return [folder / f"v{number}.npy" for number in (1, 2, 3)]


def _consume(opened: sources.Opened) -> None:
    for rows in opened.rows.values():
        for chunk in itertools.islice(rows.chunks(), 100):
            assert len(chunk) <= rows.count


def _read_arrays(path: Path, whole: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _consume(sources.Opener(_ARRAY, NO_PREPROCESS, Path(scratch)).open(path))


def _labels(folder: Path) -> Sequence[Path]:
    (folder / "labels.txt").write_text("\n".join(map(str, range(SAMPLES))))
    np.save(folder / "labels.npy", np.arange(SAMPLES))
    return [folder / "labels.txt", folder / "labels.npy"]


def _read_labels(path: Path, whole: Path) -> None:
    readers.read_labels(path, SAMPLES)


def _wav(folder: Path) -> Sequence[Path]:
    from scipy.io import wavfile

    tone = np.sin(np.arange(400) / 9)
    wavfile.write(folder / "float.wav", 8000, tone.astype(np.float32))
    for width in (1, 2, 3, 4):
        with wave.open(str(folder / f"pcm{width}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(width)
            out.setframerate(8000)
            out.writeframes(bytes(range(200)) * 2 * width)
    return sorted(folder.glob("*.wav"))


def _read_wav(path: Path, whole: Path) -> None:
    _read_folder(path, _SOUND, NO_PREPROCESS)


def _read_folder(path: Path, specs: tuple[TensorSpec, ...], steps: Preprocess) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "data")
        folder.mkdir()
        (folder / path.name).symlink_to(path)
        _consume(sources.Opener(specs, steps, Path(scratch)).open(folder))


def _images(folder: Path) -> Sequence[Path]:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 10, 3), np.uint8)
    for ending in ("png", "jpg", "bmp", "ppm", "webp", "tif"):
        Image.fromarray(pixels).save(folder / f"a.{ending}")
    Image.fromarray(pixels).quantize(16).save(folder / "palette.png")
    return sorted(folder.iterdir())


def _read_image(path: Path, whole: Path) -> None:
    _read_folder(path, _IMAGE, Preprocess.parse("resize=8x8,scale=1/255"))


def _csv(folder: Path) -> Sequence[Path]:
    image = Image.new("RGB", (8, 8))
    for place in range(SAMPLES):
        image.save(folder / f"{place}.png")
    lines = [f"{place}.png,{place % 3}" for place in range(SAMPLES)]
    (folder / "list.csv").write_text("\n".join(["path,label", *lines]))
    return [folder / "list.csv"]


def _read_csv(path: Path, whole: Path) -> None:
    copy = whole.with_name(path.name)  # beside the files it names
    copy.write_bytes(path.read_bytes())
    with tempfile.TemporaryDirectory() as scratch:
        steps = Preprocess.parse("scale=1/255")
        _consume(sources.Opener(_IMAGE, steps, Path(scratch)).open(copy))


def _truth(folder: Path) -> Sequence[Path]:
    images = [{"id": place, "file_name": f"{place}.png"} for place in range(SAMPLES)]
    found = [
        {"image_id": place, "category_id": 7, "bbox": [1, 2.5, 3, 4], "iscrowd": 0}
        for place in range(SAMPLES)
    ]
    data = {"images": images, "categories": [{"id": 7, "name": "cat"}], "annotations": found}
    (folder / "coco.json").write_text(json.dumps(data))
    (folder / "yolo.txt").write_text("0 0.5 0.5 0.1 0.2\n3 0.25 0.125 0.5 1\n")
    np.savez(folder / "boxes.npz", boxes=np.ones((3, 4)), classes=np.arange(3))
    return [folder / name for name in ("coco.json", "yolo.txt", "boxes.npz")]


def _read_truth(path: Path, whole: Path) -> None:
    if path.suffix == ".json":
        objects._coco(path, (), SAMPLES, False)
    else:
        (objects._npz if path.suffix == ".npz" else objects._yolo)(path, (640, 480))


def _tflite(folder: Path) -> Sequence[Path]:
    from tests.support import one_operator

    options = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    case = one_operator.Case(
        "CONV_2D",
        (
            one_operator.Computed((1, 6, 6, 2)),
            one_operator.Constant((3, 3, 3, 2), axis=0),
            one_operator.Bias(3),
        ),
        ("Conv2DOptions", options),
    )
    precisions: tuple[one_operator.Precision, ...] = ("float32", "int8")
    for precision in precisions:
        (folder / precision).mkdir()
        one_operator.run(case, precision, folder / precision, samples=1)
    return [folder / "float32/float.tflite", folder / "int8/int8.tflite"]


def _read_tflite(path: Path, whole: Path) -> None:
    inspect(path)
    read_graph(path)


def _toml(folder: Path) -> Sequence[Path]:
    for name in ("m.onnx", "digits.onnx", "heldout.npz"):
        (folder / name).touch()
    example = (ROOT / "examples/digits/devdiff.toml").read_text()
    path = folder / "devdiff.toml"
    path.write_text(
        f'{example}\n[models.other]\nmodel = "m.onnx"\npreprocess = "scale=1/255"\n'
        'compressions = ["int8", "prune:0.5+int8"]\n[models.other.gates]\n'
        "rtol = 0.1\nmax-lsb = 1\n[models.other.scan]\nbudget = 900\n"
    )
    return [path]


def _read_toml(path: Path, whole: Path) -> None:
    copy = whole.with_name("changed.toml")  # beside the files it names
    copy.write_bytes(path.read_bytes())
    config = Config.load(copy)
    for entry in config.chosen(()):
        for cell in entry.cells():
            assert cell.name


def _recipe(folder: Path) -> Sequence[Path]:
    data = {"precision": "int8", "name": "mine", "per_channel": True, "keep_layers": ["conv"]}
    (folder / "recipe.json").write_text(json.dumps(data, indent=1))
    return [folder / "recipe.json"]


def _read_recipe(path: Path, whole: Path) -> None:
    Recipe.read(path)


def real_reports() -> list[Path]:
    """Reports of real runs that ``DEVDIFF_MUTATE_REPORTS`` names, for more to change."""
    named = os.environ.get("DEVDIFF_MUTATE_REPORTS", "")
    return [Path(name) for name in named.split(os.pathsep) if name]


def _reports(folder: Path) -> Sequence[Path]:
    (folder / "error.json").write_text(json.dumps(bare_report(), indent=2))
    rungs = {"source": b"onnx", "int8": MODEL, "device": MODEL}
    made = [tested_report(folder / f"{kind}.json", rungs, kind) for kind in ("fail", "pass")]
    return [folder / "error.json", *made, *real_reports()]


def _read_report(path: Path, whole: Path) -> str | None:
    report = load.load(path)
    out = Console(file=io.StringIO(), width=160)
    terminal.show(report, out, path)
    page.render(report)
    markdown.render(report)
    junit.render(report)
    with contextlib.suppress(UsageError):
        sarif.check(report)
        sarif.render(report)
    Facts.of(report)
    tested = Tested.from_report(report, path.name)
    passing = report.verdict is Verdict.PASS and any(
        m.verdict is Verdict.PASS for m in tested.models.values()
    )
    if passing and json.loads(whole.read_bytes())["verdict"] != "pass":
        return "a report that did not pass is read as one that did"
    return None


def _baselines(folder: Path) -> Sequence[Path]:
    facts = Facts.of(typed(with_pair(bare_report(), "pass")))
    made = [*(Facts.of(load.load(path)) for path in real_reports())]
    write_baseline(
        folder / "baseline.json",
        {"m / int8 / local": facts} | {f"real {place}": one for place, one in enumerate(made)},
    )
    return [folder / "baseline.json"]


def _read_baseline(path: Path, whole: Path) -> None:
    Baseline.load(path)


def _envelopes(folder: Path) -> Sequence[Path]:
    keys.make(folder / "key.pem")
    tested_report(folder / "report.json", {"source": b"onnx", "int8": MODEL, "device": MODEL})
    signed = attest(folder / "report.json", keys.signer(folder / "key.pem"), folder / "a.json")
    return [signed.path]


def _read_envelope(path: Path, whole: Path) -> str | None:
    check.read(path, whole.with_name("key.pub.pem"))
    if json.loads(path.read_bytes()) != json.loads(whole.read_bytes()):
        return "a statement that was changed is taken for the signed one"
    return None


def _apks(folder: Path) -> Sequence[Path]:
    from tests.support.packages import JNI, library

    files = MANIFEST | {"assets/a.tflite": MODEL, f"lib/arm64-v8a/{JNI}": library()}
    package(folder / "app.apk", files, deflated=["assets/a.tflite"], align=16384)
    package(folder / "stored.apk", files, align=16384)
    tested_report(folder / "report.json", {"source": b"onnx", "int8": MODEL, "device": MODEL})
    return [folder / "app.apk", folder / "stored.apk"]


def _read_apk(path: Path, whole: Path) -> str | None:
    tested = Tested.from_reports([whole.with_name("report.json")])
    found = verify_package(path, tested)
    if found.verdict is not Verdict.PASS:
        return None
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    # Whatever it is called now, the model has to be in there, and no other.
    models = [
        data for name, data in files.items() if name.endswith(".tflite") or data[4:8] == b"TFL3"
    ]
    if models and all(model == MODEL for model in models):
        return None
    return "an app with a changed model passes"


def _read_runtime(path: Path, whole: Path) -> None:
    app_archive.library_from_archive(path, "android-arm64-v8a")


def _packs(folder: Path) -> Sequence[Path]:
    tensors = (PackTensor("y", "float32", (3, 2), "y"), PackTensor("é", "int8", (4,), "z"))
    arrays: list[Array] = [np.ones((3, 2), np.float32), np.ones(4, np.int8)]
    header = pack.encode_header(Header({"runtime": "litert", "threads": 1}, tensors))
    records = [pack.encode_record(index, arrays) for index in range(SAMPLES)]
    (folder / "a.pack").write_bytes(b"".join([header, *records, pack.encode_done(SAMPLES)]))
    return [folder / "a.pack"]


def _read_pack(path: Path, whole: Path) -> str | None:
    results.last_good(path)
    found = results.ResultReader(path)
    for block in found.read_blocks():
        assert block is not None
    found.nanoseconds()
    with path.open("rb") as stream:
        header = pack.read_header(stream)
        records = list(read_records(stream, header.tensors))
    with whole.open("rb") as stream:
        original = list(read_records(stream, pack.read_header(stream).tensors))
    same = len(records) == len(original) and all(
        len(one.arrays) == len(other.arrays) and all(map(np.array_equal, one.arrays, other.arrays))
        for one, other in zip(records, original, strict=True)
    )
    return None if same else "a result that was changed is read as if it were whole"


def _onnx(folder: Path) -> Sequence[Path]:
    from tests.support import onnx_zoo

    return [
        onnx_zoo.two_by_two(folder / "two.onnx"),
        onnx_zoo.dense(folder / "dense.onnx"),
        onnx_zoo.embedding(folder / "embedding.onnx"),
    ]


def _zoo(module: str, *names: str) -> Callable[[Path], Sequence[Path]]:
    def make(folder: Path) -> Sequence[Path]:
        subprocess.run(
            [sys.executable, "-m", module, str(folder)],
            cwd=ROOT / "tests/exporter",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )
        return [folder / name for name in names]

    return make


def _read_source(path: Path, whole: Path) -> None:
    from devdiff.exporter.sources import reader

    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
        reader.read(path, {}, None, False, Path(scratch))


_KERAS: Final = ("convolutions.keras", "lookup.keras", "older.h5")
_TORCH: Final = ("convolutions.pt2", "lookup.pt2", "script.pt")
FORMATS: Final = (
    Format("npz", _npz, _read_arrays),
    Format("npy", _npy, _read_arrays),
    Format("labels", _labels, _read_labels),
    Format("wav", _wav, _read_wav),
    Format("image", _images, _read_image),
    Format("csv", _csv, _read_csv),
    Format("truth", _truth, _read_truth),
    Format("tflite", _tflite, _read_tflite),
    Format("devdiff.toml", _toml, _read_toml),
    Format("recipe", _recipe, _read_recipe),
    Format("report", _reports, _read_report),
    Format("baseline", _baselines, _read_baseline),
    Format("attestation", _envelopes, _read_envelope),
    Format("apk", _apks, _read_apk),
    Format("runtime apk", _apks, _read_runtime),
    Format("pack", _packs, _read_pack, codes=(3,)),
    Format("onnx", _onnx, _read_source, heavy=True),
    Format(
        "keras",
        _zoo("keras_zoo", "convolutions.keras", "lookup.keras", "older.h5"),
        _read_source,
        heavy=True,
    ),
    Format(
        "pt2",
        _zoo("torch_zoo", "convolutions.pt2", "lookup.pt2", "script.pt"),
        _read_source,
        heavy=True,
    ),
)
