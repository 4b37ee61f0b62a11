"""The parts an image is put together from: packages, the archive, the patched daemon."""

from __future__ import annotations

import base64
import io
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual import enforce, userland
from devdiff.device_runner.virtual.cpio import CpioWriter
from devdiff.device_runner.virtual.deb import DebMember, members

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as the kernel's unpacker would see it."""

    mode: int
    uid: int
    links: int
    content: bytes


def unpack(archive: bytes) -> dict[str, Entry]:
    """The kernel's side of the format, from its documentation."""
    found: dict[str, Entry] = {}
    at = 0
    while True:
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        numbers = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + numbers[11]
        name = archive[at + 110 : name_end - 1].decode()
        assert archive[name_end - 1] == 0
        begin = -(-name_end // 4) * 4
        if name == "TRAILER!!!":
            assert begin == len(archive)
            return found
        content = archive[begin : begin + numbers[6]]
        found[name] = Entry(numbers[1], numbers[2], numbers[4], content)
        at = -(-(begin + numbers[6]) // 4) * 4


def test_an_archive_holds_what_was_put_into_it() -> None:
    stream = io.BytesIO()
    archive = CpioWriter(stream)
    archive.directory("bin")
    for length in range(5):
        archive.file("bin/" + "x" * (length + 1), b"content"[:length], 0o755)
    archive.link("sh", "bin/xx")
    archive.close()
    found = unpack(stream.getvalue())
    assert list(found) == ["bin", "bin/x", "bin/xx", "bin/xxx", "bin/xxxx", "bin/xxxxx", "sh"]
    assert found["bin"] == Entry(stat.S_IFDIR | 0o755, 0, 2, b"")
    assert found["bin/xxxxx"] == Entry(stat.S_IFREG | 0o755, 0, 1, b"cont")
    assert found["sh"] == Entry(stat.S_IFLNK | 0o777, 0, 1, b"bin/xx")


def package(folder: Path) -> Path:
    """A package with a library, a link to it and something nobody asked for."""
    tree = folder / "tree"
    libraries = tree / "usr/lib/aarch64-linux-gnu"
    (libraries / "gconv").mkdir(parents=True)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: a\nVersion: 1\nArchitecture: arm64\nMaintainer: a <a@example.com>\n"
        "Description: a\n"
    )
    (libraries / "liba.so.1.2").write_bytes(b"library" * 100_000)
    (libraries / "liba.so.1").symlink_to("liba.so.1.2")
    (libraries / "gconv/UTF-7.so").write_bytes(b"unwanted")
    deb = folder / "a.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(deb)], check=True, capture_output=True)
    return deb


def test_only_wanted_files_leave_a_package(tmp_path: Path) -> None:
    assert members(package(tmp_path), userland.wanted) == {
        "usr/lib/aarch64-linux-gnu/liba.so.1": DebMember(b"", "liba.so.1.2"),
        "usr/lib/aarch64-linux-gnu/liba.so.1.2": DebMember(b"library" * 100_000),
    }


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "flipped"])
def test_a_damaged_package_is_an_error(tmp_path: Path, damage: str) -> None:
    deb = package(tmp_path)
    whole = deb.read_bytes()
    if damage == "missing":
        deb.unlink()
    elif damage == "flipped":
        middle = len(whole) * 3 // 4
        deb.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    else:
        deb.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    with pytest.raises(VirtualPhoneError, match=r"cannot read the package a\.deb"):
        members(deb, userland.wanted)


def test_the_commands_of_busybox_are_read_from_its_table() -> None:
    names = sorted({"[", "[[", "sh", "sha256sum", "df", *(f"tool{i}" for i in range(200))})
    program = b"\x7fELF \0 usage: [options]\0" + "\0".join(names).encode() + b"\0\0\1\2more"
    assert userland.applets(program) == tuple(names)
    with pytest.raises(VirtualPhoneError, match="no table of commands"):
        userland.applets(program.replace(b"sha256sum", b"sha257sum"))


def test_a_kernel_qemu_cannot_start_is_refused() -> None:
    name = "boot/vmlinuz-6.12-arm64"
    with pytest.raises(VirtualPhoneError, match="no plain ARM64 kernel"):
        userland.kernel({name: DebMember(b"MZ\0\0zimg" + bytes(100))})
    with pytest.raises(VirtualPhoneError, match="hold 0 files"):
        userland.kernel({})
    plain = bytes(56) + b"ARM\x64" + bytes(8)
    assert userland.kernel({name: DebMember(plain)}) == plain


def daemon(instruction: str) -> bytes:
    return bytes(0x3AEA8) + bytes.fromhex(instruction) + bytes(64)


def test_authentication_is_switched_on_by_one_instruction() -> None:
    before = daemon("1f010039")
    after = enforce.enforcing(before, "34.0.5-12")
    changed = [i for i in range(len(before)) if before[i] != after[i]]
    assert len(after) == len(before)
    assert changed
    assert set(changed) <= set(range(0x3AEA8, 0x3AEAC))
    assert after[0x3AEA8:0x3AEAC].hex() == "1f2003d5"


@pytest.mark.parametrize(
    ("instruction", "version"),
    [("1f010039", "34.0.5-13"), ("1f2003d5", "34.0.5-12"), ("00000000", "35.0.0-1")],
)
def test_another_daemon_is_not_patched(instruction: str, version: str) -> None:
    with pytest.raises(VirtualPhoneError, match=r"keys can be enforced only with adbd 34\.0\.5-12"):
        enforce.enforcing(daemon(instruction), version)


def test_only_public_keys_are_taken(tmp_path: Path) -> None:
    key = tmp_path / "adbkey.pub"
    line = base64.b64encode(bytes(524)).decode() + " me@here"
    key.write_text(line + "\n")
    assert enforce.public_key(key) == line
    for wrong in ("", "-----BEGIN PRIVATE KEY-----\nabc\n", "QUJD me@here", f"{line}\n{line}", "é"):
        key.write_text(wrong)
        with pytest.raises(VirtualPhoneError, match="no public adb key"):
            enforce.public_key(key)
    with pytest.raises(VirtualPhoneError, match="cannot read the key"):
        enforce.public_key(tmp_path / "absent")
