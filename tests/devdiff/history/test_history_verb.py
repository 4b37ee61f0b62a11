"""``devdiff history``: the table, the JSON and the picture that people get."""

from __future__ import annotations

import datetime
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devdiff.cli.main import main
from devdiff.errors import UsageError
from devdiff.history import database_path, html
from devdiff.history.store import History, Wanted
from devdiff.history.time_spec import earliest
from tests.support.html_runs import HOSTILE

if TYPE_CHECKING:
    from tests.support.history_runs import Like

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def kept(history: History, like: Like, monkeypatch: pytest.MonkeyPatch) -> History:
    """A history of two models, one of them twice, on two devices."""
    monkeypatch.setenv(database_path.VARIABLE, str(history.path))
    history.append(like("a", model="reader.onnx", finished="2026-01-01T10:00:00+00:00"))
    history.append(
        like(
            "b",
            model="reader.onnx",
            finished="2026-02-01T10:00:00+00:00",
            device="Pixel 7",
            verdict="fail",
            culprit="compression",
        )
    )
    history.append(
        like("c", model=f"{HOSTILE}$x_1$.onnx", finished="2026-02-02T10:00:00+00:00", device="$[b]")
    )
    return history


def test_the_table_has_a_line_a_run(
    kept: History, like: Like, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "reader"]) == 0
    heads, latest, first = capsys.readouterr().out.splitlines()
    run = like("a")
    assert heads.split()[5:9] == ["whole", "way", "compression", "deployment"]
    assert "Pixel 7" in latest
    assert "fail (compression)" in latest
    assert latest.rstrip().endswith(Path(run.directory).name)
    assert "600/600" in first
    assert run.model_sha256[:8] in first
    assert f"{run.latency('device'):.3g}" in first


