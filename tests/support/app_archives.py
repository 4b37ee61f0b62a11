"""Archives as apps come in, whole and tampered with."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def archive(path: Path, entries: dict[str, bytes]) -> Path:
    """A zip archive, everything in it compressed."""
    path.write_bytes(packed(entries, zipfile.ZIP_DEFLATED))
    return path


def packed(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The bytes of a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return stream.getvalue()


def patched(path: Path, *, local: int, central: int, form: str, value: int) -> Path:
    """The archive with a field of its only entry overwritten, in both of its headers."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, local, value)
    struct.pack_into(form, data, data.rindex(b"PK\1\2") + central, value)
    path.write_bytes(data)
    return path
