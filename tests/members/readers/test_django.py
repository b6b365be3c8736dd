"""Django's own storages, and any storage through what every one has."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from django_stream_zip.members import storage_member
from django_stream_zip.members.readers import Reader
from django_stream_zip.planning.content import ContentChangedError
from tests.support.contents import open_files
from tests.support.contract import DATA, TIME, ListingContract, Place, ReaderContract


class TestFileSystemStorage(ListingContract, ReaderContract):
    reader_class = "FileReader"

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(FileSystemStorage(tmp_path))

    def test_a_file_is_looked_at_once(
        self, place: Place, name: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen, real = [], os.stat
        monkeypatch.setattr(os, "stat", lambda *args, **kw: seen.append(args) or real(*args, **kw))
        storage_member(place.storage, name)
        monkeypatch.undo()
        assert len(seen) == 1

    def test_a_file_that_was_touched_is_not_read(
        self, place: Place, name: str, reader: Reader
    ) -> None:
        reader.describe()
        os.utime(place.storage.path(name), ns=(1, 1))
        with pytest.raises(ContentChangedError):
            list(reader.chunks())


class TestInMemoryStorage(ListingContract, ReaderContract):
    reader_class = "MemoryReader"

    @pytest.fixture
    def place(self) -> Place:
        return Place(InMemoryStorage())

    # BUG: through `open()` they share one position, and get each other's bytes.
    def test_readers_do_not_disturb_each_other(self, place: Place, reader: Reader) -> None:
        pairs = list(zip(reader.chunks(), reader.chunks(), strict=True))
        assert all(one == other for one, other in pairs)

    def test_a_file_that_was_saved_as_text_is_read_as_bytes(self, place: Place) -> None:
        place.storage.save("text.txt", ContentFile("grün"))
        reader = place.reader("text.txt")
        assert reader.describe().size == 5
        assert b"".join(reader.chunks()) == "grün".encode()

    def test_a_folder_is_no_file(self, place: Place, name: str, reader: Reader) -> None:
        with pytest.raises(IsADirectoryError):
            place.reader("folder").describe()


class Plain(FileSystemStorage):
    """Overrides how files are opened, and counts those that are open."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.opened = 0

    def _open(self, name: str, mode: str = "rb") -> Any:
        self.opened += 1
        return super()._open(name, mode)


class TestAnyStorage(ListingContract, ReaderContract):
    reader_class = "GenericReader"
    tells_size = False

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        # Through `open()` nobody can tell one version from another.
        return Place(Plain(tmp_path), detects_replacement=False)

    def test_it_closes_what_it_opens(self, place: Place, reader: Reader) -> None:
        before = open_files()
        list(reader.chunks())
        chunks: Any = reader.chunks(5)
        next(chunks)
        assert open_files() != before
        chunks.close()
        assert open_files() == before
        assert place.storage.opened == 2


class Timeless(Plain):
    """Knows no times, as those of Dropbox and FTP."""

    def get_modified_time(self, name: str) -> datetime:
        raise NotImplementedError


def test_a_storage_without_times_gives_members_without_validator(tmp_path: Path) -> None:
    storage = Timeless(tmp_path)
    storage.save("a.jpg", ContentFile(DATA))
    member = storage_member(storage, "a.jpg")
    assert member[1] == datetime(1980, 1, 1)
    assert member[4].size == len(DATA)
    assert member[4].validator is None
    assert b"".join(member[4]) == DATA
    assert storage_member(storage, "a.jpg", modified_at=TIME)[4].validator is not None


class Streaming(Plain):
    """Has what is proposed for django-storages."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.streams: list[tuple[int, int | None]] = []
        self.closed = 0

    @contextmanager
    def open_stream(self, name: str, start: int = 0, length: int | None = None) -> Any:
        self.streams.append((start, length))
        with open(self.path(name), "rb") as file:
            file.seek(start)
            data = file.read() if length is None else file.read(length)
            try:
                yield ForwardOnly(data)
            finally:
                self.closed += 1


class ForwardOnly:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, length: int) -> bytes:
        piece, self._data = self._data[:length], self._data[length:]
        return piece


class TestStorageWithStreams(ListingContract, ReaderContract):
    reader_class = "StreamReader"
    tells_size = False

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(Streaming(tmp_path), detects_replacement=False)

    def test_streams_are_opened_for_the_range_and_closed(
        self, place: Place, reader: Reader
    ) -> None:
        list(reader.chunks(5, 10))
        chunks: Any = reader.chunks(7)
        next(chunks)
        chunks.close()
        assert place.storage.streams == [(5, 5), (7, None)]
        assert place.storage.closed == 2
        assert place.storage.opened == 0
