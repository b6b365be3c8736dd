"""Contents that are as nobody expects them: files that are written to, odd storages, odd rows."""

from __future__ import annotations

import copy
import io
import mmap
import os
import pickle
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import (
    FileSystemStorage,
    InMemoryStorage,
    Storage,
    default_storage,
)
from django.db import connections
from django.db.models import F, Value, signals
from django.db.models.fields.files import FieldFile
from django.test import RequestFactory
from django.utils.deconstruct import deconstructible

from django_stream_zip import ZipIntegrityError, stream_zip
from django_stream_zip.members import (
    bytes_member,
    file_member,
    files,
    lazy_queryset_members,
    queryset_members,
    storage_member,
)
from django_stream_zip.members.collect import Collector, StoredFile
from django_stream_zip.members.field_files import OpenedByItself, is_column_enough
from django_stream_zip.members.files import CHUNK_LENGTH
from django_stream_zip.members.readers.reader import Metadata
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.response import zip_response
from tests.models import ARCHIVE, Attachment, Document, Picture, Sheet
from tests.support.contents import open_files
from tests.support.readers import read_zipfile
from tests.support.rows import contents_of

DATA = bytes(range(256)) * 1000
TIME = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)

OLD = bytes(CHUNK_LENGTH * 4)


def download(members: Any, **headers: str) -> tuple[Any, bytes]:
    response: Any = zip_response(RequestFactory().get("/", **headers), members)
    return response, response.getvalue()


# Files of this machine that are written to while they are read.


def test_a_write_that_no_time_tells_of_makes_no_mixture(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(OLD)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), len(OLD)) as mapped:
        mapped[:] = OLD  # pages that are written to already: to do so again changes no time
        before = path.stat()
        chunks = iter(file_member(path)[4])
        next(chunks)
        mapped[:] = b"1" * len(OLD)
        assert path.stat() == before
        with pytest.raises(ContentChangedError, match="was modified while"):
            list(chunks)


@pytest.mark.parametrize("was_at_rest", [True, False])
def test_a_file_that_grew_may_have_changed_by_few_bytes(
    was_at_rest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(OLD)
    monkeypatch.setattr(files, "has_settled", lambda at: was_at_rest)
    chunks = iter(file_member(path)[4])
    next(chunks)
    with path.open("r+b") as file:  # a database counts its changes in its header
        file.seek(24)
        file.write(b"1")
        file.seek(len(OLD) - 5)
        file.write(b"1" * 10)
    with pytest.raises(ContentChangedError, match="was modified while"):
        list(chunks)


@pytest.mark.parametrize("back", [0, 10**9], ids=["unchanged", "older"])
def test_who_grows_a_file_and_restores_its_time_makes_no_mixture(
    back: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(OLD)
    monkeypatch.setattr(files, "has_settled", lambda at: True)
    before = path.stat()
    chunks = iter(file_member(path)[4])
    next(chunks)
    with path.open("r+b") as file:
        file.seek(len(OLD) - 5)  # where no sample is taken
        file.write(b"1" * 10)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - back))
    with pytest.raises(ContentChangedError, match="was modified while"):
        list(chunks)


@pytest.mark.parametrize("later", [0, -(10**9)], ids=["same tick", "clock ahead"])
def test_a_file_just_written_may_grow_without_a_later_time(later: int, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(OLD)
    before = path.stat()
    chunks = iter(file_member(path)[4])
    first = next(chunks)
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))
    assert first + b"".join(chunks) == OLD


# Storages of any kind.


@deconstructible
class Given(Storage):
    """Holds one file, and says of it what it was given to say."""

    def __init__(self, size: Any = 256_000, at: Any = TIME, opens: str = "seekable") -> None:
        self._size, self._at, self._opens = size, at, opens

    def _open(self, name: str, mode: str = "rb") -> Any:
        return OPENED[self._opens]()

    def size(self, name: str) -> int:
        return self._size  # type: ignore[no-any-return]

    def get_modified_time(self, name: str) -> datetime:
        return self._at  # type: ignore[no-any-return]

    def exists(self, name: str) -> bool:
        return True


class Forward(io.RawIOBase):
    """Can't be sought in."""

    def __init__(self) -> None:
        self._source = io.BytesIO(DATA)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.readinto(buffer)


