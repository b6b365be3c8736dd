"""Members of what rows know: the same as those of files that are described, made with less."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from django_stream_zip.members import storage_member
from django_stream_zip.members.collect import Collector, StoredFile
from django_stream_zip.members.known import KnownContent, SeenContent
from django_stream_zip.members.readers import Metadata
from django_stream_zip.members.readers.local import FileReader
from django_stream_zip.members.readers.table import _READERS, class_path
from django_stream_zip.members.storage import ReaderContent, asked, reader_member
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


@pytest.mark.parametrize("decode", [None, False])
@pytest.mark.parametrize(
    "known",
    [
        Metadata(),
        Metadata(size=5),
        Metadata(size=4),
        Metadata(modified_at=TIME),
        Metadata(crc_32=0x3610A686, validator=""),
        KNOWN,
    ],
)
def test_files_that_are_seen_are_those_of_the_other_way(
    storage: FileSystemStorage, known: Metadata, decode: bool | None
) -> None:
    os.utime(storage.path("a/b.jpg"), ns=(5, 1_600_000_000_123_456_789))
    [member] = Collector(missing="skip", decode=decode).members(
        [StoredFile(storage, "a/b.jpg", metadata=known)]
    )
    *values, content = member
    reader = FileReader(storage, "a/b.jpg", decode=decode)
    *others, other = reader_member(reader, asked(reader, known))

    assert isinstance(content, SeenContent)
    assert values == others
    for name in (
        "identity", "validator", "size", "crc_32", "local_state", "is_settled", "is_deflated",
        "is_remote", "defers", "may_grow", "stored_name",
    ):  # fmt: skip
        assert getattr(content, name) == getattr(other, name), name
    assert result(lambda: content.whole()) == result(lambda: other.whole())
    assert result(lambda: list(content.chunks(1, 3))) == result(lambda: list(other.chunks(1, 3)))
    assert list(content) == list(other) == [b"hello"]


def result(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the class of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error)


def rewritten(path: Path) -> None:
    path.write_bytes(b"olleh")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"olleh")
    other.replace(path)


def grown(path: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"hello!")
    os.utime(path, ns=times)


@pytest.mark.parametrize("change", [rewritten, replaced, grown])
@pytest.mark.parametrize("prepare", [False, True])
def test_a_file_that_is_another_one_since_it_was_seen_is_not_read(
    storage: FileSystemStorage, change: Callable[[Path], None], prepare: bool
) -> None:
    path = Path(storage.path("a/b.jpg"))
    os.utime(path, ns=(5, 1_600_000_000_123_456_789))
    content = collected(storage, "a/b.jpg", Metadata())[4]
    if prepare:
        content.prepare()
    assert content.whole() == b"hello"
    change(path)
    with pytest.raises(ContentChangedError):
        content.whole()
    with pytest.raises(ContentChangedError):
        list(content.chunks())
    assert b"".join(content) == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "known", "error"),
    [
        ("missing.jpg", Metadata(), FileNotFoundError),
        ("a", Metadata(), IsADirectoryError),
        ("pipe", Metadata(), PermissionError),
        ("../b.jpg", Metadata(), SuspiciousFileOperation),
        ("a/b.jpg", Metadata(validator="5-0"), ContentChangedError),
        ("a/b.jpg", Metadata(size="5"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_is_seen_at_once(
    storage: FileSystemStorage, name: str, known: Metadata, error: type[Exception]
) -> None:
    os.mkfifo(storage.path("pipe"))
    with pytest.raises(error):
        collected(storage, name, known)
    found = [StoredFile(storage, name, metadata=known), StoredFile(storage, "a/b.jpg")]
    assert [member[0] for member in Collector(missing="skip").members(found)] == ["b.jpg"]


def test_what_says_that_it_is_empty_is_of_unknown_size() -> None:
    content = collected(FileSystemStorage("/proc"), "self/status", Metadata())[4]
    assert content.size is None
    assert b"".join(content).startswith(b"Name:")


def test_its_own_state_follows_the_inode(storage: FileSystemStorage) -> None:
    path = Path(storage.path("a/b.jpg"))
    os.utime(path, ns=(5, 1_600_000_000_123_456_789))
    before = collected(storage, "a/b.jpg", Metadata())[4]
    replaced(path)
    os.utime(path, ns=(5, 1_600_000_000_123_456_789))
    after = collected(storage, "a/b.jpg", Metadata())[4]
    assert before.validator == after.validator
    assert before.local_state != after.local_state
    assert before.is_settled
    path.write_bytes(b"hello")
    assert not collected(storage, "a/b.jpg", Metadata())[4].is_settled


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
