"""Files changed at random: as a bad disk does it, as an editor does it, and as an attacker does it.

`mutated` takes a file's bytes and a seeded generator. Which changes are tried depends on what the
bytes are: zip archives are also changed inside a member and packed again with checksums that fit,
text is also changed token by token, and numbers become the largest, negative, deep or no numbers.
"""

from __future__ import annotations

import io
import random
import re
import warnings
import zipfile
from collections.abc import Callable
from typing import Final

Mutation = Callable[[bytes, random.Random], bytes]

_MOST_BYTES: Final = 4 << 20
_EXTREMES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_NUMBERS: Final = (
    *("-1", "0", "1e999", "-1e308", "1" + "0" * 400, "0.1e-400", "NaN", "Infinity", "null"),
    *("true", "[]", "{}", '""', "9007199254740993", "1e400", "-0"),
)
_STRINGS: Final = (
    *('"pass"', '"fail"', '"\\u0000"', '"\\ud800"', '"../../etc/passwd"', '"\\n::error::"', "7"),
    *("null", "[]", '""', '"' + "a" * 70_000 + '"', '"inf"', '"nan"'),
)
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


def flip_bits(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 8, 64))):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    start = generator.randrange(len(changed))
    size = generator.choice((1, 4, 16, 256))
    fill = generator.choice((b"\0", b"\xff", None))
    part = generator.randbytes(size) if fill is None else fill * size
    changed[start : start + size] = part
    return bytes(changed)


def cut(data: bytes, generator: random.Random) -> bytes:
    return data[: generator.randrange(len(data))]


def remove(data: bytes, generator: random.Random) -> bytes:
    start = generator.randrange(len(data))
    return data[:start] + data[start + generator.choice((1, 2, 4, 64, 1024)) :]


def insert(data: bytes, generator: random.Random) -> bytes:
    start = generator.randrange(len(data) + 1)
    return data[:start] + generator.randbytes(generator.choice((1, 2, 4, 64))) + data[start:]


def repeat(data: bytes, generator: random.Random) -> bytes:
    start = generator.randrange(len(data))
    part = data[start : start + generator.choice((1, 8, 64, 1024))]
    return data[:start] + part * generator.choice((2, 3, 50)) + data[start + len(part) :]


def swap(data: bytes, generator: random.Random) -> bytes:
    size = generator.choice((1, 4, 32))
    one, other = sorted(generator.randrange(len(data)) for _ in range(2))
    changed = bytearray(data)
    first, second = data[one : one + size], data[other : other + size]
    changed[one : one + size], changed[other : other + size] = second, first
    return bytes(changed)


def set_integer(data: bytes, generator: random.Random) -> bytes:
    """A little-endian integer of 1 to 8 bytes becomes an extreme one."""
    size = generator.choice((1, 2, 4, 4, 4, 8))
    if len(data) < size:
        return flip_bits(data, generator)
    start = generator.randrange(len(data) - size + 1)
    if generator.random() < 0.7:
        start -= start % min(size, 4)
    value = generator.choice(_EXTREMES) % (1 << (8 * size))
    return data[:start] + value.to_bytes(size, "little") + data[start + size :]


_OF_BYTES: Final[tuple[Mutation, ...]] = (
    *(flip_bits, flip_bits, overwrite, cut, remove, insert, repeat, swap, set_integer, set_integer),
)


def replace_token(data: bytes, generator: random.Random) -> bytes:
    """A number or a string of the text becomes another thing."""
    pattern, others = generator.choice(((_NUMBER, _NUMBERS), (_STRING, _STRINGS)))
    found = list(pattern.finditer(data))
    if not found:
        return flip_bits(data, generator)
    place = generator.choice(found)
    return data[: place.start()] + generator.choice(others).encode() + data[place.end() :]


def nest(data: bytes, generator: random.Random) -> bytes:
    """A value deep inside brackets."""
    depth = generator.choice((50, 1_000, 20_000, 200_000))
    found = list(_NUMBER.finditer(data)) or list(_STRING.finditer(data))
    if not found:
        return b"[" * depth + data
    place = generator.choice(found)
    start, end = generator.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return data[: place.start()] + start * depth + place[0] + end * depth + data[place.end() :]


def remove_line(data: bytes, generator: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[generator.randrange(len(lines))]
    return b"".join(lines)


def repeat_line(data: bytes, generator: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    place = generator.randrange(len(lines))
    lines[place:place] = [lines[generator.randrange(len(lines))]] * generator.choice((1, 2, 1000))
    return b"".join(lines)


_OF_TEXT: Final[tuple[Mutation, ...]] = (
    *(replace_token, replace_token, replace_token, nest, remove_line, repeat_line),
)


def inside_zip(data: bytes, generator: random.Random) -> bytes:
    """A member is changed, renamed, doubled or left out, and all checksums fit again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    place = generator.randrange(len(members))
    info, content = members[place]
    kind = generator.randrange(8)
    if kind == 0:
        del members[place]
    elif kind == 1:
        members.append((info, content))
    elif kind == 2:
        info.filename = generator.choice(("../x", "a\nb", "", "x" * 60_000, info.filename * 2))
    elif content:
        members[place] = (info, mutated(content, generator))
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w") as archive:
        warnings.simplefilter("ignore")  # members of one name are meant
        for info, content in members:
            archive.writestr(info, content)
    return packed.getvalue()


def mutated(data: bytes, generator: random.Random) -> bytes:
    """``data`` changed in one to three ways; never as it was."""
    if not data:
        return b"\0"
    changed = data
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        if not changed:
            break
        # Lines of a megabyte, a thousand times, would only show how slow that is to write.
        changed = generator.choice(_fitting(changed))(changed, generator)[:_MOST_BYTES]
    return changed if changed != data else data + b"\0"


def _fitting(data: bytes) -> tuple[Mutation, ...]:
    if zipfile.is_zipfile(io.BytesIO(data)):
        return (*_OF_BYTES, *(_inside_if_whole,) * len(_OF_BYTES))
    if b"\0" not in data:
        return (*_OF_BYTES, *_OF_TEXT, *_OF_TEXT)
    return _OF_BYTES


def _inside_if_whole(data: bytes, generator: random.Random) -> bytes:
    try:
        return inside_zip(data, generator)
    except Exception:  # noqa: BLE001  an earlier change has damaged it: damage it more
        return flip_bits(data, generator)
