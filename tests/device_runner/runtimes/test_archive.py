"""An app's archive is read as every other reader reads it, or refused with the reason."""

from __future__ import annotations

import io
import random
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import ArchiveError
from devdiff.device_runner.runtimes.archive import Archive, open_archive
from devdiff.exporter.artifact import sha256_file
from tests.support.app_archives import archive, packed, patched

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = random.Random(0).randbytes(5000)
MARK = 0x06054B50


def content(opened: Archive, name: str) -> bytes:
    return b"".join(opened.chunks(opened.members[name]))


def refusal(path: Path, name: str | None = None) -> str:
    """Why an archive, or one entry of it, is not read."""
    with pytest.raises(ArchiveError) as caught, open_archive(path) as opened:
        assert name is not None, sorted(opened.members)
        content(opened, name)
    said = str(caught.value)
    assert path.name in said
    assert "\n" not in said
    return said


def made(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes], stored: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", 0 if stored else zipfile.ZIP_DEFLATED) as opened:
        for name, data in entries:
            opened.writestr(name, data)
    return path


def test_heads_and_contents_are_those_of_the_files(tmp_path: Path) -> None:
    app = made(tmp_path / "app.apk", ("stored", CONTENT))
    with zipfile.ZipFile(app, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("folder/", b"")
        opened.writestr("folder/packed", CONTENT * 3)
        opened.writestr("empty", b"")
    with open_archive(app) as read:
        assert list(read.members) == ["empty", "folder/packed", "stored"]
        assert content(read, "stored") == CONTENT
        assert content(read, "folder/packed") == CONTENT * 3
        assert content(read, "empty") == b""
        assert read.head(read.members["stored"], 8) == CONTENT[:8]
        assert read.head(read.members["folder/packed"], 9000) == (CONTENT * 3)[:9000]
        assert read.head(read.members["folder/packed"], 1 << 20) == CONTENT * 3
        assert read.head(read.members["empty"], 8) == b""
        stored = read.members["stored"]
        assert app.read_bytes()[stored.offset :][: stored.size] == CONTENT


@pytest.mark.parametrize("stored", [True, False])
def test_an_archive_in_an_archive_is_read_where_it_lies(tmp_path: Path, stored: bool) -> None:
    inner = packed({"a": b"x", "deep": packed({"model": CONTENT})})
    app = made(tmp_path / "app.xapk", ("first", b"1"), ("base.apk", inner), stored=stored)
    before = set(tmp_path.iterdir())
    with open_archive(app) as read:
        base = read.inside(read.members["base.apk"])
        deep = base.inside(base.members["deep"])
        assert content(deep, "model") == CONTENT
        assert content(read, "first") == b"1"
        assert content(base, "a") == b"x"
        assert deep.label == "deep in base.apk in app.xapk"
    assert set(tmp_path.iterdir()) == before


def test_a_head_is_found_behind_empty_blocks(tmp_path: Path) -> None:
    """A deflated stream may begin with any number of blocks that hold nothing."""
    empty = b"\x00\x00\x00\xff\xff" * 3000
    packer = zlib.compressobj(wbits=-15)
    raw = empty + packer.compress(CONTENT) + packer.flush()
    info = zipfile.ZipInfo("slow")
    info.compress_type = zipfile.ZIP_STORED
    app = patched_method(made(tmp_path / "app.apk", (info, raw)), CONTENT)
    with open_archive(app) as read:
        assert read.head(read.members["slow"], 8) == CONTENT[:8]
        assert content(read, "slow") == CONTENT


def patched_method(path: Path, truth: bytes) -> Path:
    """The archive, its only entry declared to be the deflated form of ``truth``."""
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\1\2")
    for at, shift in ((0, 0), (central, 2)):
        struct.pack_into("<H", data, at + 8 + shift, zipfile.ZIP_DEFLATED)
        struct.pack_into("<L", data, at + 14 + shift, zlib.crc32(truth))
        struct.pack_into("<L", data, at + 22 + shift, len(truth))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("content", [b"", b"hello", b"\x7fELF" + bytes(100), b"PK", bytes(5000)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "app.apk").write_bytes(content)
    assert "no zip archive" in refusal(tmp_path / "app.apk")


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    app = made(tmp_path / "app.apk", ("a", CONTENT))
    with open_archive(app) as read:
        content(read, "a")
        assert read.sha256() == (sha256_file(app), app.stat().st_size)


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    whole = made(tmp_path / "app.apk", ("a", CONTENT)).read_bytes()
    for size in (10, len(CONTENT), len(whole) - 30, len(whole) - 1):
        (tmp_path / "app.apk").write_bytes(whole[:size])
        assert "cut short" in refusal(tmp_path / "app.apk")


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../b", "/etc/passwd", "a\\b", "C:/a", "a//b", "./a", "a\x1b[2J", "a\nb", "x/.."],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    said = refusal(made(tmp_path / "app.apk", ("fine", b"x"), (name, b"x")))
    assert "leads elsewhere" in said or "not the name of a file" in said
    assert "\x1b" not in said


def test_a_name_cut_by_a_zero_is_refused(tmp_path: Path) -> None:
    app = made(tmp_path / "app.apk", ("model.tfliteX.png", b"x"))
    app.write_bytes(app.read_bytes().replace(b"tfliteX", b"tflite\0"))
    assert "not the name of a file" in refusal(app)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    app = made(tmp_path / "app.apk", ("a", b"one"), ("b", b"two"))
    app.write_bytes(app.read_bytes().replace(b"b", b"a"))
    assert "'a' in app.apk is there twice" in refusal(app)


@pytest.mark.parametrize("flag", [0x1, 0x41, 0x2000])
def test_an_encrypted_entry_is_refused(tmp_path: Path, flag: int) -> None:
    app = made(tmp_path / "app.apk", ("a", CONTENT))
    assert "'a' in app.apk is encrypted" in refusal(
        patched(app, local=6, central=8, form="<H", value=flag)
    )


def local(path: Path, at: int, form: str, value: int) -> Path:
    """The archive with a field of its first entry changed in the entry's own header alone."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, at, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [(8, "<H", 8), (14, "<L", 1), (18, "<L", 100), (22, "<L", 100), (30, "B", ord("b"))],
    ids=["method", "checksum", "packed size", "size", "name"],
)
def test_headers_that_contradict_the_directory_are_refused(
    tmp_path: Path, at: int, form: str, value: int
) -> None:
    """Another reader would take another file."""
    app = local(made(tmp_path / "app.apk", ("a", CONTENT)), at, form, value)
    assert "say different things" in refusal(app)


def test_sizes_may_follow_the_content(tmp_path: Path) -> None:
    """As writers do that cannot seek."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            assert isinstance(data, bytes | bytearray | memoryview)
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a", CONTENT)
        opened.writestr("b", CONTENT)
    (tmp_path / "app.apk").write_bytes(pipe.data)
    with open_archive(tmp_path / "app.apk") as read:
        assert content(read, "a") == content(read, "b") == CONTENT


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a")
    info.compress_type = zipfile.ZIP_LZMA
    assert "Android does not read" in refusal(made(tmp_path / "app.apk", (info, CONTENT)))


def test_something_before_or_behind_the_archive_is_refused(tmp_path: Path) -> None:
    whole = made(tmp_path / "app.apk", ("a", CONTENT)).read_bytes()
    other = made(tmp_path / "other.apk", ("b", b"x")).read_bytes()
    (tmp_path / "app.apk").write_bytes(other + whole)
    assert "not where its end says" in refusal(tmp_path / "app.apk")
    (tmp_path / "app.apk").write_bytes(whole + b"more")
    assert "follows its end" in refusal(tmp_path / "app.apk")


def test_a_signing_block_before_the_directory_is_no_damage(tmp_path: Path) -> None:
    """It lies where APK signatures do, in no entry."""
    data = made(tmp_path / "app.apk", ("a", CONTENT)).read_bytes()
    at, block = data.rindex(b"PK\1\2"), b"APK Sig Block 42" * 10
    end = bytearray(data[at:])
    where = end.rindex(struct.pack("<L", MARK)) + 16
    struct.pack_into("<L", end, where, at + len(block))
    (tmp_path / "app.apk").write_bytes(data[:at] + block + end)
    with open_archive(tmp_path / "app.apk") as read:
        assert content(read, "a") == CONTENT


@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1, 1 << 33, 5200])
def test_an_entry_that_is_said_to_lie_nowhere_is_refused(tmp_path: Path, offset: int) -> None:
    info = zipfile.ZipInfo("a")
    info.extra = struct.pack("<HHQ", 1, 8, offset)
    data = bytearray(made(tmp_path / "app.apk", (info, CONTENT)).read_bytes())
    struct.pack_into("<L", data, data.rindex(b"PK\1\2") + 42, 0xFFFFFFFF)
    (tmp_path / "app.apk").write_bytes(data)
    assert "does not lie where" in refusal(tmp_path / "app.apk")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The bomb of overlapping files: many entries, one kernel."""
    app = made(tmp_path / "app.apk", ("a", CONTENT), ("b", CONTENT))
    data = bytearray(app.read_bytes())
    struct.pack_into("<L", data, data.rindex(b"PK\1\2") + 42, 0)
    app.write_bytes(data)
    assert "damaged" in refusal(app) or "overlaps" in refusal(app)


def test_an_entry_that_reaches_into_the_next_is_refused(tmp_path: Path) -> None:
    app = made(tmp_path / "app.apk", ("a", CONTENT), ("b", CONTENT))
    data = bytearray(app.read_bytes())
    for at, shift in ((0, 0), (data.index(b"PK\1\2"), 2)):
        for field in (18, 22):
            struct.pack_into("<L", data, at + field + shift, len(CONTENT) + 100)
    app.write_bytes(data)
    assert "overlaps" in refusal(app)


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    app = archive(tmp_path / "app.apk", {"a": bytes(50_000_000)})
    assert "swells from" in refusal(app, "a")
    with open_archive(app) as read:
        assert read.head(read.members["a"], 8) == bytes(8)


def test_an_entry_that_holds_more_than_it_claims_is_damaged(tmp_path: Path) -> None:
    app = archive(tmp_path / "app.apk", {"a": bytes(50_000_000)})
    assert "damaged" in refusal(patched(app, local=22, central=24, form="<I", value=4096), "a")


def test_a_checksum_that_does_not_fit_is_damage(tmp_path: Path) -> None:
    app = made(tmp_path / "app.apk", ("a", CONTENT))
    app.write_bytes(app.read_bytes().replace(CONTENT[:9], b"!" * 9))
    assert "damaged" in refusal(app, "a")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "is a link" in refusal(made(tmp_path / "app.apk", (info, b"/etc/passwd")), "a")


def nested(depth: int) -> bytes:
    data = packed({"model": CONTENT})
    for _ in range(depth):
        data = packed({"inner": data})
    return data


def test_archives_in_archives_end_somewhere(tmp_path: Path) -> None:
    (tmp_path / "app.apk").write_bytes(nested(9))

    def dive(opened: Archive) -> None:
        for member in opened.members.values():
            dive(opened.inside(member))

    said = "an archive in an archive, 4 deep"
    with pytest.raises(ArchiveError, match=said), open_archive(tmp_path / "app.apk") as read:
        dive(read)


def test_a_bomb_of_many_archives_is_refused(tmp_path: Path) -> None:
    inner = packed({"a": b"x"})
    with zipfile.ZipFile(tmp_path / "app.xapk", "w") as opened:
        for number in range(300):
            opened.writestr(f"{number}.apk", inner)
    said = "more than 256 archives"
    with pytest.raises(ArchiveError, match=said), open_archive(tmp_path / "app.xapk") as read:
        for member in read.members.values():
            read.inside(member)


def test_a_compressed_archive_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    app = made(tmp_path / "app.xapk", ("base.apk", packed({"a": CONTENT})), stored=False)
    data = bytearray(app.read_bytes())
    for at, shift in ((0, 0), (data.rindex(b"PK\1\2"), 2)):
        struct.pack_into("<L", data, at + 22 + shift, 300 << 20)
    app.write_bytes(data)
    with pytest.raises(ArchiveError, match="claims 314572800 bytes"), open_archive(app) as read:
        read.inside(read.members["base.apk"])


@pytest.mark.parametrize(
    ("at", "form", "value", "said"),
    [
        (8, "<H", 7, "in several"),
        (4, "<H", 1, "in several"),
        (12, "<L", 0xFFFFFFFF, "64-bit"),
        (16, "<L", 0, "not where its end says"),
    ],
)
def test_an_end_that_is_not_as_it_should_be_is_refused(
    tmp_path: Path, at: int, form: str, value: int, said: str
) -> None:
    app = made(tmp_path / "app.apk", ("a", CONTENT))
    data = bytearray(app.read_bytes())
    struct.pack_into(form, data, data.rindex(struct.pack("<L", MARK)) + at, value)
    app.write_bytes(data)
    assert said in refusal(app)


def test_a_directory_with_entries_that_its_end_does_not_count_is_refused(tmp_path: Path) -> None:
    """Android reads as many as the end counts, Python as many as there are."""
    app = made(tmp_path / "app.apk", ("a", b"x"), ("b", CONTENT))
    data = bytearray(app.read_bytes())
    at = data.rindex(struct.pack("<L", MARK))
    struct.pack_into("<HH", data, at + 8, 1, 1)
    app.write_bytes(data)
    assert "has 2 entries, not 1" in refusal(app)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_no_damage_gets_through(tmp_path: Path, compression: int) -> None:
    """Whatever is overwritten or cut off: contents as they were, or a refusal."""
    truth = {"a": b"x" * 40, "model": CONTENT[:900], "z": b"y"}
    whole = packed(truth, compression)
    generator = random.Random(1)
    outcomes = set()
    for _ in range(250):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            changed[generator.randrange(len(changed))] = generator.randrange(256)
        if generator.random() < 0.1:
            del changed[generator.randrange(8, len(changed)) :]
        (tmp_path / "app.apk").write_bytes(changed)
        try:
            with open_archive(tmp_path / "app.apk") as read:
                assert {content(read, name) for name in read.members} <= set(truth.values())
            outcomes.add("read")
        except ArchiveError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
