"""A configuration file as plain values: found, read, and checked against its schema."""

from __future__ import annotations

import difflib
import grp
import importlib.resources
import json
import math
import os
import pwd
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import UsageError
from devdiff.system import plain_json
from devdiff.system.printable import shortened

if TYPE_CHECKING:
    from pathlib import Path

    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

CONFIG_NAME: Final = "devdiff.toml"
_PROJECT_NAME: Final = "pyproject.toml"


def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration, for editors and for `read`."""
    text = importlib.resources.files("devdiff.gate").joinpath("config.schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def find(folder: Path) -> Path:
    """The nearest configuration in ``folder`` or above it.

    In each folder a devdiff.toml comes before a pyproject.toml with a ``[tool.devdiff]`` table.
    The search ends below a folder in which others can write: they could leave a configuration
    there. Raises `UsageError` when there is none.
    """
    start = folder.resolve()
    stopped = ""
    for place in (start, *start.parents):
        if place != start and others_can_write(place):
            stopped = _stopped(place)
            break
        if (place / CONFIG_NAME).is_file():
            return _own(place / CONFIG_NAME, start)
        project = place / _PROJECT_NAME
        if project.is_file() and _section(project, _toml(project)) is not None:
            return _own(project, start)
    raise UsageError(
        f"there is no {CONFIG_NAME} in {start} or above it, and no {_PROJECT_NAME} with "
        f"[tool.devdiff]{stopped}: devdiff check --init writes one to begin with, --config FILE "
        "names another"
    )


def others_can_write(path: Path) -> bool:
    """Whether anybody but this user and root can change a file, or what is in a folder."""
    state = path.stat()
    if state.st_uid not in (0, os.geteuid()):
        return True
    if state.st_mode & stat.S_IWOTH:
        return True
    return bool(state.st_mode & stat.S_IWGRP) and _shared(state.st_gid)


def _shared(group: int) -> bool:
    """Whether a group has other members than this user, as far as is known."""
    try:
        user = pwd.getpwuid(os.geteuid())
        members = grp.getgrgid(group).gr_mem
    except KeyError:  # as in a container whose user has no name
        return True
    return group != user.pw_gid or any(name != user.pw_name for name in members)


def _stopped(place: Path) -> str:
    """Why the search went no further, and what it would have found there."""
    names = [name for name in (CONFIG_NAME, _PROJECT_NAME) if (place / name).is_file()]
    unused = f"; {place / names[0]} was not used" if names else ""
    return f" (others can write in {place}, so it was not searched, nor what is above it{unused})"


def _own(file: Path, start: Path) -> Path:
    """The configuration that was found. Raises `UsageError` when others can change it."""
    if file.parent != start and others_can_write(file):
        raise UsageError(
            f"{file} was found above {start}, and others can write to it: name it with --config if "
            "it is what you want, or mend its rights"
        )
    return file


def former_names(table: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, str, str]]:
    """Keys by the name they had before, which is read for one release.

    Yields the table that has it, what that is called, the former name and the present one.
    """
    models = table.get("models")
    sections = {"defaults": table.get("defaults")}
    if isinstance(models, dict):
        sections |= {f"models.{name}": model for name, model in models.items()}
    for name, section in sections.items():
        scan = section.get("scan") if isinstance(section, dict) else None
        if isinstance(scan, dict) and "images" in scan and "samples" not in scan:
            yield scan, f"[{name}] scan", "images", "samples"


def read(path: Path, note: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The tables of a configuration file, of the right names and types.

    ``note`` is told of each key by its former name.

    Raises `UsageError` naming the file, the table and the key that is wrong, and what would do.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; devdiff check --init writes one")
    table = _section(path, _toml(path))
    if table is None:
        raise UsageError(f"{path} has no [tool.devdiff] table")
    for place, header, old, new in list(former_names(table)):
        place[new] = place.pop(old)
        note(
            f"{path}: {header}: {old} is called {new} now; the old name goes with the next release"
        )
    errors = list(_validator()(schema()).iter_errors(table))
    # A misspelt key may be the very one that is missing, so it is told first.
    errors.sort(key=lambda error: error.validator != "additionalProperties")
    found = [line for error in errors for line in _lines(error, table)]
    if found:
        more = f"; {len(found) - 1} more like it" if len(found) > 1 else ""
        raise UsageError(f"{path}: {found[0]}{more}")
    return dict(table)


def _toml(path: Path) -> dict[str, Any]:
    data: dict[str, Any] | None
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the TOML, of its encoding, of a date that is none
        raise UsageError(f"{path} is not TOML: {shortened(str(error))}") from error
    except RecursionError:
        data = None
    try:
        if data is None:
            raise ValueError(plain_json.TOO_DEEP)
        plain_json.check(data, infinite=True)
    except ValueError as error:
        raise UsageError(f"{path} is not used: {error}") from error
    return data


def _section(path: Path, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if path.name != _PROJECT_NAME:
        return data
    tools = data.get("tool")
    section = tools.get("devdiff") if isinstance(tools, dict) else None
    return section if isinstance(section, dict) else None


def _validator() -> type[Validator]:
    """JSON Schema on TOML's values: 2.0 is no whole number there, and nan and inf are floats."""
    from jsonschema import Draft202012Validator, validators

    def number(_: object, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value)

    def integer(_: object, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"number": number, "integer": integer})
    made: type[Validator] = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, type_checker=types
    )
    return made