class ReadOnly:
    """Has nothing but what is needed to read it once, in pieces that are shorter than asked for."""

    def __init__(self) -> None:
        self._source, self._buffer = io.BytesIO(DATA), bytearray(1000)

    def read(self, length: int) -> memoryview:
        count = self._source.readinto(memoryview(self._buffer)[:length])
        return memoryview(self._buffer)[:count]

    def __enter__(self) -> ReadOnly:
        return self

    def __exit__(self, *error: object) -> None:
        pass


OPENED: dict[str, Any] = {
    "seekable": lambda: File(io.BytesIO(DATA)),
    "forward": Forward,
    "forward in a File": lambda: File(Forward()),
    "read only": ReadOnly,
}


@pytest.mark.parametrize("opens", OPENED)
def test_a_range_of_what_cannot_be_sought_in(opens: str) -> None:
    def members() -> Any:
        return [storage_member(Given(opens=opens), "a.jpg", crc_32=zlib.crc32(DATA))]

    response, whole = download(members())
    assert response["ETag"]
    assert read_zipfile(whole) == {"a.jpg": DATA}
    for start, stop in ((1000, len(whole)), (CHUNK_LENGTH * 2 + 77, CHUNK_LENGTH * 2 + 80)):
        response, part = download(members(), HTTP_RANGE=f"bytes={start}-{stop - 1}")
        assert (response.status_code, part) == (206, whole[start:stop])


@pytest.mark.parametrize("told", [{"size": None}, {"at": None}, {"size": None, "at": None}])
def test_a_storage_that_answers_by_none_does_not_know(told: Any) -> None:
    response, archive = download([storage_member(Given(**told), "a.jpg")])
    assert "ETag" not in response
    assert read_zipfile(archive) == {"a.jpg": DATA}


