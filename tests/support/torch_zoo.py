"""Small PyTorch models, each awkward in its own way; ``make`` writes all of them.

Run in a process of its own (``python -m tests.support.torch_zoo FOLDER``): PyTorch warns, and
imports slowly.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from devdiff.ladder.torch_export import write_program

if TYPE_CHECKING:
    from collections.abc import Callable


class Convolutions(nn.Module):  # type: ignore[misc]
    """``image`` [N, 3, 16, 16] to five scores, through a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        features = self.layers(image)
        return torch.softmax(self.head(features.mean((2, 3))), 1)


class Lookup(nn.Module):  # type: ignore[misc]
    """Integer ``ids`` [1, 6] below 11 and ``extra`` [1, 4]; two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, ids: Tensor, extra: Tensor) -> dict[str, Tensor]:
        mean = self.table(ids).mean(1)
        return {"scores": self.head(mean) + extra, "mean": mean}


class Pair(Lookup):
    """The same outputs by their order."""

    def forward(self, ids: Tensor, extra: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        found = super().forward(ids, extra)
        return found["scores"], found["mean"]


class Recurrent(nn.Module):  # type: ignore[misc]
    """``sequence`` [1, 5, 4] through an LSTM to two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, sequence: Tensor) -> Tensor:
        return self.head(self.lstm(sequence)[0][:, -1])


class Counting(nn.Module):  # type: ignore[misc]
    """Adds to a buffer of its own with every call."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(x[0])
        return x + self.count


class Mapping(nn.Module):  # type: ignore[misc]
    """Makes a file and takes it for a tensor."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file(self.path, shared=True, size=4, dtype=torch.float32)


class Sorting(nn.Module):  # type: ignore[misc]
    """Uses an operator that has no counterpart in ONNX."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x).real


class Planted:
    """Unpickles into a call that leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def make(folder: Path) -> None:
    """Write every model into ``folder``; ``planted`` there exists if one of them ran its code."""
    # As the module it is imported from later, and not as __main__.
    zoo: Any = importlib.import_module("torch_zoo")
    torch.manual_seed(0)
    convolutions, lookup = zoo.Convolutions(), zoo.Lookup().eval()
    # Statistics that are not those of a fresh batch norm.
    convolutions(torch.randn(16, 3, 16, 16) * 2 + 0.5)
    batch = torch.export.Dim("batch")
    image, ids, extra = torch.randn(2, 3, 16, 16), torch.arange(6)[None], torch.randn(1, 4)
    write_program(convolutions, [image], folder / "convolutions.pt2", ({0: batch},))
    assert convolutions.training
    convolutions.eval()
    write_program(lookup, [ids, extra], folder / "lookup.pt2")
    write_program(zoo.Recurrent(), [torch.randn(1, 5, 4)], folder / "recurrent.pt2")
    write_program(zoo.Counting(), [extra], folder / "counting.pt2")
    write_program(zoo.Sorting(), [torch.randn(3, 3)], folder / "sorting.pt2")
    torch.jit.trace(zoo.Pair().eval(), (ids, extra)).save(folder / "script.pt")
    torch.jit.trace(zoo.Counting(), extra, check_trace=False).save(folder / "counting.pt")
    mapped = torch.jit.trace(zoo.Mapping(str(folder / "mapped")), extra, check_trace=False)
    (folder / "mapped").unlink()
    mapped.save(folder / "mapping.pt")
    torch.save(lookup, folder / "module.pth")
    torch.save(lookup.state_dict(), folder / "weights.pth")
    torch.save(lookup.state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "model": lookup.state_dict()}, folder / "checkpoint.pt")
    planted = zoo.Planted(folder / "planted")
    torch.save({"model": planted}, folder / "planted.pt")
    (folder / "planted-old.pth").write_bytes(pickle.dumps(planted))
    _spoil(folder, "planted-inputs.pt2", "data/sample_inputs/model.pt", lambda _: _saved(planted))
    _spoil(
        folder, "planted-object.pt2", "data/constants/custom_obj_0", lambda _: pickle.dumps(planted)
    )
    code = f"__import__('pathlib').Path({str(folder / 'planted')!r}).touch()"
    for name, old, new in (
        ("planted-size.pt2", "Symbol('", f"{code}+Symbol('"),
        ("planted-operator.pt2", "torch.ops.aten.relu.default", "torch.hub.load"),
        ("planted-name.pt2", '"image"', '"image=print(1)"'),
    ):
        _spoil(folder, name, "models/model.json", _replacing(old, new))
    _spoil(folder, "newer.pt2", "archive_version", lambda _: b"99")


def _replacing(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert old.encode() in data
        return data.replace(old.encode(), new.encode())

    return change


def _saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save((value,), stream)
    return stream.getvalue()


def _spoil(folder: Path, name: str, member: str, change: Callable[[bytes], bytes]) -> None:
    """The first program under another name, with one member changed or added."""
    with (
        zipfile.ZipFile(folder / "convolutions.pt2") as whole,
        zipfile.ZipFile(folder / name, "w") as spoilt,
    ):
        seen = False
        for info in whole.infolist():
            data = whole.read(info)
            if info.filename.endswith(f"/{member}"):
                seen, data = True, change(data)
            spoilt.writestr(info.filename, data)
        if not seen:
            spoilt.writestr(f"convolutions/{member}", change(b""))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    make(Path(sys.argv[1]))
