"""Members of what rows know: the same as those of files that are described, made with less."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from django_stream_zip.members import storage_member
from django_stream_zip.members.collect import Collector, StoredFile
from django_stream_zip.members.known import KnownContent
from django_stream_zip.members.readers import Metadata
from django_stream_zip.members.readers.local import FileReader
from django_stream_zip.members.readers.table import _READERS, class_path
from django_stream_zip.members.storage import ReaderContent
from django_stream_zip.planning.content import ContentChangedError

TIME = datetime(2024, 2, 29, 12, 30, 5, 123457, tzinfo=UTC)
KNOWN = Metadata(5, 0x3610A686, TIME)


@pytest.fixture
def storage(tmp_path: Path) -> FileSystemStorage:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_bytes(b"hello")
    return FileSystemStorage(tmp_path)


def collected(storage: Any, name: str, metadata: Metadata, **options: Any) -> Any:
    [member] = Collector(**options).members([StoredFile(storage, name, metadata=metadata)])
    return member


@pytest.mark.parametrize("kept", [None, "", "5-16f"])
@pytest.mark.parametrize("decode", [None, False])
@pytest.mark.parametrize(
    "at", [TIME, datetime(2024, 2, 29), datetime.min.replace(tzinfo=UTC), datetime.max]
)
def test_they_are_those_of_the_other_way(
    storage: FileSystemStorage, at: datetime, decode: bool | None, kept: str | None
) -> None:
    known = KNOWN._replace(modified_at=at, validator=kept)
    *values, content = collected(storage, "a/b.jpg", known, decode=decode)
    *others, other = storage_member(
        storage, "a/b.jpg", size=5, crc_32=known.crc_32, modified_at=at, validator=kept,
        decode=decode,
    )  # fmt: skip

    assert isinstance(content, KnownContent)
    assert isinstance(other, ReaderContent)
    assert values == others
    for name in (
        "identity", "validator", "size", "crc_32", "local_state", "is_settled", "is_deflated",
        "is_remote", "defers", "may_grow", "stored_name",
    ):  # fmt: skip
        assert getattr(content, name) == getattr(other, name), name
    expected = vars(other.reader) | {"may_pass": False, "is_verified": False}
    assert vars(content.reader) | {"may_pass": False, "is_verified": False} == expected


def test_they_are_read_as_often_as_one_likes(storage: FileSystemStorage) -> None:
    content = collected(storage, "a/b.jpg", KNOWN)[4]
    assert content.whole() == b"hello"
    assert b"".join(content.chunks(1, 3)) == b"el"
    content.prepare()
    assert content.reader is content.reader
    assert b"".join(content.chunks()) == b"".join(content) == b"hello"


def test_nothing_but_what_the_row_says_is_read(storage: FileSystemStorage) -> None:
    content = collected(storage, "a/b.jpg", KNOWN._replace(size=4))[4]
    with pytest.raises(ContentChangedError):
        list(content.chunks())
    content = collected(storage, "a/b.jpg", KNOWN._replace(validator="5-0"))[4]
    with pytest.raises(ContentChangedError):
        content.whole()


@pytest.mark.parametrize("size", ["5", 5.0])
def test_values_that_no_row_should_have(storage: FileSystemStorage, size: Any) -> None:
    with pytest.raises(TypeError, match="the size of"):
        collected(storage, "a/b.jpg", KNOWN._replace(size=size))


class Careful(FileReader):
    """Settles more when it is made."""


class CarefulStorage(FileSystemStorage):
    pass


def test_other_readers_are_made_with_their_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_READERS, class_path(CarefulStorage), Careful)
    content = collected(CarefulStorage(tmp_path), "b.jpg", KNOWN)[4]
    assert isinstance(content.reader, Careful)
    assert isinstance(content, ReaderContent)
    assert isinstance(collected(InMemoryStorage(), "b.jpg", KNOWN)[4], ReaderContent)


def test_what_is_missing_is_asked_for_all_the_same(storage: FileSystemStorage) -> None:
    files = [StoredFile(storage, "a/b.jpg", metadata=KNOWN), StoredFile(storage, "c", None, KNOWN)]
    assert len(list(Collector().members(files))) == 2
    assert len(list(Collector(missing="skip").members(files))) == 1