@pytest.mark.parametrize(
    "at", [datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC), datetime(59, 1, 1)]
)
def test_a_storage_may_tell_any_time(at: datetime) -> None:
    assert read_zipfile(download([storage_member(Given(at=at), "a.jpg")])[1]) == {"a.jpg": DATA}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"size": "10"}, r"size of 'a.jpg' must be a number of bytes \(an integer\), not .*'10'"),
    ({"size": 10.0}, r"size of 'a.jpg' must be a number of bytes \(an integer\), not .*10\.0"),
    ({"modified_at": 5}, r"modified_at of 'a.jpg' must be a datetime, not .*5"),
    ({"modified_at": date(2024, 1, 1)}, r"modified_at of 'a.jpg' must be a datetime"),
    ({"crc_32": "ff"}, r"crc_32 of 'a.jpg' must be an integer, not .*'ff'"),
    ({"validator": 5}, r"validator of 'a.jpg' must be text, not .*5"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_what_a_caller_knows_is_of_the_right_kind(wrong: Any, message: str) -> None:
    known = {"size": len(DATA), "modified_at": TIME, **wrong}
    with pytest.raises(TypeError, match=message):
        storage_member(Given(), "a.jpg", **known)
    with pytest.raises(TypeError, match=message):
        storage_member(Given(), "a.jpg", **wrong)


@pytest.mark.parametrize("told", [{"size": "10"}, {"size": 10.0}, {"at": 5}, {"at": "2024"}])
def test_what_a_storage_tells_is_of_the_right_kind(told: Any) -> None:
    with pytest.raises(TypeError, match=r"of 'a\.jpg' must be .*, not "):
        storage_member(Given(**told), "a.jpg")


# Where a storage looks depends on what isn't carried to where the file is read.

tenant = threading.local()


class OfThread(FileSystemStorage):
    @property
    def location(self) -> str:  # type: ignore[override]
        return str(Path(self._location) / getattr(tenant, "name", "nobody"))

    def _open(self, name: str, mode: str = "rb") -> File:
        return super()._open(name, mode)


@pytest.fixture
def of_thread(tmp_path: Path) -> Iterator[OfThread]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_bytes(name.encode())
    tenant.name = "one"
    yield OfThread(tmp_path)
    del tenant.name


@pytest.mark.parametrize("known", [{}, {"size": 3, "modified_at": TIME}])
def test_the_file_of_another_tenant_is_never_read(of_thread: OfThread, known: Any) -> None:
    member = storage_member(of_thread, "x.jpg", **known)
    assert b"".join(member[4].chunks()) == b"one"
    tenant.name = "two"
    for read in (member[4].chunks, member[4].__iter__):
        with pytest.raises(ContentChangedError, match="its storage looks elsewhere now"):
            list(read())


def test_where_files_are_shown_is_not_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(DATA)
    one, other = (FileSystemStorage(tmp_path, base_url=url) for url in ("/a/", "/b/"))
    contents = [storage_member(storage, "x.jpg")[4] for storage in (one, other)]
    assert contents[0].identity == contents[1].identity


# Rows whose file isn't what their column says.


@pytest.fixture
def archived() -> Iterator[None]:
    ARCHIVE.save("x.txt", ContentFile(b"from the archive"))
    yield
    ARCHIVE.delete("x.txt")


def from_the_archive(sender: Any, instance: Any, **kwargs: Any) -> None:
    instance.file.storage = ARCHIVE


@pytest.fixture
def chosen(archived: None) -> Iterator[None]:
    for model in (Document, Attachment):
        signals.post_init.connect(from_the_archive, sender=model)
    yield
    for model in (Document, Attachment):
        signals.post_init.disconnect(from_the_archive, sender=model)


@pytest.mark.django_db
def test_who_is_told_of_each_instance_may_choose_its_storage(chosen: None) -> None:
    document = Document.objects.create(file="x.txt")
    Attachment.objects.create(document=document, file="x.txt")
    for paths in (("file",), ("attachments__file",)):
        members = queryset_members(Document.objects.all(), *paths)
        assert contents_of(members) == {"x.txt": b"from the archive"}


def test_a_column_is_enough_where_only_django_is_told() -> None:
    assert is_column_enough(Document, Document._meta.get_field("file"))
    assert is_column_enough(Picture, Picture._meta.get_field("original"))


@pytest.mark.django_db
def test_a_property_may_hide_the_field(archived: None) -> None:
    class Rewritten(Sheet):
        class Meta:
            app_label = "tests"
            proxy = True

        @property
        def file(self) -> Any:
            file = FieldFile(self, Sheet._meta.get_field("file"), "x.txt")  # type: ignore[arg-type]
            file.storage = ARCHIVE
            return file

        @file.setter
        def file(self, value: Any) -> None:
            pass

    Sheet.objects.create(code="a", file="other.txt")
    members = queryset_members(Rewritten.objects.all(), "file")
    assert contents_of(members) == {"x.txt": b"from the archive"}


class Own(FieldFile):
    def open(self, mode: str = "rb") -> Any:
        return super().open(mode)


def test_what_opens_itself_may_be_missing() -> None:
    file = Own(Document(), Document._meta.get_field("file"), "gone.txt")  # type: ignore[arg-type]
    file.storage = InMemoryStorage()
    known = StoredFile(OpenedByItself(file), "gone.txt", metadata=Metadata(5, modified_at=TIME))
    assert list(Collector(missing="skip").members([known])) == []


@pytest.mark.django_db
@pytest.mark.parametrize("size", [Value("7"), F("size") * 1.0])
def test_an_annotation_is_no_size(size: Any) -> None:
    Document.objects.create(file="x.txt", size=7, uploaded_at=TIME)
    rows = Document.objects.annotate(n=size)
    with pytest.raises(TypeError, match=r"size of 'x\.txt' must be a number of bytes"):
        queryset_members(rows, size="n", modified_at="uploaded_at")


# What grows.

PHOTO = bytes(range(256)) * 4000


@pytest.mark.parametrize(
    "build",
    [
        lambda path: file_member(path),
        lambda path: storage_member(FileSystemStorage(path.parent), path.name),
    ],
    ids=["file", "storage"],
)
def test_a_log_among_photos_may_grow_before_its_turn(build: Any, tmp_path: Path) -> None:
    path = tmp_path / "App.LOG"
    path.write_bytes(b"a line\n")
    members = [bytes_member(PHOTO, "a.jpg"), build(path)]
    response: Any = zip_response(RequestFactory().get("/"), members)
    assert "Content-Length" not in response.headers
    with path.open("ab") as file:
        file.write(b"one more line\n")
    assert read_zipfile(response.getvalue()) == {
        "a.jpg": PHOTO,
        "App.LOG": b"a line\none more line\n",
    }


def test_a_log_that_cannot_grow_is_as_any_text() -> None:
    members = [bytes_member(PHOTO, "a.jpg"), bytes_member(b"a line\n", "app.log")]
    assert "Content-Length" in download(members)[0].headers


@pytest.mark.parametrize("compress", [None, True, False])
def test_a_file_that_seems_to_be_empty(compress: bool | None) -> None:
    path = "/proc/version"
    _, archive = download([file_member(path, compress=compress)])
    assert read_zipfile(archive) == {"version": Path(path).read_bytes()}


def test_a_file_that_is_empty_has_its_length(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    before = open_files()
    response, archive = download([file_member(path)])
    assert int(response["Content-Length"]) == len(archive)
    assert read_zipfile(archive) == {"empty.jpg": b""}
    assert open_files() == before


# Members that go elsewhere.


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_a_deflated_member_can_be_copied(copied: Any, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(DATA)
    members = [bytes_member(DATA, "a.txt"), file_member(tmp_path / "b.txt")]
    made = copied(members)
    assert [member[:4] for member in made] == [member[:4] for member in members]
    assert download(made)[1] == download(members)[1]


# Rows that are asked for while the archive is sent.


@pytest.mark.django_db
def test_rows_of_another_schema_are_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    default_storage.save("a.txt", ContentFile(b"mine"))
    Document.objects.create(file="a.txt")
    Document.objects.create(file="a.txt")
    monkeypatch.setattr(connections["default"], "schema_name", "mine", raising=False)
    try:
        members = lazy_queryset_members(Document.objects.all())
        assert b"".join(next(members)[4]) == b"mine"
        monkeypatch.setattr(
            connections["default"], "schema_name", "yours"
        )  # as a request of another tenant
        with pytest.raises(RuntimeError, match="another tenant's schema or folder"):
            next(members)
    finally:
        default_storage.delete("a.txt")


@pytest.mark.django_db
def test_files_of_another_folder_are_never_made_members(
    of_thread: OfThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Document._meta.get_field("file"), "storage", of_thread)
    Document.objects.create(file="x.jpg")
    Document.objects.create(file="x.jpg")
    members = lazy_queryset_members(Document.objects.all())
    assert b"".join(next(members)[4]) == b"one"
    tenant.name = "two"
    with pytest.raises(RuntimeError, match="another tenant's schema or folder"):
        next(members)


# What the storage alone knows of a file.


class ReplacedWhileRead(Storage):
    """Has a file of which each read returns what there is by then: other bytes after the first."""

    def __init__(self, content: bytes, later: bytes) -> None:
        self.content, self.later = content, later
        self.modified_at = datetime(2020, 1, 1, tzinfo=UTC)

    def _open(self, name: str, mode: str = "rb") -> Any:
        storage = self

        class Handle(io.RawIOBase):
            position = 0

            def read(self, length: int = -1) -> bytes:
                data = storage.content[self.position : self.position + length]
                self.position += len(data)
                storage.content = storage.later
                storage.modified_at = datetime(2021, 1, 1, tzinfo=UTC)
                return data

        return File(Handle(), name)

    def size(self, name: str) -> int:
        return len(self.content)

    def get_modified_time(self, name: str) -> datetime:
        return self.modified_at

    def exists(self, name: str) -> bool:
        return True


BEFORE = b"A" * 200_000
KNOWN = {"size": len(BEFORE), "modified_at": datetime(2020, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize("known", [{}, KNOWN, KNOWN | {"crc_32": zlib.crc32(BEFORE)}])
@pytest.mark.parametrize("later", [b"B" * 200_000, b"B" * 300_000], ids=["as long", "longer"])
@pytest.mark.parametrize("compress", [True, False])
def test_what_a_storage_replaces_while_it_is_read_is_no_mixture(
    known: Any, later: bytes, compress: bool
) -> None:
    member = storage_member(ReplacedWhileRead(BEFORE, later), "a.txt", compress=compress, **known)
    with pytest.raises((ContentChangedError, ZipIntegrityError)):
        b"".join(stream_zip([member]))


def test_a_limit_of_bytes_does_not_change_what_is_read() -> None:
    class Sizeless(ReplacedWhileRead):
        def size(self, name: str) -> int:
            raise NotImplementedError

    for max_bytes in (None, 10**9):
        storage = Sizeless(b"first", b"first")
        collector = Collector(limit=None, max_bytes=max_bytes)
        [member] = collector.members([StoredFile(storage, "a.txt")])
        storage.content = storage.later = b"second state"
        storage.modified_at = datetime(2022, 1, 1, tzinfo=UTC)
        assert next(iter(member[4])) == b"second state"
