"""The history as a SQLite file that several runs may write at once."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from devdiff.errors import HistoryError
from devdiff.history.record import RungFigures, RunRecord, StepFigures
from devdiff.history.tables import RUNGS, RUNS, STEPS, newest, upgrade, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WAIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are meant; what is None does not narrow.

    ``model`` is a model's name, with or without its suffix; runs in which a file of ``sha256`` was
    the model or on a rung are meant, too. ``device`` is a device's name or serial, ``since`` the
    earliest time, UTC in ISO form, ``project`` the folder of the project that they ran in; of all
    these, the ``limit`` latest.
    """

    model: str | None = None
    sha256: str | None = None
    device: str | None = None
    since: str | None = None
    project: str | None = None
    limit: int | None = None


class History:
    """The history in a file, which is made when something is first written.

    Every method raises `HistoryError` when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, run: RunRecord) -> None:
        """Keep a run; one of the same key, which it continues, is replaced."""
        row = asdict(run)
        children = ((RUNGS, row.pop("rungs")), (STEPS, row.pop("steps")))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"{self.path}: {error.strerror}") from error
        with self._connected(writing=True) as connection:
            upgrade(connection)
            connection.execute(delete(RUNS).where(RUNS.c.key == run.key))
            connection.execute(insert(RUNS).values(row))
            for table, rows in children:
                placed = [{"run": run.key, "place": at, **child} for at, child in enumerate(rows)]
                if placed:
                    connection.execute(insert(table), placed)

    def runs(self, wanted: Wanted) -> list[RunRecord]:
        """The runs that are meant, the latest first; none when there is no file yet."""
        if not self._readable():
            return []
        with self._connected(writing=False) as connection:
            chosen = (
                select(RUNS)
                .where(*_conditions(wanted))
                .order_by(RUNS.c.finished.desc(), RUNS.c.key)
                .limit(wanted.limit)
            )
            rows = [dict(row) for row in connection.execute(chosen).mappings()]
            return [
                RunRecord(
                    **row,
                    rungs=tuple(
                        RungFigures(**child) for child in _children(connection, RUNGS, row["key"])
                    ),
                    steps=tuple(
                        StepFigures(**child) for child in _children(connection, STEPS, row["key"])
                    ),
                )
                for row in rows
            ]

    def models(self) -> list[str]:
        """The names of all models there are runs of."""
        if not self._readable():
            return []
        with self._connected(writing=False) as connection:
            names = select(RUNS.c.model).distinct().order_by(RUNS.c.model)
            return [str(name) for name in connection.execute(names).scalars()]

    def forget(self, wanted: Wanted) -> int:
        """Remove the runs that are meant, however many; returns how many there were."""
        if not self._readable():
            return 0
        with self._connected(writing=True) as connection:
            return int(connection.execute(delete(RUNS).where(*_conditions(wanted))).rowcount)

    def _readable(self) -> bool:
        """Whether there is anything to read; an older file is brought up to date first."""
        if not self.path.exists():
            return False
        with self._connected(writing=False) as connection:
            found = version(connection)
        if 0 < found < newest():
            with self._connected(writing=True) as connection:
                upgrade(connection)
        return found > 0

    @contextlib.contextmanager
    def _connected(self, writing: bool) -> Iterator[Connection]:
        """A transaction; a writer's holds the file from its first word on."""
        try:
            with _engine(self.path, writing).begin() as connection:
                yield connection
        except HistoryError as error:
            raise HistoryError(f"{self.path}: {error}") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            reason = getattr(error, "orig", None) or error
            raise HistoryError(f"{self.path} cannot be used as the history: {reason}") from error


def _engine(path: Path, writing: bool) -> Engine:
    # A file that is only read must not be made by reading it.
    mode = "rwc" if writing else "ro"
    url = URL.create(
        "sqlite", database=f"file:{_quoted(path)}", query={"mode": mode, "uri": "true"}
    )
    engine = create_engine(url, connect_args={"timeout": _WAIT_S}, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        # Python's own transactions begin too late, with the first change.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _quoted(path: Path) -> str:
    return path.resolve().as_uri().removeprefix("file://")


def _conditions(wanted: Wanted) -> list[Any]:
    conditions: list[Any] = []
    alike = []
    if wanted.model is not None:
        escaped = wanted.model.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        alike += [
            RUNS.c.model == wanted.model,
            # The name without a suffix of its own.
            (RUNS.c.model.like(f"{escaped}.%", escape="\\"))
            & (func.instr(func.substr(RUNS.c.model, len(wanted.model) + 2), ".") == 0),
        ]
    if wanted.sha256 is not None:
        alike += [
            RUNS.c.model_sha256 == wanted.sha256,
            RUNS.c.key.in_(select(RUNGS.c.run).where(RUNGS.c.sha256 == wanted.sha256)),
        ]
    if alike:
        conditions.append(or_(*alike))
    if wanted.device is not None:
        device = wanted.device.lower()
        conditions.append(
            or_(
                func.lower(RUNS.c.device) == device,
                func.lower(RUNS.c.device).startswith(f"{device} ", autoescape=True),
                func.lower(RUNS.c.serial) == device,
            )
        )
    if wanted.project is not None:
        conditions.append(RUNS.c.project == wanted.project)
    if wanted.since is not None:
        conditions.append(RUNS.c.finished >= wanted.since)
    return conditions


def _children(connection: Connection, table: Any, key: str) -> Sequence[dict[str, Any]]:
    columns = [column for column in table.c if column.name not in ("run", "place")]
    chosen = select(*columns).where(table.c.run == key).order_by(table.c.place)
    return [dict(row) for row in connection.execute(chosen).mappings()]
