"""Old, large and surplus runs go when that is asked for; whatever is not devdiff's never does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from devdiff.cli.main import main
from devdiff.errors import UsageError
from devdiff.gate.config import Config
from devdiff.housekeeping import clean, kept
from devdiff.housekeeping.retention import Retention, age, parse_age, parse_size
from devdiff.ladder.run_directory import open_kept, open_run, write_json
from devdiff.report.words import size
from devdiff.system.scratch import owner_token

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0
NOW = time.time()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder as the working directory, with a cache of its own."""
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DEVDIFF_EXPORT_CACHE", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


def made(root: Path, name: str, days: float = 0.0, kilobytes: int = 1) -> Path:
    """A finished run of a certain age and size, made as runs are."""
    with open_run(root / name, name, {"name": name}) as run:
        (run.rungs / "int8.pack").write_bytes(os.urandom(1000 * kilobytes))
        write_json(run.report, {"verdict": "pass"})
    aged(run.path, days)
    return run.path


def aged(path: Path, days: float) -> None:
    for file in [*path.rglob("*"), path]:
        os.utime(file, (NOW - days * DAY, NOW - days * DAY), follow_symlinks=False)


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_nothing_goes_without_yes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(here / "devdiff-runs", "old", days=40)
    made(here / "devdiff-runs", "new", days=1)
    assert main(["clean", "--older-than", "30d"]) == 0
    printed = capsys.readouterr().out
    assert "older than 30 d" in printed
    assert "1 of 2 entries" in printed
    assert "nothing was removed: add --yes" in printed
    assert left(here / "devdiff-runs") == ["new", "old"]
    assert main(["clean", "--older-than", "30d", "--yes"]) == 0
    assert left(here / "devdiff-runs") == ["new"]
    assert "1 of 2 entries" in capsys.readouterr().out


def test_without_a_limit_it_is_a_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(here / "devdiff-runs", "old", days=400, kilobytes=2000)
    assert main(["clean", "--yes"]) == 0
    assert "nothing goes without a limit" in capsys.readouterr().out
    assert left(here / "devdiff-runs") == ["old"]
    assert main(["clean", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert (entry["kind"], entry["state"], entry["goes"]) == ("run", "pass", None)
    assert 2_000_000 <= entry["bytes"] < 2_200_000
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(here / "devdiff-runs") == []


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--keep", "2"], {"c", "d"}),
        (["--larger-than", "1MB"], {"b", "d"}),
        (["--max-size", "4MB"], {"c", "d"}),
        (["--older-than", "25d"], {"d"}),
        (["--older-than", "25d", "--larger-than", "1MB"], {"b", "d"}),
    ],
)
def test_each_limit_lets_go_of_what_is_beyond_it(
    here: Path, options: list[str], gone: set[str]
) -> None:
    for number, (name, kilobytes) in enumerate([("a", 500), ("b", 3000), ("c", 600), ("d", 3000)]):
        made(here / "devdiff-runs", name, days=10.0 * number + 0.1, kilobytes=kilobytes)
    assert main(["clean", *options, "--yes"]) == 0
    assert set("abcd") - set(left(here / "devdiff-runs")) == gone


def test_a_run_in_use_stays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_run(here / "devdiff-runs/working", "m", {}):
        assert main(["clean", "--all", "--yes"]) == 0
        assert "in use by another devdiff" in capsys.readouterr().out
    assert left(here / "devdiff-runs") == ["working"]
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(here / "devdiff-runs") == []


def test_a_run_that_is_taken_up_in_the_meantime_stays(here: Path) -> None:
    made(here / "devdiff-runs", "old", days=40)
    planned = clean.plan([], Retention(max_age_s=DAY))
    with open_kept(here / "devdiff-runs/other", "m", {}, here, "report.json"):
        pass
    (here / "devdiff-runs/old/report.json").unlink()
    with open_run(here / "devdiff-runs/old", "old", {"name": "old"}):
        done = clean.carry_out(planned)
    assert "in use" in done.failed[0]
    assert left(here / "devdiff-runs") == ["old", "other"]


