"""How a model is made smaller on its way to the phone: as text, as a value, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

from exporter.errors import CompressionError

PruningMethod = Literal["prune", "channel-prune"]

_CHOICES: Final = (
    "there are int8, prune:RATE, channel-prune:RATE, either of these with +int8 behind "
    "(prune:0.5+int8), and none"
)


@dataclass(frozen=True, slots=True)
class Pruning:
    """Weights set to zero before the conversion.

    ``prune`` takes the ``rate`` of each layer's weights with the smallest magnitude,
    ``channel-prune`` the ``rate`` of each layer's output channels with the smallest L1 norm; see
    `exporter.prune`. ``rate`` lies between 0 and 1, both excluded.
    """

    method: PruningMethod
    rate: float

    def __str__(self) -> str:
        return f"{self.method}:{self.rate!r}"


@dataclass(frozen=True, slots=True)
class Compression:
    """Everything that is done to a float32 model before it ships: pruning, then quantization.

    ``int8`` is full-integer post-training quantization. The text form (`str`, `parse`) is that of
    the command line: ``int8``, ``prune:0.5``, ``channel-prune:0.3+int8``, ``none``.
    """

    pruning: Pruning | None = None
    int8: bool = True

    def __str__(self) -> str:
        steps = [str(self.pruning)] if self.pruning else []
        steps += ["int8"] if self.int8 else []
        return "+".join(steps) or "none"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The compression of that text. Raises `CompressionError` when it is not one."""
        if text == "none":
            return cls(int8=False)
        words = text.split("+")
        prunings = [word for word in words if word != "int8"]
        if "int8" in words[:-1]:
            better = "+".join([*filter(None, prunings), "int8"])
            raise CompressionError(
                f"--compress {text}: int8 stands once and last, since weights are pruned before "
                f"they are quantized: write {better}"
            )
        if len(prunings) > 1:
            raise CompressionError(f"--compress {text}: one pruning at a time; {_CHOICES}")
        return cls(_pruning(prunings[0], text) if prunings else None, words[-1] == "int8")


def _pruning(word: str, text: str) -> Pruning:
    method, _, rate = word.partition(":")
    if method not in get_args(PruningMethod):
        raise CompressionError(f"--compress {text}: no {word!r}; {_CHOICES}")
    try:
        share = float(rate)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise CompressionError(
            f"--compress {text}: the rate is the share that is set to zero, between 0 and 1, for "
            f"example {method}:0.5"
        )
    return Pruning("prune" if method == "prune" else "channel-prune", share)


INT8_ONLY: Final = Compression()
