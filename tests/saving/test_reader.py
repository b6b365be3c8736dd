"""An archive as a file object: read in any way, it is the archive that would be streamed."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.core.files.base import File
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import ZIP_AUTO, stream_zip
from django_stream_zip.saving import open_zip
from tests.support.contents import MODE, TIME
from tests.support.saving import InjectedError, failing, stored

DATA = random.Random(1).randbytes(200_000)


def members() -> list[Any]:
    return [stored("a.bin", DATA), stored("b.bin", b""), stored("c.bin", DATA[:1000])]


WHOLE = b"".join(stream_zip(members()))


@given(st.lists(st.integers(1, 100_000), max_size=10))
def test_each_read_is_as_long_as_was_asked(lengths: list[int]) -> None:
    with open_zip(iter(members())) as archive:
        position = 0
        for length in lengths:
            assert archive.read(length) == WHOLE[position : position + length]
            position = min(len(WHOLE), position + length)
            assert archive.tell() == position
        assert archive.read() == WHOLE[position:]
        assert archive.read(1) == b""


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) + 10), st.integers(0, 100_000)), max_size=10))
def test_a_planned_archive_is_read_from_anywhere(reads: list[tuple[int, int]]) -> None:
    with open_zip(members()) as archive:
        for start, length in reads:
            assert archive.seek(start) == start
            assert archive.read(length) == WHOLE[start : start + length]


def test_it_is_a_file_to_others() -> None:
    with open_zip(members()) as archive, zipfile.ZipFile(io.BufferedReader(archive)) as read:
        assert read.testzip() is None
        assert read.namelist() == ["a.bin", "b.bin", "c.bin"]


def test_its_size_is_known_where_it_can_be() -> None:
    with open_zip(members()) as archive:
        assert archive.size == len(WHOLE)
        assert File(archive).size == len(WHOLE)
        assert archive.seek(-22, os.SEEK_END) == len(WHOLE) - 22
        assert archive.read() == WHOLE[-22:]


def test_what_is_not_planned_has_its_current_position_only() -> None:
    with open_zip(iter(members())) as archive:
        assert not archive.seekable()
        assert not hasattr(archive, "size")
        archive.read(10)
        assert archive.seek(10) == archive.seek(0, os.SEEK_CUR) == 10
        for position, whence in ((0, os.SEEK_SET), (0, os.SEEK_END)):
            with pytest.raises(io.UnsupportedOperation):
                archive.seek(position, whence)


def test_closing_closes_what_is_open() -> None:
    members = [stored("a.bin", DATA)]
    archive = open_zip(members)
    assert members[0][4].opened == 0
    archive.read(1000)
    assert members[0][4].is_open
    archive.close()
    assert not members[0][4].is_open
    with pytest.raises(ValueError, match="closed"):
        archive.read(1)


def test_an_error_of_a_content_comes_through() -> None:
    with (
        closing(open_zip([failing("a.bin", DATA, 100_000, InjectedError())])) as archive,
        pytest.raises(InjectedError),
    ):
        archive.read()


def test_asynchronous_members_are_refused() -> None:
    async def chunks() -> Any:
        yield b"data"

    with pytest.raises(TypeError, match="asave_zip"):
        open_zip([("a.txt", TIME, MODE, ZIP_AUTO(4), chunks())])


def test_an_encrypted_archive_is_read_once() -> None:
    def read(archive: Any) -> Iterator[bytes]:
        while data := archive.read(1000):
            yield data

    with open_zip(members(), password="secret") as archive:
        assert sum(map(len, read(archive))) == archive.size
        assert not archive.seekable()
