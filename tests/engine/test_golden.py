"""The bytes of a fixed archive: they stay what they are, or spec.REVISION goes up.

An entity tag promises that the same members give the same bytes, also from the next release. What
deflate makes is zlib's affair, so here the caller's compression object makes stored blocks, and
what ZIP_AUTO deflates is empty.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from datetime import UTC, datetime, timedelta, timezone
from struct import pack
from typing import Any

import pytest

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    stream_zip,
)
from django_stream_zip.engine import spec
from tests.support.sources import numbered_random

CONTENT = bytes(range(256)) * 300  # longer than a stored block
FILE, FOLDER, LINK = stat.S_IFREG | 0o640, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777
TIMES = (
    datetime(2024, 2, 29, 12, 34, 57, 999_999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2107, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=5, minutes=30))),
)

# By REVISION, then by archive. Old ones may be thrown away.
GOLDEN = {
    1: {
        "plain": "f83f18a4131bd69453524825bae76674ae230b23775f1b0ea1edb2f757bf79a4",
        "without timestamps": "1da87d258edab4b3a5bd6f110c1d68c5b37d73c20f19ee64d7af5afda5b99370",
        "encrypted": "46829c819a1188884e3121335646472aae31b3f544aef8ab8c7bb2bdbac0b779",
        "empty": "8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85",
    }
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without timestamps": {"extended_timestamps": False},
    "encrypted": {"password": "pässword"},
}


class Storing:
    """A compression object whose bytes depend on no library."""

    def compress(self, data: bytes) -> bytes:
        pieces = (data[start : start + 1000] for start in range(0, len(data), 1000))
        return b"".join(pack("<BHH", 0, len(p), len(p) ^ 0xFFFF) + p for p in pieces)

    def flush(self) -> bytes:
        return b"\x01\x00\x00\xff\xff"


def members() -> list[tuple[Any, ...]]:
    size, crc_32 = len(CONTENT), zlib.crc32(CONTENT)
    methods: list[tuple[Any, bytes]] = [
        (ZIP_32, CONTENT),
        (ZIP_64, CONTENT),
        (ZIP_AUTO(0), b""),
        (NO_COMPRESSION_32, CONTENT),
        (NO_COMPRESSION_64, CONTENT),
        (NO_COMPRESSION_32(size, crc_32), CONTENT),
        (NO_COMPRESSION_64(size, crc_32), CONTENT),
        (NO_COMPRESSION_AUTO(size), CONTENT),
        (NO_COMPRESSION_AUTO(size, crc_32), CONTENT),
        (NO_COMPRESSION_AUTO(0), b""),
    ]
    files = [
        (f"grüße/{number}", TIMES[number % 3], FILE, method, [content[:7000], content[7000:]])
        for number, (method, content) in enumerate(methods)
    ]
    return [
        *files,
        ("folder/", TIMES[0], FOLDER, NO_COMPRESSION_32(0, 0), []),
        ("link", TIMES[0], LINK, NO_COMPRESSION_32, [b"folder"]),
    ]


def sha256(files: list[tuple[Any, ...]], **options: Any) -> str:
    blocks = stream_zip(
        files, get_compressobj=Storing, get_crypto_random=numbered_random(), **options
    )
    return hashlib.sha256(b"".join(blocks)).hexdigest()


@pytest.mark.parametrize("name", [*OPTIONS, "empty"])
def test_the_bytes_are_those_of_this_revision(name: str) -> None:
    found = sha256(members(), **OPTIONS[name]) if name in OPTIONS else sha256([])
    expected = GOLDEN.get(spec.REVISION, {}).get(name)
    assert found == expected, (
        f"the bytes of the archive {name!r} have changed. If that is meant, bump the revision "
        f"(spec.REVISION is {spec.REVISION}) and put {found} here: with another revision, clients "
        f"that resume a download from before the change begin anew instead of mixing both"
    )
