"""``devdiff virtual`` as a user types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.virtual import phone
from tests.support.command import devdiff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHAT = "Linux with glibc on an emulated ARM64 CPU, not Android; its timings say nothing about phon"


@pytest.fixture
def stopped(phone_place: Path) -> Iterator[None]:
    """No phone outlives the test, whatever becomes of it."""
    yield
    for one in phone.running():
        one.stop()


@pytest.mark.slow
def test_start_list_stop(stopped: None, tmp_path: Path) -> None:
    # No adb server is told about these phones.
    env = {"ANDROID_ADB_SERVER_PORT": "1"}
    begun = devdiff("virtual", "start", "--cpu", "cortex-a53", "--name", "x", cwd=tmp_path, env=env)
    assert begun.returncode == 0, begun.stderr
    serial = begun.stdout.strip()
    assert serial.startswith("emulator-")
    assert WHAT in begun.stderr
    more = devdiff("virtual", "start", "--count", "2", "--json", cwd=tmp_path, env=env)
    two, three = json.loads(more.stdout)
    assert (two["cpu"], two["state"], two["memory_mib"]) == ("cortex-a76", "ready", 1024)
    assert WHAT in two["is"]
    shown = devdiff("virtual", "list", cwd=tmp_path).stdout
    # By port; which ports are free is up to others on this machine.
    (row,) = [line.split() for line in shown.splitlines() if line.startswith(serial)]
    assert row[:3] == [serial, "x", "cortex-a53"]
    assert row[-1] == "ready"
    assert WHAT in shown
    told = json.loads(devdiff("virtual", "list", "--json", cwd=tmp_path).stdout)
    others = sorted([two["serial"], three["serial"]])
    assert [one["serial"] for one in told] == sorted([serial, *others])
    assert devdiff("virtual", "stop", "x", cwd=tmp_path).stdout == f"stopped {serial}\n"
    unknown = devdiff("virtual", "stop", serial, cwd=tmp_path)
    assert unknown.returncode == 2
    assert f"running: {', '.join(others)}" in unknown.stderr
    rest = devdiff("virtual", "stop", "--all", cwd=tmp_path).stdout
    assert rest == "".join(f"stopped {other}\n" for other in others)
    assert devdiff("virtual", "list", "--json", cwd=tmp_path).stdout == "[]\n"


def test_what_is_missing_is_named_in_one_sentence(phone_place: Path, tmp_path: Path) -> None:
    empty = {"PATH": str(tmp_path), "DEVDIFF_CACHE_DIR": str(tmp_path)}
    done = devdiff("virtual", "start", cwd=tmp_path, env=empty)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "devdiff: qemu-system-aarch64, which the virtual phone runs in, is not installed; an "
        "administrator can run: apt-get install qemu-system-arm"
    )
    fake = tmp_path / "qemu-system-aarch64"
    fake.write_text(f"#!{sys.executable}\nprint('QEMU emulator version 7.2')\n")
    fake.chmod(0o755)
    done = devdiff("virtual", "start", cwd=tmp_path, env=empty)
    assert done.returncode == 3
    assert "apt-get install apt dpkg" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("start", "--cpu", "z80"), "there is no virtual CPU 'z80'; known are: cortex-a53 · "),
        (("start", "--memory", "300"), "needs at least 672 MiB of memory, not 300"),
        (("stop",), "say which virtual phone to stop, or --all"),
        (("stop", "emulator-5554", "--all"), "say which virtual phone to stop, or --all"),
        (("stop", "nobody"), "there is no virtual phone 'nobody'; running: none"),
    ],
)
def test_mistakes_are_answered_with_the_way_out(
    phone_place: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = devdiff("virtual", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