def test_the_json_has_all_of_it(kept: History, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--json", "--device", "pixel 7"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["key"], told["culprit"]) == ("b", "compression")
    assert {one["name"] for one in told["rungs"]} == {"source", "float", "int8", "device"}


def test_names_from_outside_are_neither_markup_nor_formulas(
    kept: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "history.svg"
    assert main(["history", "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "$[b]" in printed
    assert f"plot: {picture}" in printed
    drawn = ElementTree.parse(picture)
    texts = [text for one in drawn.iter() if (text := one.text)]
    assert any(HOSTILE in text and "$x_1$" in text for text in texts)
    assert not [one for one in drawn.iter() if one.tag.endswith("img")]


def test_the_picture_has_a_line_for_each_device(kept: History, tmp_path: Path) -> None:
    svg, png = tmp_path / "history.svg", tmp_path / "history.png"
    assert main(["history", "reader", "--plot", str(svg)]) == 0
    text = svg.read_text()
    for label in ("source to device (local)", "source to device (Pixel 7)", "float to int8"):
        assert f">{label}<" in text
    for label in ("device (local)", "device (Pixel 7)", "int8"):
        assert f">{label}<" in text
    assert main(["history", "reader", "--plot", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_page_has_a_card_for_each_course_and_a_row_for_each_run(
    kept: History, like: Like, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.append(like("e", model="reader.onnx", finished="2026-02-03T10:00:00+00:00"))
    page = tmp_path / "history.html"
    assert main(["history", "--html", str(page)]) == 0
    assert f"page: {page}" in capsys.readouterr().out
    text = page.read_text()
    cards = re.findall(r'<li class="card">(.*?)</li>', text, re.DOTALL)
    assert len(cards) == 3
    (course,) = [card for card in cards if "on local, 2 runs" in card and "reader.onnx" in card]
    assert course.count("<circle") == 2 * 2
    assert "Agreement with the source: <strong>100 %</strong>" in course
    (rows,) = re.findall(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert rows.count("<tr>") == 4
    assert "compression" in rows
    assert "<img" not in text
    assert "&lt;img src=x" in text
    assert not re.search(r"\bstyle=|<link|<iframe", text)


def test_the_page_leads_to_runs_of_its_own_project_alone(
    history: History, like: Like, tmp_path: Path
) -> None:
    run = tmp_path / "project/devdiff-runs/a run"
    run.mkdir(parents=True)
    (run / "report.html").touch()
    inside = like("a", directory=str(run), project=str(tmp_path / "project"))
    text = html.render([inside], tmp_path / "project", "project")
    assert 'href="devdiff-runs/a%20run/report.html"' in text
    elsewhere = html.render([inside], tmp_path, "project")
    assert "href=" not in elsewhere.partition("<main")[2]
    assert str(tmp_path) not in text + elsewhere


def test_only_one_models_runs_can_be_forgotten(
    kept: History, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "--forget"]) == 2
    assert main(["history", "reader", "--forget", "--html", "x.html"]) == 2
    assert main(["history", "reader", "--limit", "1", "--forget"]) == 0
    assert capsys.readouterr().out == "forgotten: 2 runs\n"
    assert [run.key for run in kept.runs(Wanted())] == ["c"]


def test_runs_of_other_projects_are_shown_when_asked_for(
    kept: History, like: Like, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "other" / "src").mkdir(parents=True)
    (tmp_path / "other" / "devdiff.toml").touch()
    kept.append(like("d", model="writer.onnx", project=str(tmp_path / "other")))
    assert main(["history"]) == 0
    assert "writer.onnx" not in capsys.readouterr().out
    assert main(["history", "writer"]) == 0
    assert "has 1 of other projects: give --all" in capsys.readouterr().out
    assert main(["history", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "writer.onnx" in shown
    assert "reader.onnx" in shown

    monkeypatch.chdir(tmp_path / "other" / "src")
    assert main(["history"]) == 0
    shown = capsys.readouterr().out
    assert "writer.onnx" in shown
    assert "reader.onnx" not in shown
    # Nor is anything of another project forgotten.
    assert main(["history", "reader", "--forget"]) == 0
    assert capsys.readouterr().out == "forgotten: 0 runs\n"


def test_recipes_are_told_apart_and_ticks_are_plain_numbers(
    kept: History, like: Like, tmp_path: Path
) -> None:
    run = like("d", model="reader.onnx", compression="int8-per-tensor")
    slow = tuple(replace(one, median_ms=1e4) for one in run.rungs)
    kept.append(replace(run, rungs=slow))
    picture = tmp_path / "history.svg"
    assert main(["history", "reader", "--plot", str(picture)]) == 0
    drawn = ElementTree.parse(picture).iter()
    texts = [one.text for one in drawn if one.text and one.tag.endswith("text")]
    assert "int8-per-tensor: source to device (local)" in texts
    assert "int8: source to device (local)" in texts
    # From hundredths to thousands of milliseconds, on a logarithmic axis.
    assert "1000" in texts
    assert not any("$" in text or "{" in text for text in texts)


def test_an_empty_answer_says_what_there_is(
    kept: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["history", "writer"]) == 0
    assert "it knows" in (told := capsys.readouterr().out)
    assert "reader.onnx" in told
    monkeypatch.setenv(database_path.VARIABLE, f"{kept.path}.none")
    assert main(["history"]) == 0
    assert capsys.readouterr().out.endswith("it is empty\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--plot", "history.pdf"], "ends in .svg or .png"),
        (["--plot", "nowhere/history.svg"], "there is no folder nowhere"),
        (["writer", "--plot", "history.svg"], "nothing to plot"),
        (["--since", "yesterday"], "write a date"),
        (["--since", "999999d"], "write a date"),
    ],
)
def test_what_cannot_be_shown_is_a_line(
    arguments: list[str], told: str, kept: History, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_history_that_is_off_or_broken_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(database_path.VARIABLE, "off")
    assert main(["history"]) == 2
    assert "the history is off" in capsys.readouterr().err
    (tmp_path / "broken").write_bytes(b"x" * 4096)
    monkeypatch.setenv(database_path.VARIABLE, str(tmp_path / "broken"))
    assert main(["history"]) == 2
    assert "cannot be used as the history" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12h", "2026-03-01T00:00:00+00:00"),
        ("30d", "2026-01-30T12:00:00+00:00"),
        ("2w", "2026-02-15T12:00:00+00:00"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00+00:00"),
    ],
)
def test_times_are_taken_as_people_give_them(text: str, found: str) -> None:
    assert earliest(text, NOW) == found


def test_a_date_is_midnight_here() -> None:
    here = datetime.datetime(2026, 1, 31).astimezone(datetime.UTC)
    assert earliest("2026-01-31", NOW) == here.isoformat(timespec="seconds")
    with pytest.raises(UsageError):
        earliest("31.1.2026", NOW)


def test_the_history_lies_in_the_users_data_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert database_path.location({}) == Path("/somewhere/devdiff/history.sqlite")
    assert (
        database_path.location({database_path.VARIABLE: "~/h.sqlite"}) == Path.home() / "h.sqlite"
    )
    assert database_path.location({database_path.VARIABLE: "OFF"}) is None
