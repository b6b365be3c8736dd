"""Rows whose file was overwritten since: what a download, and any range of it, makes of that."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import (
    field_member,
    lazy_queryset_members,
    queryset_members,
    storage_member,
)
from django_stream_zip.metadata.tracking import file_fields
from django_stream_zip.response import zip_response
from tests.models import Book, Film

pytestmark = pytest.mark.django_db

SIZE = 3000


class PlainStorage(FileSystemStorage):
    """Read through its own `open()`."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        return super()._open(name, mode)


@pytest.fixture(params=[FileSystemStorage, PlainStorage, InMemoryStorage])
def storage(request: Any, settings: Any, tmp_path: Path) -> Any:
    """Return the storage of all file fields."""
    path = f"{request.param.__module__}.{request.param.__qualname__}"
    options = {"location": str(tmp_path)}
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": path, "OPTIONS": options}}
    return storages["default"]


@pytest.fixture(params=["with a cache", "without"])
def _cache(request: Any, settings: Any) -> None:
    cache = "default" if request.param == "with a cache" else None
    settings.DJANGO_STREAM_ZIP = {"CRC_32_CACHE": cache}


def data(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


def upload(*contents: bytes) -> None:
    for number, content in enumerate(contents):
        Book.objects.create(file=SimpleUploadedFile(f"{number}.jpg", content))


def overwrite(storage: Any, name: str, content: bytes) -> None:
    """Write to a file behind the row's back, one tick of a file system's clock later."""
    time.sleep(0.02)
    if isinstance(storage, InMemoryStorage):
        storage.delete(name)
        storage.save(name, ContentFile(content))
    else:
        Path(storage.path(name)).write_bytes(content)


def wsgi(**headers: str) -> tuple[Any, Callable[[], bytes]]:
    request = RequestFactory().get("/", headers=headers)
    response: Any = zip_response(request, queryset_members(Book.objects.order_by("pk")))
    return response, lambda: b"".join(response)


def asgi(**headers: str) -> tuple[Any, Callable[[], bytes]]:
    request = AsyncRequestFactory().get("/", headers=headers)
    response: Any = zip_response(request, queryset_members(Book.objects.order_by("pk")))

    async def read() -> bytes:
        return b"".join([block async for block in response])

    return response, lambda: asyncio.run(read())


EVERY_WAY = pytest.mark.parametrize("get", [wsgi, asgi])


def whole(get: Any) -> tuple[bytes, str]:
    response, read = get()
    return read(), response.headers["ETag"]


def resumed(get: Any, start: int, stop: int, tag: str) -> bytes | None:
    """Return a range of the archive under its tag; None if it failed, or isn't that archive."""
    response, read = get(**{"Range": f"bytes={start}-{stop - 1}", "If-Range": tag})
    if response.status_code != 206:
        response.close()
        return None
    try:
        return bytes(read())
    except ZipDownloadError:
        return None


@EVERY_WAY
@pytest.mark.usefixtures("_cache")
def test_each_range_with_bytes_of_an_overwritten_file_fails(get: Any, storage: Any) -> None:
    upload(data(1), data(2), data(3))
    archive, tag = whole(get)
    overwrite(storage, "1.jpg", data(4))
    old = archive.index(data(2))
    quarter = SIZE // 4
    for start in range(old, old + SIZE, quarter):
        assert resumed(get, start, start + quarter, tag) is None
    assert resumed(get, old + SIZE - 1, len(archive), tag) is None


@EVERY_WAY
def test_no_resumption_of_many_is_a_mixture(get: Any, storage: Any) -> None:
    """Resume at random, of files that are overwritten at random: old bytes, or a failure."""
    picked = random.Random()
    contents = [data(number) for number in range(4)]
    upload(*contents)
    archive, tag = whole(get)
    failures = 0
    for round_ in range(10):
        number = picked.randrange(4)
        size = picked.choice([SIZE, SIZE, SIZE - 1, SIZE + 1, 0])
        overwrite(storage, f"{number}.jpg", data(100 + round_, size))
        for _ in range(12):
            start = picked.randrange(len(archive) - 1)
            stop = picked.choice([len(archive), picked.randrange(start + 1, len(archive))])
            answer = resumed(get, start, stop, tag)
            assert answer in (None, archive[start:stop])
            failures += answer is None
    assert failures


@EVERY_WAY
@pytest.mark.usefixtures("_cache")
@pytest.mark.parametrize("validator", ["of the storage", None])
def test_a_file_that_was_empty_is_opened(get: Any, storage: Any, validator: str | None) -> None:
    upload(data(1), b"", data(2))
    if validator is None:
        Book.objects.update(zip_validator=None)
    archive, tag = whole(get)
    overwrite(storage, "1.jpg", b"no longer empty")
    with pytest.raises(ZipDownloadError, match="ContentChangedError"):
        whole(get)
    header = archive.index(b"1.jpg")
    assert resumed(get, header, header + 5 + SIZE // 2, tag) is None
    # Its header's end is the range's: had it been sent already, the answer would be whole.
    end = archive.index(data(2)) - 30 - 5
    assert resumed(get, header, end, tag) is None


@EVERY_WAY
def test_without_a_validator_a_file_of_another_size_fails_in_any_range(
    get: Any, storage: Any
) -> None:
    upload(data(1), data(2))
    Book.objects.update(zip_validator=None)
    archive, tag = whole(get)
    overwrite(storage, "0.jpg", data(3, SIZE + 1))
    if isinstance(storage, PlainStorage):
        pytest.skip("its size isn't asked for where a row knows the CRC-32 too")
    start = archive.index(data(1))
    for position in range(start, start + SIZE, SIZE // 4):
        assert resumed(get, position, position + 1, tag) is None


def test_servers_without_a_common_cache_agree(storage: Any, settings: Any) -> None:
    """Who aborted may be another server than who is asked for the rest."""
    settings.DJANGO_STREAM_ZIP = {"CRC_32_CACHE": None}
    upload(data(1), data(2))
    archive, tag = whole(wsgi)
    overwrite(storage, "0.jpg", data(3))
    _, read = wsgi()
    got = []
    with pytest.raises(ZipDownloadError):
        got.append(read())
    # Nothing of the new bytes was sent, so the rest of what the tag stands for is no mixture.
    assert got == []
    rest = archive.index(data(2))
    assert resumed(wsgi, rest, len(archive), tag) == archive[rest:]


def test_a_new_upload_has_a_new_tag_and_is_given(storage: Any) -> None:
    upload(data(1))
    _, tag = whole(wsgi)
    time.sleep(0.02)
    book = Book.objects.get()
    book.file.save("new.jpg", ContentFile(data(2)))
    archive, new = whole(wsgi)
    assert new != tag
    assert data(2) in archive


# What the column holds.


def test_it_is_what_the_storage_says_after_an_upload(storage: Any) -> None:
    upload(data(1))
    known = storage_member(storage, "0.jpg")[4].validator
    assert Book.objects.get().zip_validator == known


def test_a_storage_that_cannot_be_asked_fails_no_upload(
    storage: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: Any) -> Any:
        raise PermissionError(13, "only uploads are allowed")

    monkeypatch.setattr("django_stream_zip.models.reader_for", refuse)
    upload(data(1))
    book = Book.objects.get()
    assert (book.zip_size, book.zip_validator) == (SIZE, None)
    assert "no validator is known of '0.jpg'" in caplog.text


def test_it_goes_when_another_file_is_named(storage: Any) -> None:
    upload(data(1))
    storage.save("other.jpg", ContentFile(data(2)))
    for told in ({}, {"zip_size": SIZE, "zip_crc_32": zlib.crc32(data(2))}):
        book = Book.objects.get()
        book.file.name = "other.jpg"
        for column, value in told.items():
            setattr(book, column, value)
        book.save()
        book.refresh_from_db()
        assert book.zip_validator is None
        Book.objects.update(file="0.jpg", zip_size=7, zip_validator="0.jpg's")


def test_models_without_the_column_are_asked_nothing(
    storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("django_stream_zip.models.reader_for")
    Film.objects.create(poster=SimpleUploadedFile("p.jpg", data(1)))
    [poster, _] = file_fields(Film)
    assert poster.name == "poster"
    assert Film.objects.get().poster_bytes == SIZE


# Where it is passed to.


def columns(book: Book) -> Iterator[Any]:
    known = {"size": SIZE, "modified_at": book.zip_modified_at}
    rows = Book.objects.all()
    yield field_member(book.file)
    yield from queryset_members(rows)
    yield from queryset_members(rows, validator="zip_validator", **dict.fromkeys(known, None))
    yield from queryset_members(rows, validator={"file": "zip_validator"})
    yield from lazy_queryset_members(rows)
    yield storage_member(
        book.file.storage, str(book.file.name), validator=book.zip_validator, **known
    )


def test_every_builder_passes_it_on(storage: Any) -> None:
    upload(data(1))
    members = list(columns(Book.objects.get()))
    assert [b"".join(member[4].chunks()) for member in members] == [data(1)] * 6
    overwrite(storage, "0.jpg", data(2))
    for member in columns(Book.objects.get()):
        with pytest.raises(Exception, match="than was declared"):
            b"".join(member[4].chunks(5, 6))


def test_where_the_storage_is_asked_anyway_it_is_compared_at_once(storage: Any) -> None:
    upload(data(1))
    Book.objects.update(zip_size=None)
    assert len(queryset_members(Book.objects.all())) == 1
    overwrite(storage, "0.jpg", data(2))
    with pytest.raises(Exception, match="than was declared"):
        queryset_members(Book.objects.all())


def test_a_field_of_another_kind_is_refused(storage: Any) -> None:
    with pytest.raises(ValueError, match=r"'zip_size' of tests\.Book must be a CharField"):
        queryset_members(Book.objects.all(), validator="zip_size")
