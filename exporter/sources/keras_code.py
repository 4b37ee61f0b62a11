"""What a Keras file would run when it is loaded, found without loading it.

Keras has a safe mode of its own, which is used too; but legacy HDF5 files and the Keras 2 package
honour it only in part, and it does not look at the files the weights lie in.
"""

from __future__ import annotations

import builtins
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.sources.archive import check_zip, inflated, read_member
from devdiff.exporter.sources.formats import check_start

if TYPE_CHECKING:
    from pathlib import Path

_WEIGHTS: Final = "model.weights.h5"
_OWN: Final = re.compile(r"(tf_)?keras(\..*)?|builtins")
# Where a file may name a function rather than a class.
_FUNCTIONS: Final = re.compile(
    r"(tf_)?keras(\.src)?\.(activations|initializers|losses|metrics|regularizers|constraints|ops)"
    r"(\..*)?"
)
_LAMBDAS: Final = ("Lambda", "__lambda__")
# Layers that stand for a TensorFlow function by its name, and the names that are arithmetic.
_TF_FUNCTIONS: Final = re.compile(
    r"(math|nn|linalg|image|signal|__operators__|bitwise)\.[\w.]+|[a-z_]+"
)
_NO_ARITHMETIC: Final = re.compile(r"(py_|numpy_|load|import|function|print|init|recompute).*")


@dataclass(frozen=True, slots=True)
class KerasFile:
    """``major`` is the Keras version that wrote the file, ``config`` the model's description."""

    major: int
    config: Mapping[str, Any]


def read(path: Path) -> KerasFile:
    """The description in a ``.keras`` or ``.h5`` file, the rest of the file checked.

    Raises `SourceModelError` when it is no such file, damaged, or dangerous to open.
    """
    if path.suffix == ".keras":
        return _read_archive(path)
    check_start(path, b"\x89HDF\r\n\x1a\n", f"a Keras {path.suffix} file")
    attributes = _check_hdf5(path, path)
    if "model_config" not in attributes:
        weights = not {"layer_names", "layers", "vars"}.isdisjoint(attributes)
        problem = "holds weights without a model" if weights else "is no Keras model"
        raise SourceModelError(
            f"{path} {problem}: write the whole model with model.save({f'{path.stem}.keras'!r})"
        )
    return KerasFile(
        _major(attributes.get("keras_version", "2")), _json(path, attributes["model_config"])
    )


def _read_archive(path: Path) -> KerasFile:
    members = check_zip(path, "a .keras file")
    for name in ("config.json", "metadata.json", _WEIGHTS):
        if name not in members:
            raise SourceModelError(f"{path} is no Keras model: it has no {name}; save it again")
    with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as weights:
        _check_hdf5(weights, path)
    metadata = _json(path, read_member(path, "metadata.json"))
    config = _json(path, read_member(path, "config.json"))
    return KerasFile(_major(metadata.get("keras_version", "3")), config)


def _json(path: Path, text: str | bytes) -> Any:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceModelError(f"{path} is damaged: its description is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise SourceModelError(f"{path} is damaged: its description is no object")
    return data


def _major(version: Any) -> int:
    text = version.decode() if isinstance(version, bytes) else str(version)
    return 3 if text.startswith("3") else 2


def _check_hdf5(file: Any, path: Path) -> dict[str, Any]:
    """Names of the groups, and the attributes, of an HDF5 file whose data all lies in itself.

    Raises `SourceModelError` when it is damaged, points to other files, or claims far more data
    than it has bytes.
    """
    import h5py

    foreign: list[str] = []
    claimed = 0

    def look(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            foreign.append(name)

    def measure(name: str, item: Any) -> None:
        nonlocal claimed
        if isinstance(item, h5py.Dataset):
            claimed += int(item.nbytes)
            if item.external or item.is_virtual:
                foreign.append(name)

    try:
        with h5py.File(file, "r") as opened:
            opened.visititems_links(look)
            if not foreign:
                opened.visititems(measure)
            attributes = {**dict.fromkeys(opened, None), **opened.attrs}
    except Exception as error:  # HDF5 raises whatever damaged bytes lead it to
        raise SourceModelError(
            f"{path} is damaged or truncated ({path.stat().st_size} bytes): "
            f"{' '.join(str(error).split())[:200]}; save or copy it again"
        ) from error
    if foreign:
        raise SourceModelError(f"{path} takes {foreign[0]!r} from another file: save it as one")
    if inflated(claimed, path.stat().st_size):
        raise SourceModelError(
            f"{path} has {path.stat().st_size} bytes and claims {claimed} of weights: no model "
            "compresses like that"
        )
    return attributes


def forbidden(config: Mapping[str, Any]) -> str | None:
    """What in a model's description could run code of the file's choice; None when nothing can."""
    # What the model was trained with is not loaded; that of models within it would be.
    loaded = {key: value for key, value in config.items() if key != "compile_config"}
    return next(_suspicious(loaded), None)


def _suspicious(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _suspicious(item)
    if isinstance(value, Mapping):
        yield from _suspicious_object(value)
        for item in value.values():
            yield from _suspicious(item)


def _suspicious_object(value: Mapping[str, Any]) -> Iterator[str]:
    kind, module = value.get("class_name"), value.get("module")
    config = value.get("config")
    if kind in _LAMBDAS:
        name = config.get("name", "") if isinstance(config, Mapping) else ""
        yield f"a Lambda layer {name!r}" if name else "a Python lambda"
    if isinstance(kind, str) and isinstance(module, str):
        if not _OWN.fullmatch(module):
            yield f"{module}.{config if kind == 'function' else kind}"
        elif kind == "function":
            named = config if isinstance(config, str) else ""
            if module == "builtins" and hasattr(builtins, named):
                yield f"the function {named!r}"
            if module != "builtins" and not _FUNCTIONS.fullmatch(module):
                yield f"{module}.{named}"
    if kind == "TFOpLambda" and isinstance(config, Mapping):
        function = str(config.get("function"))
        if not _TF_FUNCTIONS.fullmatch(function) or _NO_ARITHMETIC.fullmatch(function):
            yield f"the TensorFlow function {function!r}"
