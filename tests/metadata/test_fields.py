"""Rows that hold size, CRC-32 and time of their files: filled at upload, used by members."""

from __future__ import annotations

import copy
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages
from django.core.files.uploadedfile import (
    InMemoryUploadedFile,
    SimpleUploadedFile,
    TemporaryUploadedFile,
)
from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.db.models.fields.files import FieldFile, ImageFieldFile
from django.db.models.query import QuerySet
from django.test import RequestFactory
from django.test.utils import isolate_apps
from django.utils.module_loading import import_string
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import stream_zip
from django_stream_zip.admin import ZipDownloadAdminMixin
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import field_member, lazy_queryset_members, queryset_members
from django_stream_zip.metadata.uploads import MetadataFieldFile, metadata_of, recording
from django_stream_zip.models import (
    ZipCRC32Field,
    ZipMetadataMixin,
    ZipMetadataModel,
    ZipModifiedAtField,
    ZipSizeField,
)
from django_stream_zip.response import zip_response
from django_stream_zip.views import QuerySetZipDownloadView
from tests.models import Book, Chapter, Document, Film, Novel, Paperback
from tests.support.counting import CountingStorage
from tests.support.readers import assert_reads

Assert = Callable[..., Any]

OLD, NEW = b"the old content", b"new"
db = pytest.mark.django_db


class KeepingStorage(CountingStorage):
    """Stores what it is given under the very name, in place of what was there."""

    def exists(self, name: str) -> bool:
        return False

    def delete(self, name: str) -> None:
        del self.files[name]

    def _save(self, name: str, content: Any) -> str:
        self.files[name] = b"".join(content.chunks())
        return name


class WhereItStandsStorage(KeepingStorage):
    """Stores a content from where it stands on."""

    def _save(self, name: str, content: Any) -> str:
        self.files[name] = content.read()
        return name


class BrokenStorage(KeepingStorage):
    """Stores nothing."""

    def _save(self, name: str, content: Any) -> str:
        raise OSError("the disk is full")


class ShoutingStorage(KeepingStorage):
    """Gives back other bytes than it was given."""

    def _save(self, name: str, content: Any) -> str:
        self.files[name] = b"".join(content.chunks()).upper() + b"!"
        return name


@pytest.fixture
def use(settings: Any) -> Callable[[type], Any]:
    """Return what makes a storage class that of all file fields."""

    def use(storage: type) -> Any:
        path = f"{storage.__module__}.{storage.__qualname__}"
        settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": path}}
        return storages["default"]

    return use


@pytest.fixture
def storage(use: Callable[[type], Any]) -> KeepingStorage:
    """Return a storage that counts what it is asked for."""
    return cast(KeepingStorage, use(KeepingStorage))


