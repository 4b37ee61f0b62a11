"""One directory a run: every step writes into it as it goes, so that nothing measured is lost."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from devdiff.errors import RunDirectoryError
from devdiff.ladder import leftovers
from devdiff.system import plain_json
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_ROOT: Final = Path("devdiff-runs")
REPORT_NAME: Final = "report.json"
RUN_NAME: Final = "run.json"
LOCK_NAME: Final = ".lock"


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all, also when the machine stops."""
    with whole_file(path) as stream:
        json.dump(data, stream, indent=2, allow_nan=False)
        stream.write("\n")


def read_json(path: Path) -> dict[str, Any]:
    """Raises `RunDirectoryError` when it is missing or not a JSON object."""
    try:
        data = plain_json.parse(path.read_text(encoding="utf-8"), _once)
    except FileNotFoundError as error:
        raise RunDirectoryError(f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise RunDirectoryError(f"{path} is not JSON, nor any other text") from error
    except IsADirectoryError as error:
        raise RunDirectoryError(f"{path} is a folder, not a JSON file") from error
    except ValueError as error:
        raise RunDirectoryError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise RunDirectoryError(
            f"{path} is not JSON that is read: it is nested too deep"
        ) from error
    if not isinstance(data, dict):
        raise RunDirectoryError(f"{path} is not a JSON object")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one with a name twice says different things to different readers."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the name {twice[:80]!r} stands twice in one object")
    return found


def fingerprint(request: Mapping[str, Any]) -> str:
    """Names everything that decides a run's results; equal requests may continue each other."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class RunDirectory:
    """An opened, locked run directory. Make one with `open_run`."""

    def __init__(self, path: Path, resumed: bool) -> None:
        self.path = path
        self.resumed = resumed
        for folder in (self.inputs, self.artifacts, self.rungs, self.logs):
            folder.mkdir(exist_ok=True)

    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def rungs(self) -> Path:
        return self.path / "rungs"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def report(self) -> Path:
        return self.path / REPORT_NAME

    def take_over(self, other: Path) -> None:
        """Copy inputs, artifacts and what the host measured from a run that differs in its device.

        Only where there is nothing yet; a folder is there whole or not at all.
        """
        for folder in (self.inputs, self.artifacts, self.rungs):
            if any(folder.iterdir()):
                continue
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(other / folder.name, partial, ignore=shutil.ignore_patterns("device.*"))
            partial.replace(folder)


@contextlib.contextmanager
def open_run(
    path: Path | None,
    name: str,
    request: Mapping[str, Any],
    root: Path = DEFAULT_ROOT,
    result: str = REPORT_NAME,
) -> Iterator[RunDirectory]:
    """The directory of a run of ``request``, locked as long as the context lasts.

    The run is over when the file ``result`` is there.

    With ``path`` None, an unfinished run of the same request under ``root`` is continued, else a
    new directory is made there. A named ``path`` is made or continued; raises `RunDirectoryError`
    when it holds another or a finished run, anything else, or is in use.
    """
    with open_kept(path, name, request, root, result) as (kept, resumed):
        yield RunDirectory(kept, resumed)


@contextlib.contextmanager
def open_kept(
    path: Path | None, name: str, request: Mapping[str, Any], root: Path, result: str
) -> Iterator[tuple[Path, bool]]:
    """A locked directory for whatever ends in the file ``result``, and whether it was begun before.

    As `open_run`, for a directory whose inside is the caller's.
    """
    leftovers.sweep()
    key = fingerprint(request)
    if path is None:
        path = _unfinished(root, key, result) or _fresh(root, name)
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise RunDirectoryError(f"{place} is a file, not a folder: give another --out")
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK_NAME)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunDirectoryError(
            f"{path} is in use by another devdiff: wait for it, or give another --out"
        ) from error
    try:
        resumed = _claim(path, key, request, result)
        if resumed:
            leftovers.sweep_run(path)
        yield path, resumed
    finally:
        lock.release()


def make_way(path: Path, request: Mapping[str, Any], result: str) -> None:
    """Remove a finished run, or one of another request, that stands where ``request`` is to run.

    What the same request began in ``path`` stays. Raises `RunDirectoryError` when it is in use.
    """
    if not path.exists():
        return
    try:
        with FileLock(path / LOCK_NAME).acquire(blocking=False):
            record = path / RUN_NAME
            begun = record.exists() and read_json(record).get("fingerprint") == fingerprint(request)
            if not begun or finished(path, result):
                shutil.rmtree(path)
    except Timeout as error:
        raise RunDirectoryError(f"{path} is in use by another devdiff: wait for it") from error


def _claim(path: Path, key: str, request: Mapping[str, Any], result: str) -> bool:
    """Check that the directory is this run's; returns whether it was begun before."""
    record = path / RUN_NAME
    if not record.exists():
        foreign = [entry.name for entry in path.iterdir() if entry.name != LOCK_NAME]
        if foreign:
            raise RunDirectoryError(
                f"{path} holds {foreign[0]!r} and is no run directory: give an empty --out"
            )
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_json(record, {"fingerprint": key, "request": request, "started": started})
        return False
    if read_json(record).get("fingerprint") != key:
        raise RunDirectoryError(
            f"{path} holds a run with other options or files: give another --out"
        )
    if finished(path, result):
        raise RunDirectoryError(
            f"{path} holds this run already, finished: read {path / result}, or give another "
            "--out to run again"
        )
    (path / result).unlink(missing_ok=True)
    return True


def finished(path: Path, result: str = REPORT_NAME) -> bool:
    """Whether a run came to a verdict; one that ended in ``error`` may be continued."""
    report = path / result
    return report.exists() and read_json(report).get("verdict") != "error"


def _unfinished(root: Path, key: str, result: str) -> Path | None:
    """The newest unfinished run of the same request that nobody is working on."""
    if not root.is_dir():
        return None
    for record in sorted(root.glob(f"*/{RUN_NAME}"), reverse=True):
        with contextlib.suppress(RunDirectoryError, Timeout):
            if read_json(record).get("fingerprint") == key and not finished(record.parent, result):
                with FileLock(record.parent / LOCK_NAME).acquire(blocking=False):
                    return record.parent
    return None


def _fresh(root: Path, name: str) -> Path:
    """A new directory named after the model and the time; outside names are made harmless."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "model"
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        candidate = root / (f"{stamp}-{safe}" if number == 1 else f"{stamp}-{safe}-{number}")
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            continue
        return candidate
    raise RunDirectoryError(f"cannot make a new run directory in {root}")
