"""How an artifact is quantized: as a name, as a value, as JSON."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from devdiff.exporter.errors import CompressionError
from devdiff.system import plain_json
from devdiff.system.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

Precision = Literal["float32", "int8", "int16x8", "dynamic", "float16"]
Quantizer = Literal["tflite", "ai-edge"]
PruningMethod = Literal["prune", "channel-prune"]

_SHOWN_CHARS: Final = 200
_CALIBRATED: Final = ("int8", "int16x8")


@dataclass(frozen=True, slots=True)
class Pruning:
    """Weights set to zero before the conversion.

    ``prune`` takes the ``rate`` of each layer's weights with the smallest magnitude,
    ``channel-prune`` the ``rate`` of each layer's output channels with the smallest L1 norm; see
    `devdiff.exporter.prune`. ``rate`` lies between 0 and 1, both excluded.
    """

    method: PruningMethod
    rate: float

    def __str__(self) -> str:
        return f"{self.method}:{self.rate!r}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an artifact is compressed.

    ``precision``: ``float32`` changes nothing; ``int8`` has int8 weights and activations,
    ``int16x8`` int8 weights and int16 activations, both with ranges from the calibration set;
    ``dynamic`` has int8 weights, and activations that the kernels quantize as they go; ``float16``
    stores weights in half precision. ``quantizer`` is what does it: the TensorFlow Lite converter
    or ai-edge-quantizer. ``float_io`` leaves inputs and outputs in float32 where ``precision``
    would make them integers. ``per_channel`` weights have a scale for each output channel.
    ``keep_layers`` (names of tensors in the float32 artifact that operators write) and
    ``keep_operators`` (CONV_2D, …) stay in float32. ``pruning`` is what was done to the source's
    weights before.

    Raises `CompressionError` when the quantizer cannot do what is asked for together.
    """

    name: str
    precision: Precision
    quantizer: Quantizer = "tflite"
    float_io: bool = False
    per_channel: bool = True
    keep_layers: tuple[str, ...] = ()
    keep_operators: tuple[str, ...] = ()
    pruning: Pruning | None = None

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise CompressionError(f"recipe {self.name}: {problem}")

    def _problem(self) -> str | None:
        keeps = bool(self.keep_layers or self.keep_operators)
        tflite = self.quantizer == "tflite"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", self.name):
            return "a name has letters, digits, dots, dashes and underscores, 61 at most"
        if self.float_io and not self.calibrated:
            return f"inputs and outputs of {self.precision} are float32 anyway: leave out float_io"
        if self.precision == "float16" and not tflite:
            return "float16 is made by the tflite quantizer: leave out quantizer"
        if not self.per_channel and not self.calibrated:
            return f"per_channel is for {' and '.join(_CALIBRATED)}, not for {self.precision}"
        if keeps and self.precision in ("float32", "float16"):
            return f"{self.precision} quantizes nothing that could be kept in float32"
        if keeps and tflite and self.precision != "int8":
            return "with tflite, layers are kept in float32 for int8 only: take quantizer ai-edge"
        return None

    @property
    def calibrated(self) -> bool:
        """Whether it needs a representative dataset."""
        return self.precision in _CALIBRATED

    @property
    def rung(self) -> str:
        """The name of the rung that its artifact stands on."""
        return "float" if self.precision == "float32" else self.precision

    @property
    def file_name(self) -> str:
        return f"{'pruned-' if self.pruning else ''}{self.rung}.tflite"

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The recipe that `to_json` wrote. Raises `CompressionError`, `KeyError`, `TypeError`."""
        pruning = data.get("pruning")
        fields = dict(data) | {
            "keep_layers": tuple(data["keep_layers"]),
            "keep_operators": tuple(data["keep_operators"]),
            "pruning": Pruning(**pruning) if pruning else None,
        }
        return cls(**fields)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe a user wrote into a JSON file; what is left out is the default.

        Its name is the file's unless it has one. Raises `CompressionError` when it is no recipe.
        """
        try:
            data = plain_json.parse(path.read_text())
        except UnicodeDecodeError as error:
            raise CompressionError(f"recipe {path} is no text: a recipe is a JSON file") from error
        except (ValueError, OSError) as error:
            raise CompressionError(f"recipe {path} cannot be read: {error}") from error
        if not isinstance(data, dict):
            raise CompressionError(f"recipe {path} is not a JSON object")
        known = {field.name for field in dataclasses.fields(cls)} - {"pruning"}
        for key, value in data.items():
            if key not in known:
                near = nearest(key, known)
                hint = f"did you mean {near}?" if near else f"there are {', '.join(_KEYS)}"
                raise CompressionError(f"recipe {path}: there is no {key!r}; {hint}")
            _check(path, key, value)
        if "precision" not in data:
            raise CompressionError(f"recipe {path} lacks precision, one of {_choices('precision')}")
        fields: dict[str, Any] = {"name": path.stem} | data
        return cls(**fields | {key: tuple(data[key]) for key in data if key in _LISTS})


_LISTS: Final = ("keep_layers", "keep_operators")
_KEYS: Final = tuple(f.name for f in dataclasses.fields(Recipe) if f.name != "pruning")
_CHOSEN: Final = {"precision": get_args(Precision)[1:], "quantizer": get_args(Quantizer)}


def _choices(key: str) -> str:
    return ", ".join(_CHOSEN[key])


def _check(path: Path, key: str, value: Any) -> None:
    if key in _CHOSEN:
        right, expected = value in _CHOSEN[key], f"one of {_choices(key)}"
    elif key in _LISTS:
        right = isinstance(value, list) and all(isinstance(name, str) for name in value)
        expected = "a list of names"
    elif key == "name":
        right, expected = isinstance(value, str), "text"
    else:
        right, expected = isinstance(value, bool), "true or false"
    if not right:
        shown = repr(value)
        if len(shown) > _SHOWN_CHARS:
            shown = f"{shown[:_SHOWN_CHARS]}…"
        raise CompressionError(f"recipe {path}: {key} is {shown}; it must be {expected}")


FLOAT32: Final = Recipe("float32", "float32")
INT8: Final = Recipe("int8", "int8")
BUILTIN: Final[Mapping[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        INT8,
        Recipe("int8-float-io", "int8", float_io=True),
        Recipe("int8-per-tensor", "int8", per_channel=False),
        Recipe("int16x8", "int16x8"),
        Recipe("dynamic", "dynamic"),
        Recipe("float16", "float16"),
        Recipe("ai-edge-int8", "int8", "ai-edge"),
        Recipe("ai-edge-int16x8", "int16x8", "ai-edge"),
        Recipe("ai-edge-dynamic", "dynamic", "ai-edge"),
    )
}


def parse(text: str) -> Recipe:
    """The recipe of that name, or of that JSON file. Raises `CompressionError`."""
    if text in BUILTIN:
        return BUILTIN[text]
    path = Path(text)
    if path.suffix != ".json":
        near = nearest(text, BUILTIN)
        hint = f"did you mean {near}? " if near else ""
        raise CompressionError(
            f"--recipe {text}: no such recipe; {hint}There are {', '.join(BUILTIN)}, or name a "
            "JSON file"
        )
    return Recipe.read(path)
