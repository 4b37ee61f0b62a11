"""A devdiff.toml that somebody else wrote runs no code unasked, and is not picked up by chance."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from devdiff.errors import UsageError
from devdiff.gate import config_file, trust
from devdiff.gate.config import Config
from tests.support.command import DIGITS, devdiff

if TYPE_CHECKING:
    from pathlib import Path

CI = {"CI": "true"}
MODEL = '[models.m]\nmodel = "m.onnx"\n'


def config(folder: Path, text: str = "") -> Config:
    for name in ("m.onnx", "x.py", "x.so"):
        if not (folder / name).exists():
            (folder / name).write_text(name)
    (folder / "devdiff.toml").write_text(MODEL + text)
    return Config.load(folder / "devdiff.toml")


def check(found: Config, **options: str | bool) -> None:
    trust.check(found, trust.code_in(found.entries), environ=CI, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('inputs = "x.py:f"', "[models.m] inputs runs x.py"),
        ('inputs = "a.npz"\ncalibration = "x.py:f"', "[models.m] calibration runs x.py"),
        ('runtime = "x.so"', "[models.m] runtime loads x.so"),
        ("trust = true", "[models.m] trust runs code in its model m.onnx"),
    ],
)
def test_what_runs_code_is_refused_in_ci_and_named(tmp_path: Path, text: str, told: str) -> None:
    found = config(tmp_path, text)
    codes = trust.code_in(found.entries)
    assert told in trust.listed(codes)
    with pytest.raises(UsageError, match="runs code") as caught:
        check(found)
    assert told in str(caught.value)
    assert "--trust-config" in str(caught.value)
    check(found, trusted=True)
    check(found, sha256=trust.digest(found).upper())
    trust.check(found, codes, environ={})


def test_what_runs_none_needs_no_trust(tmp_path: Path) -> None:
    check(config(tmp_path, 'inputs = "a.npz"\nruntime = "litert-lm"\ntrust = false'))


@pytest.mark.parametrize("name", ["devdiff.toml", "x.py"])
def test_trust_in_a_hash_ends_with_any_change(tmp_path: Path, name: str) -> None:
    found = config(tmp_path, 'inputs = "x.py:f"')
    known = trust.digest(found)
    path = tmp_path / name
    path.write_text(f"{path.read_text()}\n# more\n")
    found = Config.load(tmp_path / "devdiff.toml")
    for environ in (CI, {}):
        with pytest.raises(UsageError, match="has changed"):
            trust.check(found, trust.code_in(found.entries), sha256=known, environ=environ)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, False),
        ({"CI": ""}, False),
        ({"CI": "false"}, False),
        ({"CI": "0"}, False),
        ({"CI": "1"}, True),
        ({"CI": "true"}, True),
        ({"JENKINS_URL": "https://ci.example"}, True),
        ({"TF_BUILD": "True"}, True),
    ],
)
def test_ci_is_known_by_its_environment(environ: dict[str, str], found: bool) -> None:
    assert trust.in_ci(environ) is found


@pytest.mark.slow
def test_the_command_runs_no_loader_of_a_pull_request(tmp_path: Path) -> None:
    (tmp_path / "loader.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    (tmp_path / "devdiff.toml").write_text(
        f'[models.m]\nmodel = "{DIGITS}"\ninputs = "loader.py:batches"\ndevices = "none"\n'
    )
    done = devdiff("check", cwd=tmp_path, env=CI)
    assert done.returncode == 2
    assert "inputs runs loader.py" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "devdiff-checks").exists()
    done = devdiff("check", "--list", cwd=tmp_path, env=CI)
    assert done.returncode == 0
    assert "runs code: [models.m] inputs runs loader.py" in done.stdout
    sha256 = done.stdout.split("--trust-config-sha256 ")[1].split()[0]
    done = devdiff("check", "--trust-config-sha256", "0" * 64, cwd=tmp_path, env=CI)
    assert done.returncode == 2
    assert f"the SHA-256 is {sha256}" in done.stderr


@pytest.mark.slow
def test_trusted_code_runs_and_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "loader.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    (tmp_path / "devdiff.toml").write_text(
        f'[models.m]\nmodel = "{DIGITS}"\ninputs = "loader.py:batches"\ndevices = "none"\n'
    )
    done = devdiff("check", "--trust-config", cwd=tmp_path, env=CI)
    assert "devdiff.toml runs code: [models.m] inputs runs loader.py" in done.stderr
    assert "has no function 'batches'" in done.stderr


def test_a_configuration_is_not_taken_from_where_others_can_write(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    mine = shared / "mine/deep"
    mine.mkdir(parents=True)
    (tmp_path / "devdiff.toml").write_text(MODEL)
    assert config_file.find(mine) == (tmp_path / "devdiff.toml").resolve()
    (shared / "devdiff.toml").write_text(MODEL)
    assert config_file.find(mine) == (shared / "devdiff.toml").resolve()
    shared.chmod(0o1777)
    with pytest.raises(UsageError, match="others can write") as caught:
        config_file.find(mine)
    assert f"{shared.resolve() / 'devdiff.toml'} was not used" in str(caught.value)
    # Whoever stands there means it.
    assert config_file.find(shared) == (shared / "devdiff.toml").resolve()
    own = mine.parent / "devdiff.toml"
    own.write_text(MODEL)
    assert config_file.find(mine) == own.resolve()
    own.chmod(0o666)
    with pytest.raises(UsageError, match="others can write to it"):
        config_file.find(mine)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_not_searched(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    mine = theirs / "mine"
    mine.mkdir(parents=True)
    (theirs / "devdiff.toml").write_text(MODEL)
    os.chown(theirs, 12345, -1)
    with pytest.raises(UsageError, match="others can write"):
        config_file.find(mine)


def test_a_group_of_ones_own_is_not_others(tmp_path: Path) -> None:
    import grp
    import pwd

    user = pwd.getpwuid(os.geteuid())
    if [name for name in grp.getgrgid(user.pw_gid).gr_mem if name != user.pw_name]:
        pytest.skip("this user's group has other members")
    os.chown(tmp_path, -1, user.pw_gid)
    tmp_path.chmod(0o775)
    assert not config_file.others_can_write(tmp_path)
