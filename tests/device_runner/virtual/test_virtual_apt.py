"""Packages come from the machine's own mirror, signed, and the machine's apt is left alone."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.apt import (
    AptSource,
    PrivateApt,
    machine_mirrors,
    mirrors,
    need_tools,
    parse_deb822,
    parse_one_line,
)

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN = "http://archive.example/debian"


def test_sources_in_paragraphs_are_read() -> None:
    text = f"""\
# written by an installer
Types: deb deb-src
URIs: {DEBIAN}
Suites: bookworm
 bookworm-updates
# a comment between
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: http://not.example/
 -----END PGP PUBLIC KEY BLOCK-----

types: deb
uris: http://one.example/debian http://two.example/debian
suites: sid
components: main
enabled: yes

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: sid
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: sid
Components: main
"""
    assert parse_deb822(text) == [
        AptSource(DEBIAN, ("bookworm", "bookworm-updates"), ("main", "contrib")),
        AptSource("http://one.example/debian", ("sid",), ("main",)),
        AptSource("http://two.example/debian", ("sid",), ("main",)),
    ]


def test_sources_in_single_lines_are_read() -> None:
    text = f"""\
# deb http://off.example/debian sid main
deb {DEBIAN} bookworm main contrib # the mirror next door
deb-src {DEBIAN} bookworm main
deb [ arch=amd64 signed-by=/usr/share/keyrings/a.gpg ] http://tool.example/apt stable main
deb [trusted=yes] http://flat.example/ ./

deb
"""
    assert parse_one_line(text) == [
        AptSource(DEBIAN, ("bookworm",), ("main", "contrib")),
        AptSource("http://tool.example/apt", ("stable",), ("main",)),
        AptSource("http://flat.example/", ("./",), ()),
    ]


def test_a_debian_archive_is_asked_before_others_and_unfit_ones_never() -> None:
    sources = [
        AptSource("http://tool.example/apt", ("stable",), ("main",)),
        AptSource("cdrom:[Debian 12]/", ("bookworm",), ("main",)),
        AptSource("http://flat.example/", ("./",), ()),
        AptSource("http://security.example/debian-security", ("bookworm-security",), ("main",)),
        AptSource(DEBIAN, ("bookworm", "bookworm-updates"), ("main",)),
        AptSource(DEBIAN, ("bookworm-backports",), ("main",)),
        AptSource("http://nonfree.example/", ("bookworm",), ("non-free",)),
    ]
    assert mirrors(sources) == (DEBIAN, "http://tool.example/apt")


def test_the_sources_of_this_machine_are_where_its_apt_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (tmp_path / "list").write_text("deb http://one.example/debian bookworm main\n")
    (parts / "b.sources").write_text(
        "Types: deb\nURIs: http://three.example/debian\nSuites: sid\nComponents: main\n"
    )
    (parts / "a.list").write_text("deb http://two.example/debian sid main\n")
    (parts / "c.list.disabled").write_text("deb http://four.example/debian sid main\n")
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/list";\nDir::Etc::sourceparts "{parts}";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    assert machine_mirrors() == (
        "http://one.example/debian",
        "http://two.example/debian",
        "http://three.example/debian",
    )


def release(folder: Path, name: str = "InRelease") -> Path:
    """An archive of nothing, without a signature."""
    suite = folder / "dists" / "trixie"
    suite.mkdir(parents=True)
    (suite / name).write_text(
        "Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: trixie\n"
        "Date: Sat, 21 Nov 2026 10:00:00 UTC\nArchitectures: arm64\nComponents: main\nSHA256:\n"
    )
    return suite / name


@pytest.mark.parametrize("kind", ["unsigned", "without a release", "signed by a stranger"])
def test_an_archive_debian_has_not_signed_is_refused(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    if kind == "unsigned":
        release(archive, "Release")
    elif kind == "signed by a stranger":
        if shutil.which("gpg") is None:
            pytest.skip("gpg, which signs as a stranger here, is not installed")
        text = release(archive, "Release")
        gpg = ("gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--passphrase", "")
        tmp_path.chmod(0o700)
        for command in (
            ("--quick-generate-key", "stranger@example.com", "rsa2048", "sign"),
            ("--clearsign", "--output", str(text.with_name("InRelease")), str(text)),
        ):
            subprocess.run([*gpg, *command], check=True, capture_output=True)
        subprocess.run(
            ["gpgconf", "--homedir", str(tmp_path), "--kill", "all"], check=True, timeout=30
        )
        text.unlink()
    apt = PrivateApt(tmp_path / "apt", f"file:{archive}")
    with pytest.raises(VirtualPhoneError, match=r"not signed|does not have a Release|NO_PUBKEY"):
        apt.update()


def test_the_machines_hooks_and_permissions_do_not_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "hook-ran"
    machine = tmp_path / "machine.conf"
    machine.write_text(
        f'APT::Update::Pre-Invoke {{ "touch {marker}"; }};\n'
        'Acquire::AllowInsecureRepositories "true";\n'
        'APT::Get::AllowUnauthenticated "true";\n'
        'Acquire::http::Proxy "http://proxy.example:3128";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(machine))
    archive = tmp_path / "archive"
    release(archive, "Release")
    apt = PrivateApt(tmp_path / "apt", f"file:{archive}")
    with pytest.raises(VirtualPhoneError, match="not signed"):
        apt.update()
    assert not marker.exists()
    # How to reach the network is the machine's to say.
    assert "http://proxy.example:3128" in (tmp_path / "apt" / "apt.conf").read_text()


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VirtualPhoneError, match=r"apt-get and apt-cache and dpkg-deb is missing"):
        need_tools()