def _lines(error: ValidationError, root: Mapping[str, Any]) -> Iterator[str]:
    """What a schema says in its own language, in the words of the file's writer."""
    places = [str(part) for part in error.absolute_path]
    if error.validator == "anyOf" and isinstance(error.instance, dict) and error.context:
        # A table that is wrong inside is told by what is wrong there.
        inside = [
            inner_error
            for inner_error in error.context
            if inner_error.validator != "type" or inner_error.relative_path
        ]
        for inner in inside:
            yield from _lines(inner, root)
    elif error.validator == "additionalProperties" and isinstance(error.instance, dict):
        assert isinstance(error.schema, Mapping)
        known = list(error.schema.get("properties", ()))
        for key in error.instance:
            if key not in known:
                yield f"{_table(places)}there is no key {key!r}{_nearest(key, known)}"
    elif error.validator == "required" and isinstance(error.instance, dict):
        assert isinstance(error.schema, Mapping)
        for key in error.schema["required"]:
            if key not in error.instance:
                form = error.schema["properties"][key]
                yield f"{_table(places)}{key} is missing: {_hint(key, form)}"
    else:
        depth, form = _described(places)
        key = places[depth - 1] if depth else CONFIG_NAME
        if error.validator == "pattern":
            message = f"{error.instance!r} is no name for a model"
        else:
            message = f"{key} = {_toml_text(_value(root, error, depth))} does not fit"
        yield f"{_table(places[: depth - 1])}{message}: {_hint(key, form)}"


def _value(root: Mapping[str, Any], error: ValidationError, depth: int) -> Any:
    value: Any = root
    for part in list(error.absolute_path)[:depth]:
        value = value[part]
    return value


def _table(places: Sequence[str]) -> str:
    """The header of the table at a place, as it would be written; the root has none."""
    return f"[{'.'.join(places)}] " if places else ""


def _described(places: Sequence[str]) -> tuple[int, Mapping[str, Any]]:
    """How many of ``places`` lead to the innermost key that the schema describes, and its entry."""
    whole = schema()
    node: Mapping[str, Any] = whole
    depth, entry = 0, node
    for count, place in enumerate(places, 1):
        forms = (_resolved(form, whole) for form in (node, *node.get("anyOf", ())))
        below = [_below(form, place) for form in forms]
        node = _resolved(
            next((error_below for error_below in below if error_below is not None), {}), whole
        )
        if "description" in node:
            depth, entry = count, node
    return depth, entry


def _below(form: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    found = form.get("properties", {}).get(place, form.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def _resolved(node: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    found: Mapping[str, Any] = whole["$defs"][node["$ref"].rpartition("/")[2]]
    return found


def _hint(key: str, form: Mapping[str, Any]) -> str:
    return f"{form['description']}; for example {key} = {_toml_text(form['examples'][0])}"


def _toml_text(value: Any) -> str:
    """A value as the file would hold it."""
    if isinstance(value, dict):
        pairs = (f"{name} = {_toml_text(item)}" for name, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, default=str)


def _nearest(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key.lower().replace("_", "-"), known, n=1, cutoff=0.5)
    if close:
        return f": do you mean {close[0]}?"
    return f"; there are {', '.join(known)}"
