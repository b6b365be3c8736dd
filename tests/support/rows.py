"""Makes rows whose files are there, and reads the members that were made of rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from tests.models import Document, Picture
from tests.support.counting import TIME, CountingStorage

Members = Iterable[tuple[Any, ...]]


def content_of(title: str) -> bytes:
    """Return what is in a document of this title."""
    return f"content of {title}".encode()


def make_document(storage: CountingStorage, title: str = "a", **fields: Any) -> Document:
    """Make a document whose row tells nothing of its file."""
    file = fields.setdefault("file", f"docs/{title}.pdf")
    if file:
        storage.files[file] = content_of(title)
    return Document.objects.create(title=title, **fields)


def make_known_document(storage: CountingStorage, title: str = "a", **fields: Any) -> Document:
    """Make a document whose row tells all of its file."""
    content = content_of(title)
    known = {"size": len(content), "crc_32": zlib.crc32(content), "uploaded_at": TIME}
    return make_document(storage, title, **known, **fields)


def make_picture(storage: CountingStorage, name: str, **fields: Any) -> Picture:
    """Make a picture with both files."""
    storage.files[f"{name}.jpg"] = b"original"
    storage.files[f"{name}-small.jpg"] = b"thumbnail"
    return Picture.objects.create(
        original=f"{name}.jpg", thumbnail=f"{name}-small.jpg", original_size=8, **fields
    )


#: Options with which a row tells all of a document's file.
KNOWN = {"size": "size", "crc_32": "crc_32", "modified_at": "uploaded_at"}


def names_of(members: Members) -> list[str]:
    """Return the members' names, in order."""
    return [member[0] for member in members]


def contents_of(members: Members) -> dict[str, bytes]:
    """Read the members."""
    return {member[0]: b"".join(member[4]) for member in members}
