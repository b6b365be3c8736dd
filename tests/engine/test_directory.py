"""Central directories: what an archive keeps of its members until its end."""

from __future__ import annotations

import pytest

from django_stream_zip import NO_COMPRESSION_AUTO
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.directory import Directory, HeldDirectory, KnownDirectory
from django_stream_zip.engine.streams import make_options
from tests.support.contents import MODE, TIME


def written(directory: Directory, number: int = 2000) -> list[bytes]:
    """Write so many members; return their local file headers, and what comes behind them."""
    archive = Archive(make_options(), directory=directory)
    pieces = []
    for member in range(number):
        pieces.append(archive.begin(f"{member}", TIME, MODE, NO_COMPRESSION_AUTO(9, member)))
        archive.skip(9)
        archive.end(member)
    return [*pieces, b"".join(archive.finish())]


@pytest.mark.parametrize("number", [0, 1, 2000])
def test_a_known_directory_is_a_held_one(number: int) -> None:
    assert written(KnownDirectory(), number) == written(HeldDirectory(), number)


def test_any_header_can_be_found() -> None:
    directory = KnownDirectory()
    *headers, _ = written(directory)
    assert [directory.local_file_header(number) for number in range(2000)] == headers
    data = b"".join(directory.blocks())
    assert len(directory.starts) == 2001
    assert directory.starts[-1] == directory.size == len(data)
    assert all(data.startswith(b"PK\x01\x02", start) for start in directory.starts[:-1])


def test_a_crc_32_is_set_in_a_copy() -> None:
    directory = KnownDirectory()
    written(directory)
    before = b"".join(directory.blocks())
    copied = directory.copy()
    copied.set_crc_32(1999, 0xA1A2A3A4)
    assert copied.local_file_header(1999)[14:18] == bytes.fromhex("a4a3a2a1")
    assert copied.local_file_header(1998) == directory.local_file_header(1998)
    assert b"".join(directory.blocks()) == before != b"".join(copied.blocks())