def upload(content: bytes = NEW, name: str = "new.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def saved_book(content: bytes = OLD, **fields: Any) -> Book:
    return Book.objects.create(file=upload(content, "old.pdf"), **fields)


def held(instance: Any) -> tuple[Any, ...]:
    """Return name and facts as the database has them."""
    row = Book.objects.get(pk=instance.pk)
    return row.file.name, row.zip_size, row.zip_crc_32


def told(name: str, content: bytes) -> tuple[Any, ...]:
    """Return name and facts as they are of this content."""
    return name, len(content), zlib.crc32(content)


# Reading a content.


class Pieces(ContentFile):
    """Comes in chunks of a given length."""

    def __init__(self, content: bytes, length: int) -> None:
        super().__init__(content)
        self.DEFAULT_CHUNK_SIZE = length


@given(content=st.binary(max_size=2000), length=st.integers(1, 300), position=st.integers(0, 2500))
def test_facts_are_those_of_the_whole_content(content: bytes, length: int, position: int) -> None:
    pieces = Pieces(content, length)
    pieces.seek(position)
    values = metadata_of(pieces)
    assert (values["size"], values["crc_32"]) == (len(content), zlib.crc32(content))
    assert pieces.read() == content


def temporary(content: bytes) -> TemporaryUploadedFile:
    file = TemporaryUploadedFile("a.pdf", "application/pdf", len(content), None)
    file.write(content)
    return file


def in_memory(content: bytes) -> InMemoryUploadedFile:
    return InMemoryUploadedFile(BytesIO(content), "file", "a.pdf", None, len(content), None)


KINDS: dict[str, Callable[[bytes], Any]] = {
    "in memory": in_memory,
    "temporary": temporary,
    "made": ContentFile,
    "a file of Django's": lambda content: File(BytesIO(content)),
    "a file of Python's": BytesIO,
}


@db
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("storage_class", [KeepingStorage, WhereItStandsStorage])
def test_every_kind_of_upload_is_read_and_stored_whole(
    use: Any, kind: Callable[[bytes], Any], storage_class: type
) -> None:
    storage, content, book = use(storage_class), kind(OLD), Book()
    content.seek(0)
    content.read(5)  # a validator has been at it
    book.file.save("old.pdf", content)
    content.close()
    assert storage.files == {"old.pdf": OLD}
    assert held(book) == told("old.pdf", OLD)


@db
def test_a_large_upload_is_moved_into_place(settings: Any, tmp_path: Path) -> None:
    folder = {"location": tmp_path}
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": backend, "OPTIONS": folder}}
    file = temporary(OLD)
    book = Book.objects.create(file=file)
    assert (tmp_path / "a.pdf").read_bytes() == OLD
    assert held(book) == told("a.pdf", OLD)
    file.close()


@db
def test_what_cannot_be_read_twice_is_stored_and_unknown(storage: KeepingStorage) -> None:
    reading, writing = os.pipe()
    os.write(writing, OLD)
    os.close(writing)
    book = saved_book(NEW)
    with open(reading, "rb") as pipe:
        book.file.save("pipe.pdf", File(pipe))
    assert storage.files["pipe.pdf"] == OLD
    assert held(book) == ("pipe.pdf", None, None)


def test_of_text_the_storage_makes_the_bytes() -> None:
    assert metadata_of(ContentFile("ä")) == {}
    assert metadata_of(StringIO("ä")) == {}


@db
def test_a_file_of_another_row_is_read_from_its_storage(storage: KeepingStorage) -> None:
    old, book = saved_book(), Book()
    book.file.save("copy.pdf", Book.objects.get(pk=old.pk).file)
    assert held(book) == told("copy.pdf", OLD)


# Ways to save an upload.


def by_save(book: Book) -> None:
    book.file = upload()
    book.save()


def by_asave(book: Book) -> None:
    book.file = upload()
    async_to_sync(book.asave)()


def by_update_fields(book: Book) -> None:
    book.file = upload()
    book.save(update_fields=["file"])


def by_file_save(book: Book) -> None:
    book.file.save("new.pdf", ContentFile(NEW))


def by_file_save_and_update_fields(book: Book) -> None:
    book.file.save("new.pdf", ContentFile(NEW), save=False)
    book.save(update_fields=("file",))


def by_update_or_create(book: Book) -> None:
    Book.objects.update_or_create({"file": upload()}, pk=book.pk)


def by_deferred_facts(book: Book) -> None:
    book = Book.objects.only("file").get(pk=book.pk)
    book.file = upload()
    book.save()


def by_deferred_facts_and_update_fields(book: Book) -> None:
    book = Book.objects.only("file").get(pk=book.pk)
    book.file = upload()
    book.save(update_fields=["file"])


def by_deferred_file(book: Book) -> None:
    book = Book.objects.defer("file").get(pk=book.pk)
    book.file = upload()
    book.save()


def by_proxy(book: Book) -> None:
    book = Paperback.objects.get(pk=book.pk)
    book.file = upload()
    book.save(update_fields=["file"])


def by_a_second_try(book: Book) -> None:
    book.file = upload()
    with pytest.raises(ValueError, match="do not exist"):
        book.save(update_fields=["file", "nope"])
    book.save(update_fields=["file"])


WAYS = [
    by_save,
    by_asave,
    by_update_fields,
    by_file_save,
    by_file_save_and_update_fields,
    by_update_or_create,
    by_deferred_facts,
    by_deferred_facts_and_update_fields,
    by_deferred_file,
    by_proxy,
    by_a_second_try,
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("replace", WAYS)
@pytest.mark.parametrize("is_loaded", [True, False], ids=["loaded", "made"])
def test_a_replaced_file_has_its_own_facts(
    replace: Callable[[Book], None], is_loaded: bool
) -> None:
    book = saved_book()
    before = Book.objects.get(pk=book.pk)
    replace(before if is_loaded else book)
    assert held(book) == told("new.pdf", NEW)
    after = Book.objects.get(pk=book.pk).zip_modified_at
    assert after is not None
    assert (datetime.now(UTC) - after).total_seconds() < 60


@db
@pytest.mark.usefixtures("storage")
def test_the_time_is_another_one_though_name_and_content_are_the_same() -> None:
    book = saved_book()
    first = book.zip_modified_at
    book.file = upload(OLD, "old.pdf")
    book.save()
    assert Book.objects.get(pk=book.pk).zip_modified_at != first


@db
@pytest.mark.usefixtures("storage")
def test_many_are_created_at_once() -> None:
    Book.objects.bulk_create(Book(file=upload(bytes(n), f"{n}.pdf")) for n in range(3))
    assert [held(book) for book in Book.objects.order_by("pk")] == [
        told(f"{n}.pdf", bytes(n)) for n in range(3)
    ]


@db
def test_an_upload_is_stored_once_and_only_its_state_is_asked_for(
    storage: KeepingStorage, django_assert_num_queries: Assert
) -> None:
    with django_assert_num_queries(1):
        saved_book()
    assert storage.calls == [("size", "old.pdf"), ("get_modified_time", "old.pdf")]
    storage.calls.clear()
    Film.objects.create(poster=upload(OLD, "p.jpg"))
    assert storage.calls == []


@db
def test_what_could_not_be_stored_leaves_the_facts_of_what_is_there(use: Any) -> None:
    use(KeepingStorage)
    book = saved_book()
    use(BrokenStorage)
    with pytest.raises(OSError, match="full"):
        book.file.save("new.pdf", ContentFile(NEW))
    book.refresh_from_db(fields=["file"])
    book.save()
    assert held(book) == told("old.pdf", OLD)


@db
@pytest.mark.usefixtures("storage")
def test_a_model_with_a_parent_s_table_has_the_parent_s_facts() -> None:
    novel = Novel.objects.create(file=upload(OLD, "old.pdf"), plot="thick")
    assert held(novel) == told("old.pdf", OLD)
    novel = Novel.objects.get()
    novel.file = upload()
    novel.save(update_fields=["file"])
    assert held(novel) == told("new.pdf", NEW)


@db
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("many", [False, True], ids=["save", "bulk_create"])
def test_each_file_of_a_row_has_its_own_facts_wherever_the_columns_are(many: bool) -> None:
    film = Film(poster=upload(OLD, "p.jpg"), trailer=upload(NEW, "t.mp4"), script=upload(b"x"))
    Film.objects.bulk_create([film]) if many else film.save()
    film = Film.objects.get()
    assert (film.poster_bytes, film.poster_crc_32) == (len(OLD), zlib.crc32(OLD))
    assert (film.trailer_bytes, film.trailer_crc_32) == (len(NEW), zlib.crc32(NEW))
    assert film.poster_at is not None


@db
@pytest.mark.usefixtures("storage")
def test_the_facts_of_the_other_file_are_left_alone() -> None:
    film = Film.objects.create(poster=upload(OLD, "p.jpg"), trailer=upload(OLD, "t.mp4"))
    film.trailer = upload(NEW, "new.mp4")
    film.poster_bytes = 7  # and not saved
    film.save(update_fields=["trailer"])
    film = Film.objects.get()
    assert (film.poster_bytes, film.trailer_bytes) == (len(OLD), len(NEW))


@db
def test_a_field_file_keeps_its_kind(storage: KeepingStorage) -> None:
    film = Film.objects.create(poster=upload(OLD, "p.jpg"))
    assert film.poster.path_in_town() == "town/p.jpg"
    assert getattr(film.poster.save, "alters_data", False)
    for made in (pickle.loads(pickle.dumps(film)), copy.copy(film), copy.deepcopy(film)):
        assert made.poster.path_in_town() == "town/p.jpg"
        made.poster.save("new.jpg", ContentFile(NEW), save=False)
        assert made.poster_bytes == len(NEW)
    assert storage.calls == []


# Files that come and go without an upload.


def cleared(book: Book) -> None:
    book.file = ""


def deleted(book: Book) -> None:
    book.file.delete(save=False)


def named(book: Book) -> None:
    book.file = "elsewhere.pdf"


def renamed(book: Book) -> None:
    book.file.name = "elsewhere.pdf"


def taken(book: Book) -> None:
    book.file = Book.objects.create(file="elsewhere.pdf").file


def uploaded_and_named(book: Book) -> None:
    book.file.save("new.pdf", ContentFile(NEW), save=False)
    book.file = "elsewhere.pdf"


LEFT = {cleared: "", deleted: "", named: "elsewhere.pdf", renamed: "elsewhere.pdf"} | {
    taken: "elsewhere.pdf",
    uploaded_and_named: "elsewhere.pdf",
}
LOADED: dict[str, Callable[[Book], Book]] = {
    "made": lambda book: book,
    "loaded": lambda book: Book.objects.get(pk=book.pk),
    "facts deferred": lambda book: Book.objects.only("file").get(pk=book.pk),
    "file deferred": lambda book: Book.objects.defer("file").get(pk=book.pk),
    "a fact loaded late": lambda book: late(Book.objects.only("file").get(pk=book.pk)),
    "bulk": lambda book: bulk(book),
    "pickled": lambda book: pickle.loads(pickle.dumps(Book.objects.get(pk=book.pk))),
}


def late(book: Book) -> Book:
    assert book.zip_size == len(OLD)
    return book


def bulk(book: Book) -> Book:
    book.delete()
    [made] = Book.objects.bulk_create([Book(pk=book.pk, file=upload(OLD, "old.pdf"))])
    return made


@db
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("update_fields", [None, ["file"]], ids=["all", "the file"])
@pytest.mark.parametrize("loaded", LOADED.values(), ids=LOADED)
@pytest.mark.parametrize(("change", "name"), LEFT.items())
def test_no_facts_stay_beside_a_file_that_is_another_one(
    change: Callable[[Book], None],
    name: str,
    loaded: Callable[[Book], Book],
    update_fields: list[str] | None,
) -> None:
    book = loaded(saved_book())
    change(book)
    book.save(update_fields=update_fields)
    assert held(book) == (name, None, None)
    assert Book.objects.get(pk=book.pk).zip_modified_at is None


@db
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("loaded", LOADED.values(), ids=LOADED)
def test_facts_stay_beside_a_file_that_is_the_same(loaded: Callable[[Book], Book]) -> None:
    book = loaded(saved_book())
    book.title = "Dawn"
    assert book.file.name == "old.pdf"
    book.save()
    book.save(update_fields=["title"])
    book.save(update_fields=["file"])
    book.file = "old.pdf"
    book.save()
    assert held(book) == told("old.pdf", OLD)


@db
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("fields", [None, ["file", "zip_size", "zip_crc_32", "zip_modified_at"]])
def test_what_is_loaded_anew_is_of_the_new_file(fields: list[str] | None) -> None:
    book = saved_book()
    other = Book.objects.get(pk=book.pk)
    by_save(other)
    book.refresh_from_db(fields=fields)
    book.save()
    assert held(book) == told("new.pdf", NEW)
    by_save(other)
    async_to_sync(other.arefresh_from_db)()


@db
@pytest.mark.usefixtures("storage")
def test_who_names_a_file_may_tell_its_facts() -> None:
    facts = {"zip_size": 7, "zip_crc_32": 8, "zip_modified_at": datetime(2026, 1, 31, tzinfo=UTC)}
    book = Book.objects.create(file="a.pdf", **facts)
    assert held(book) == ("a.pdf", 7, 8)
    book.file, book.zip_size, book.zip_crc_32 = "b.pdf", 9, 10
    book.save()
    assert held(book) == ("b.pdf", 9, 10)


@db
@pytest.mark.usefixtures("storage")
def test_metadata_that_is_set_with_a_new_name_is_kept_beside_another_file_field() -> None:
    film = Film.objects.create(poster=upload(OLD, "p.jpg"), trailer=upload(OLD, "t.mp4"))
    film.trailer, film.trailer_bytes, film.trailer_crc_32 = "elsewhere.mp4", 9, 10
    film.save()
    film = Film.objects.get()
    assert (film.trailer.name, film.trailer_bytes, film.trailer_crc_32) == ("elsewhere.mp4", 9, 10)
    assert film.poster_bytes == len(OLD)


def by_position(book: Book) -> None:
    book.save(False, False, None, ["file"])  # type: ignore[misc]


def by_keyword(book: Book) -> None:
    book.save(force_insert=False, update_fields=["file"])


@db
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("save", [by_position, by_keyword])
def test_options_of_save_may_have_no_name(save: Callable[[Book], None]) -> None:
    book = saved_book(title="old")
    book.file, book.title = upload(), "new"
    save(book)
    assert held(book) == told("new.pdf", NEW)
    assert Book.objects.get().title == "old"


@db
@pytest.mark.usefixtures("storage")
def test_facts_that_were_told_are_of_the_file_they_were_told_with() -> None:
    facts = {"zip_size": 7, "zip_crc_32": 8}
    saved = Book.objects.create(file="a.pdf", **facts)
    [made] = Book.objects.bulk_create([Book(file="a.pdf", **facts)])
    for book in (saved, made):
        book.file = "b.pdf"
        book.save()
        assert held(book) == ("b.pdf", None, None)
    assert held(Book.objects.create(file="", **facts)) == ("", None, None)


@db
@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("update_fields", [None, ["file"]], ids=["all", "the file"])
def test_facts_that_were_deferred_are_replaced_though_the_name_is_the_same(
    update_fields: list[str] | None,
) -> None:
    book = Book.objects.only("file").get(pk=saved_book().pk)
    book.file = upload(NEW, "old.pdf")
    book.save(update_fields=update_fields)
    assert held(book) == told("old.pdf", NEW)


@db
@pytest.mark.usefixtures("storage")
def test_a_file_that_was_deferred_is_not_loaded_to_save_the_row(
    django_assert_num_queries: Assert,
) -> None:
    book = Book.objects.defer("file").get(pk=saved_book().pk)
    with django_assert_num_queries(1):
        book.save()


@db
@pytest.mark.usefixtures("storage")
def test_a_copied_row_keeps_the_facts() -> None:
    book = saved_book()
    book.pk = book._state.adding = None
    book.save()
    assert [held(row) for row in Book.objects.all()] == [told("old.pdf", OLD)] * 2


@db
@pytest.mark.usefixtures("storage")
def test_nothing_is_read_where_the_storage_gives_other_bytes(use: Any) -> None:
    use(ShoutingStorage)
    Book.zip_metadata_at_upload = False
    try:
        book = saved_book()
    finally:
        del Book.zip_metadata_at_upload
    assert held(book) == ("old.pdf", None, None)


@db
def test_facts_of_other_bytes_break_the_download_off(use: Any) -> None:
    use(ShoutingStorage)
    saved_book()
    response = zip_response(RequestFactory().get("/"), queryset_members(Book.objects.all()))
    with pytest.raises(ZipDownloadError, match="ContentChangedError"):
        b"".join(response.streaming_content)


# Columns and models.


def test_migrations_have_django_s_own_fields() -> None:
    made = {
        name: MigrationWriter.serialize(Film._meta.get_field(name))[0]
        for name in ("poster_bytes", "poster_crc_32", "poster_at")
    }
    options = "(blank=True, editable=False, null=True)"
    assert made == {
        "poster_bytes": f"models.PositiveBigIntegerField{options}",
        "poster_crc_32": f"models.PositiveBigIntegerField{options}",
        "poster_at": f"models.DateTimeField{options}",
    }
    assert ModelState.from_model(Film).fields["poster_bytes"].file_field == "poster"


def test_there_is_nothing_to_migrate_from_django_s_own_fields() -> None:
    before, after = ProjectState(), ProjectState()
    for model in (Book, Film):
        state = ModelState.from_model(model)
        after.add_model(state)
        plain = state.clone()
        plain.fields = {name: _plain(field) for name, field in state.fields.items()}
        before.add_model(plain)
    assert not isinstance(before.models["tests", "book"].fields["zip_size"], ZipSizeField)
    graph = MigrationGraph()
    assert MigrationAutodetector(before, after).changes(graph, trim_to_apps={"tests"}) == {}


def _plain(field: Any) -> Any:
    """Make a field as a migration does."""
    _, path, args, kwargs = field.deconstruct()
    return import_string(path)(*args, **kwargs)


def test_the_tests_models_pass_the_checks() -> None:
    assert [*Book.check(), *Novel.check(), *Paperback.check(), *Film.check()] == []


@isolate_apps("tests")
def test_columns_that_are_nobody_s_are_told() -> None:
    class Parent(ZipMetadataMixin):
        file = models.FileField()

    class Child(Parent):
        size = ZipSizeField()

    class Two(ZipMetadataModel):
        first = models.FileField()
        second = models.FileField()

    class Misnamed(ZipMetadataMixin):
        file = models.FileField()
        crc_32 = ZipCRC32Field("fil")

    class Alone(models.Model):
        file = models.FileField()
        at = ZipModifiedAtField()

    def ids(model: Any) -> list[Any]:
        return [(message.id, message.obj.name) for message in model.check()]

    assert Parent.check() == []
    assert ids(Child) == [("django_stream_zip.E005", "size")]
    columns = ("zip_size", "zip_crc_32", "zip_modified_at", "zip_validator")
    assert ids(Two) == [("django_stream_zip.E005", column) for column in columns]
    assert ids(Misnamed) == [("django_stream_zip.E005", "crc_32")]
    assert ids(Alone) == [("django_stream_zip.E006", "at")]


# Members of such rows.


@pytest.fixture
def books(db: None, storage: KeepingStorage) -> QuerySet[Book]:
    """Return two books that were uploaded."""
    saved_book(title="old")
    Book.objects.create(file=upload(NEW, "new.txt"), title="new")
    storage.calls.clear()
    return Book.objects.order_by("pk")


def with_columns(books: QuerySet[Book]) -> Any:
    return queryset_members(books)


def with_instances(books: QuerySet[Book]) -> Any:
    return queryset_members(books, name=lambda book: book.title)


def lazily(books: QuerySet[Book]) -> Any:
    return list(lazy_queryset_members(books))


def from_a_proxy(books: QuerySet[Book]) -> Any:
    return queryset_members(Paperback.objects.order_by("pk"))


def one_by_one(books: QuerySet[Book]) -> Any:
    return [field_member(book.file) for book in books]


@pytest.mark.parametrize(
    "members_of", [with_columns, with_instances, lazily, from_a_proxy, one_by_one]
)
def test_the_storage_is_asked_nothing(
    books: QuerySet[Book], storage: KeepingStorage, members_of: Callable[..., Any]
) -> None:
    members = members_of(books)
    assert storage.calls == []
    contents = [OLD, NEW]
    assert [m[4].size for m in members] == [len(content) for content in contents]
    assert [m[4].crc_32 for m in members] == [zlib.crc32(content) for content in contents]
    assert None not in [m[4].validator for m in members]


def local_headers(archive: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield flags, CRC-32 and size of each local header."""
    with zipfile.ZipFile(BytesIO(archive)) as file:
        for info in file.infolist():
            header = archive[info.header_offset :][:30]
            fields = [(6, 2), (14, 4), (22, 4)]
            flags, crc_32, size = [
                int.from_bytes(header[at : at + n], "little") for at, n in fields
            ]
            yield flags, crc_32, size


def test_the_archive_has_a_length_ranges_and_complete_headers(
    books: QuerySet[Book], storage: KeepingStorage
) -> None:
    def get(**headers: str) -> Any:
        members = queryset_members(books, compress=False)
        return zip_response(RequestFactory().get("/", headers=headers), members)

    response = get()
    archive = b"".join(response.streaming_content)
    assert int(response.headers["Content-Length"]) == len(archive)
    assert_reads(archive, {"old.pdf": OLD, "new.txt": NEW}, only=["zipfile", "stream-unzip"])
    headers = list(local_headers(archive))
    assert [facts[1:] for facts in headers] == [told("", content)[:0:-1] for content in (OLD, NEW)]
    assert not any(flags & 8 for flags, _, _ in headers)  # no data descriptor follows
    storage.calls.clear()
    rest = get(Range="bytes=60-", **{"If-Range": response.headers["ETag"]})
    assert rest.status_code == 206
    assert b"".join(rest.streaming_content) == archive[60:]
    assert {call for call, _ in storage.calls} == {"size", "get_modified_time", "open"}


def test_the_entity_tag_changes_with_a_file(books: QuerySet[Book]) -> None:
    def tag() -> str:
        members = queryset_members(books, compress=False)
        return str(zip_response(RequestFactory().get("/"), members).headers["ETag"])

    first = tag()
    assert tag() == first
    by_update_fields(books[0])
    assert tag() != first


def test_where_a_row_holds_nothing_the_storage_is_asked(
    books: QuerySet[Book], storage: KeepingStorage
) -> None:
    storage.files["bare.pdf"] = OLD
    Book.objects.create(file="bare.pdf")
    members = queryset_members(books)
    assert {name for _, name in storage.calls} == {"bare.pdf"}
    assert [member[4].size for member in members] == [len(OLD), len(NEW), len(OLD)]


def test_what_is_given_comes_before_what_the_row_holds(books: QuerySet[Book]) -> None:
    rows = books.annotate(other=models.Value(77))
    members = queryset_members(rows, size="other", crc_32={"file": "other"})
    assert [(m[4].size, m[4].crc_32) for m in members] == [(77, 77)] * 2
    assert members[0][4].validator != queryset_members(books)[0][4].validator


def test_what_is_decoded_otherwise_is_described_by_the_storage(
    books: QuerySet[Book], storage: KeepingStorage
) -> None:
    for members in (queryset_members, lazy_queryset_members):
        storage.calls.clear()
        assert [m[4].crc_32 for m in members(books, decode=False)] == [None, None]
        assert {name for _, name in storage.calls} == {"old.pdf", "new.txt"}


@db
def test_files_across_relations_bring_their_facts(
    storage: KeepingStorage, django_assert_num_queries: Assert
) -> None:
    book = saved_book()
    Chapter.objects.create(book=book, text=upload(NEW, "1.pdf"))
    Chapter.objects.create(book=book)
    storage.calls.clear()
    with django_assert_num_queries(1):
        members = queryset_members(Book.objects.all(), "file", "chapters__text")
    assert [(m[0], m[4].crc_32) for m in members] == [
        ("old.pdf", zlib.crc32(OLD)),
        ("1.pdf", zlib.crc32(NEW)),
    ]
    assert [m[0] for m in queryset_members(Chapter.objects.all(), "book__file")] == [
        "old.pdf",
        "old (1).pdf",
    ]
    assert storage.calls == []


@db
def test_fields_of_all_kinds_go_together(storage: KeepingStorage) -> None:
    Film.objects.create(
        poster=upload(OLD, "p.jpg"), trailer=upload(NEW, "t.mp4"), script=upload(OLD, "s.txt")
    )
    members = queryset_members(Film.objects.all(), "poster", "trailer", "script")
    assert [member[4].size for member in members] == [len(OLD), len(NEW), len(OLD)]
    # Of the trailer no time is kept, and of the script nothing.
    asked = [("get_modified_time", "t.mp4"), ("size", "s.txt"), ("get_modified_time", "s.txt")]
    assert storage.calls == asked


@db
def test_models_that_hold_nothing_are_as_ever(storage: KeepingStorage) -> None:
    Document.objects.create(file=upload(OLD, "old.pdf"))
    [member] = queryset_members(Document.objects.all())
    assert member[4].crc_32 is None
    assert len(storage.calls) == 2


@db
def test_a_row_of_a_child_has_the_facts_too(storage: KeepingStorage) -> None:
    Novel.objects.create(file=upload(OLD, "old.pdf"))
    storage.calls.clear()
    archive = b"".join(stream_zip(queryset_members(Novel.objects.all())))
    assert {call for call, _ in storage.calls} == {"open"}
    assert_reads(archive, {"old.pdf": OLD}, only=["zipfile"])


def test_views_and_the_admin_use_them_too(books: QuerySet[Book], storage: KeepingStorage) -> None:
    class Download(QuerySetZipDownloadView):
        model = Book

    class BookAdmin(ZipDownloadAdminMixin, admin.ModelAdmin):
        pass

    request = RequestFactory().get("/")
    request.user = User(is_superuser=True)
    assert Download.as_view()(request).status_code == 200
    assert storage.calls == []
    # The admin reports missing files, so it asks whether they are there, and in the row's state.
    assert BookAdmin(Book, admin.site).get_zip_members(request, books)
    assert {call for call, _ in storage.calls} == {"size", "get_modified_time"}


def test_facts_are_not_saved_without_the_file_that_they_are_of(books: QuerySet[Book]) -> None:
    book = books[0]
    size, name = book.zip_size, book.file.name
    book.file = upload(NEW + NEW, "newer.txt")
    book.title = "other"
    book.save(update_fields=["title", "zip_size", "zip_crc_32"])
    saved = Book.objects.get(pk=book.pk)
    assert (saved.title, saved.zip_size, saved.file.name) == ("other", size, name)
    book.save()
    saved.refresh_from_db()
    assert saved.zip_size == len(NEW + NEW)


class ShrinkingFile(FieldFile):
    """Makes less of what it is given, as fields for thumbnails do."""

    def save(self, name: str, content: Any, save: bool = True) -> None:
        super().save(name, ContentFile(content.read()[:2]), save)


def test_facts_are_of_what_a_field_makes_of_a_content() -> None:
    made = recording(ShrinkingFile)
    assert made.__mro__.index(ShrinkingFile) < made.__mro__.index(MetadataFieldFile)
    assert recording(FieldFile) is MetadataFieldFile
    assert issubclass(recording(ImageFieldFile), MetadataFieldFile)


def test_the_facts_go_with_the_file(books: QuerySet[Book]) -> None:
    book = books[0]
    book.file.delete(save=False)
    assert (book.zip_size, book.zip_crc_32, book.zip_modified_at) == (None, None, None)


def test_another_file_that_was_named_has_not_these_facts(books: QuerySet[Book]) -> None:
    book = books[0]
    assert book.file.zip_metadata
    book.file = "elsewhere.pdf"
    assert book.file.zip_metadata == {}


def warning_of(storage: Any) -> str | None:
    """Return the hint of the check's warning where files are in this storage."""
    field = Book._meta.get_field("zip_size")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Book._meta.get_field("file"), "storage", storage)
        hints = [m.hint for m in field.check() if m.id == "django_stream_zip.W001"]
    assert len(hints) < 2
    return hints[0] if hints else None


class Overwriting(Storage):
    """Has the attributes of a storage of django-storages that overwrites."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("storage", "option"),
    [
        (FileSystemStorage(allow_overwrite=True), "allow_overwrite to False"),
        (Overwriting(file_overwrite=True), "file_overwrite to False"),
        (Overwriting(overwrite_files=True), "overwrite_files to False"),
        (Overwriting(allow_overwrite=True), "allow_overwrite to False"),
        (Overwriting(write_mode="overwrite"), "write_mode to 'add'"),
    ],
    ids=["Django's files", "S3 and Google Cloud", "Azure", "FTP", "Dropbox"],
)
def test_a_storage_that_overwrites_files_is_warned_of(storage: Storage, option: str) -> None:
    assert option in (warning_of(storage) or "")


@pytest.mark.parametrize(
    "storage",
    [
        FileSystemStorage(),
        InMemoryStorage(),
        Overwriting(file_overwrite=False, overwrite_files=False, write_mode="add"),
    ],
    ids=["files", "memory", "options that are off"],
)
def test_a_storage_that_keeps_files_is_not_warned_of(storage: Storage) -> None:
    assert warning_of(storage) is None


# As django-storages 1.14 has it for Azure.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("s3.S3Storage", {"bucket_name": "b", "file_overwrite": True}),
        ("gcloud.GoogleCloudStorage", {"bucket_name": "b", "file_overwrite": True}),
        ("azure_storage.AzureStorage", {"azure_container": "c", "overwrite_files": True}),
        ("ftp.FTPStorage", {"location": "ftp://u:p@localhost:21/", "allow_overwrite": True}),
    ],
)
def test_the_options_are_those_that_the_storages_have(path: str, options: dict[str, Any]) -> None:
    module, _, name = path.rpartition(".")
    backend = pytest.importorskip(f"storages.backends.{module}")
    option = list(options)[-1]
    assert warning_of(getattr(backend, name)(**options)) is not None
    assert warning_of(getattr(backend, name)(**options | {option: False})) is None