@pytest.mark.parametrize("foreign", ["notes.txt", "photos/a.png"])
def test_a_run_with_somebody_elses_files_stays(
    here: Path, foreign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(here / "devdiff-runs", "old", days=40)
    (run / foreign).parent.mkdir(exist_ok=True)
    (run / foreign).write_text("mine")
    assert main(["clean", "--all", "--yes"]) == 0
    assert f"it holds {foreign.partition('/')[0]}, which devdiff did not put there" in (
        capsys.readouterr().out
    )
    assert (run / foreign).read_text() == "mine"


def test_what_is_no_run_is_not_touched(here: Path) -> None:
    root = here / "devdiff-runs"
    made(root, "old", days=40)
    (root / "mine").mkdir()
    (root / "mine/thesis.txt").write_text("years")
    (root / "looks-like-one").mkdir()
    (root / "looks-like-one/run.json").write_text('{"schema_version": 2}')
    (root / "broken").mkdir()
    (root / "broken/run.json").write_text("{")
    (root / "file").write_text("x")
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(root) == ["broken", "file", "looks-like-one", "mine"]


def test_links_are_not_followed(here: Path, tmp_path: Path) -> None:
    outside = made(tmp_path / "outside", "precious", days=40)
    root = here / "devdiff-runs"
    inner = made(root, "old", days=40)
    (root / "link").symlink_to(outside)
    (inner / "rungs/link").symlink_to(outside)
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(root) == ["link"]
    assert (outside / "report.json").exists()
    held = made(root, "held", days=40)
    (held / "inputs").rmdir()
    (held / "inputs").symlink_to(outside)
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(root) == ["held", "link"]
    (here / "devdiff-checks").symlink_to(tmp_path / "outside")
    assert main(["clean", "--all", "--yes"]) == 2
    assert main(["clean", str(root / "link"), "--all", "--yes"]) == 2
    assert (outside / "report.json").exists()


def test_a_record_that_is_a_link_makes_no_run(here: Path, tmp_path: Path) -> None:
    run = made(here / "devdiff-runs", "old", days=40)
    (run / "run.json").rename(tmp_path / "run.json")
    (run / "run.json").symlink_to(tmp_path / "run.json")
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(here / "devdiff-runs") == ["old"]


def test_a_place_that_holds_no_run_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sources").mkdir()
    (here / "sources/main.c").write_text("int main;")
    assert main(["clean", "sources", "--all", "--yes"]) == 2
    assert "sources holds no run of devdiff" in capsys.readouterr().err
    assert main(["clean", "nowhere", "--all"]) == 2
    assert (here / "sources/main.c").exists()


def test_a_single_run_can_be_named(here: Path) -> None:
    run = made(here / "elsewhere", "old", days=1)
    made(here / "elsewhere", "other", days=1)
    assert main(["clean", str(run), "--all", "--yes"]) == 0
    assert left(here / "elsewhere") == ["other"]


def test_a_removal_that_is_killed_leaves_no_run_and_is_ended_by_the_next(here: Path) -> None:
    root = here / "devdiff-runs"
    made(root, "old", days=40)
    code = (
        "import os, shutil, signal\n"
        "shutil.rmtree = lambda path: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from devdiff.cli.main import main\n"
        "main(['clean', '--all', '--yes'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=here, check=False)
    assert done.returncode == -signal.SIGKILL
    (name,) = left(root)
    assert name.endswith(kept.GOING)
    assert (root / name / "report.json").exists()
    made(root, "new")
    assert main(["clean", "--keep", "5", "--yes"]) == 0
    assert left(root) == ["new"]


def test_what_another_process_is_removing_is_left_to_it(here: Path) -> None:
    root = here / "devdiff-runs"
    made(root, "old").rename(root / f".old{owner_token()}{kept.GOING}")
    assert main(["clean", "--all", "--yes"]) == 0
    assert len(left(root)) == 1


def configured(here: Path, text: str) -> None:
    (here / "devdiff.toml").write_text(f'[models.m]\nmodel = "m.onnx"\n{text}')


def test_the_configurations_retention_holds_where_no_limit_is_given(here: Path) -> None:
    configured(here, '[retention]\nkeep-runs = 1\nmax-age = "8w"\n')
    for root in ("devdiff-runs", "devdiff-checks"):
        for number, name in enumerate("abc"):
            made(here / root, name, days=number + 0.5)
    assert main(["clean"]) == 0
    assert left(here / "devdiff-runs") == ["a", "b", "c"]
    assert main(["clean", "--yes"]) == 0
    assert left(here / "devdiff-runs") == left(here / "devdiff-checks") == ["a"]


def test_the_run_of_the_baseline_stays(here: Path) -> None:
    configured(here, '[baseline]\nfile = "devdiff-runs/release/report.json"\n')
    made(here / "devdiff-runs", "release", days=400)
    made(here / "devdiff-runs", "other", days=400)
    assert main(["clean", "--all", "--yes"]) == 0
    assert left(here / "devdiff-runs") == ["release"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('max-age = "a month"', "is no age: write 30m, 12h, 30d or 4w"),
        ('max-size = "5"', "is no size: write 500MB or 2GB"),
        ("keep-runs = 0", "keep-runs = 0 does not fit"),
        ("keep = 3", "there is no key 'keep'"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused(here: Path, text: str, said: str) -> None:
    configured(here, f"[retention]\n{text}\n")
    with pytest.raises(UsageError, match=r"\[retention\]") as raised:
        Config.load(here / "devdiff.toml")
    assert said in str(raised.value)


def test_caches_go_only_where_they_are_asked_for(here: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("runners/abc", "virtual/images/old", "models/mine", "mine"):
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_bytes(bytes(5000))
    aged(cache, 60)
    assert main(["clean", "--all", "--yes"]) == 0
    assert (cache / "runners/abc").exists()
    assert main(["clean", "--caches", "--older-than", "90d", "--yes"]) == 0
    assert (cache / "runners/abc").exists()
    assert main(["clean", "--caches", "--older-than", "30d", "--yes"]) == 0
    remaining = sorted(str(path.relative_to(cache)) for path in cache.rglob("file"))
    assert remaining == ["mine/file", "models/mine/file"]


def test_caches_stay_while_a_run_is_in_use(here: Path, tmp_path: Path) -> None:
    (tmp_path / "cache/runners/abc").mkdir(parents=True)
    with open_run(here / "devdiff-runs/working", "m", {}):
        assert main(["clean", "--caches", "--all", "--yes"]) == 0
    assert (tmp_path / "cache/runners/abc").exists()


def test_what_cannot_be_removed_is_exit_code_3(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here / "devdiff-runs", "old", days=40)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    assert main(["clean", "--all", "--yes"]) == 3
    assert "could not be removed" in capsys.readouterr().out


def test_ages_and_sizes_are_read_as_they_are_written() -> None:
    assert [parse_age(text) for text in ("90m", "12h", "30d", "2w")] == [
        5400,
        43200,
        30 * DAY,
        14 * DAY,
    ]
    assert [parse_size(text) for text in ("5kB", "1.5MB", "2GB")] == [5000, 1_500_000, 2 * 10**9]
    assert (age(30 * DAY), age(7200), age(60)) == ("30 d", "2 h", "1 m")
    assert (size(999), size(1500), size(2 * 10**9)) == ("999 B", "1.5 kB", "2 GB")
