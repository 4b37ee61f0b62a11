"""The tables of the history, and how an older file becomes a file of today.

A version stands in the file (SQLite's ``user_version``). A change of the tables adds a step to
`_UPGRADES`; steps that were released are never changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    select,
    update,
)

from devdiff.errors import HistoryError
from devdiff.history.database_path import project

if TYPE_CHECKING:
    from collections.abc import Callable

METADATA: Final = MetaData()

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("key", String, primary_key=True),
    Column("finished", String, nullable=False, index=True),
    Column("version", String, nullable=False),
    Column("model", String, nullable=False, index=True),
    Column("model_sha256", String, nullable=False),
    Column("compression", String, nullable=False),
    Column("device", String, nullable=False),
    Column("serial", String),
    Column("samples", Integer, nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("inputs_sha256", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("culprit", String),
    Column("scan", String),
    Column("summary", String, nullable=False),
    Column("directory", String, nullable=False),
    Column("project", String, nullable=False, server_default="", index=True),
)


def _of_run() -> tuple[Column[str], Column[int]]:
    return (
        Column("run", String, ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True),
        Column("place", Integer, primary_key=True),
    )


RUNGS: Final = Table(
    "rungs",
    METADATA,
    *_of_run(),
    Column("name", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("runtime", String, nullable=False),
    Column("runtime_sha256", String),
    Column("samples", Integer, nullable=False),
    Column("median_ms", Float),
    Column("p90_ms", Float),
    Column("error", String),
    Index("rungs_sha256", "sha256"),
)
STEPS: Final = Table(
    "steps",
    METADATA,
    *_of_run(),
    Column("step", String, nullable=False),
    Column("reference", String, nullable=False),
    Column("candidate", String, nullable=False),
    Column("counts", Boolean, nullable=False),
    Column("verdict", String, nullable=False),
    Column("output", String, nullable=False),
    Column("agreed", Integer),
    Column("answered", Integer),
    Column("snr_db", Float),
    Column("max_abs_error", Float),
    Column("max_lsb", Float),
)


def _add_projects(connection: Connection) -> None:
    """Runs are told apart by project; of older ones, by where their directories lie."""
    columns = connection.exec_driver_sql("PRAGMA table_info(runs)").all()
    if "project" not in {column[1] for column in columns}:
        connection.exec_driver_sql(
            "ALTER TABLE runs ADD COLUMN project VARCHAR NOT NULL DEFAULT ''"
        )
        connection.exec_driver_sql("CREATE INDEX ix_runs_project ON runs (project)")
    for key, directory in connection.execute(
        select(RUNS.c.key, RUNS.c.directory).where(RUNS.c.project == "")
    ).all():
        # A run directory lies in devdiff-runs, and that where devdiff was called.
        found = str(project(Path(directory).parent.parent))
        connection.execute(update(RUNS).where(RUNS.c.key == key).values(project=found))


_UPGRADES: tuple[Callable[[Connection], None], ...] = (METADATA.create_all, _add_projects)


def newest() -> int:
    """The version this devdiff writes."""
    return len(_UPGRADES)


def version(connection: Connection) -> int:
    """The version of the file; 0 for a new one. Raises `HistoryError` for a later one."""
    found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if found > newest():
        raise HistoryError(
            f"it was written by a newer devdiff (version {found}, this one knows {newest()})"
        )
    return found


def upgrade(connection: Connection) -> None:
    """Bring the file to the newest version, in the caller's transaction."""
    for number in range(version(connection), newest()):
        _UPGRADES[number](connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {number + 1}")
