"""GzippedFileSystemStorage: to Django a storage like any, to an archive deflate streams."""

from __future__ import annotations

import gzip
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.test import RequestFactory

from django_stream_zip import (
    NO_COMPRESSION_AUTO,
    ZIP_32,
    DeflateIntegrityError,
    ZipValueError,
    stream_zip,
)
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import storage_member, storage_members
from django_stream_zip.members.readers import reader_for
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from django_stream_zip.response import zip_response
from django_stream_zip.storages import GzippedFileSystemStorage
from tests.models import Book
from tests.support.contents import NoChecksums
from tests.support.contract import ListingContract, Place, ReaderContract
from tests.support.readers import PYTHON_READERS, assert_reads

TEXT = b"".join(b"%d GET /index.html\n" % number for number in range(20_000))
NOISE = random.Random(1).randbytes(100_000)
TIME = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> GzippedFileSystemStorage:
    return GzippedFileSystemStorage(tmp_path, base_url="/media/")


def on_disk(storage: FileSystemStorage) -> list[str]:
    return sorted(os.listdir(storage.location))


def saved(storage: FileSystemStorage, data: bytes = TEXT, name: str = "a.txt") -> str:
    return storage.save(name, ContentFile(data))


class TestReader(ListingContract, ReaderContract):
    reader_class = "GzippedFileReader"

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(GzippedFileSystemStorage(tmp_path))


def test_a_folder_has_the_names_that_files_are_opened_by(storage: GzippedFileSystemStorage) -> None:
    saved(storage, name="logs/a.txt")
    saved(storage, NOISE, name="logs/b.bin")
    (Path(storage.location) / "logs" / "again").symlink_to(storage.location)
    data = b"".join(stream_zip(storage_members(storage)))
    assert_reads(data, {"logs/a.txt": TEXT, "logs/b.bin": NOISE}, only=PYTHON_READERS)


def test_text_is_kept_gzipped_under_its_name(storage: GzippedFileSystemStorage) -> None:
    name = saved(storage)
    assert (name, on_disk(storage)) == ("a.txt", ["a.txt.gz"])
    assert storage.exists(name)
    assert storage.is_gzipped(name)
    assert storage.size(name) == len(TEXT)
    assert storage.listdir("") == ([], ["a.txt"])
    assert storage.url(name) == "/media/a.txt"
    with open(storage.path(name), "rb") as file:
        assert gzip.decompress(file.read()) == TEXT
    with storage.open(name) as file:
        assert (file.size, file.read(), file.read()) == (len(TEXT), TEXT, b"")
        file.seek(5)
        assert b"".join(file.chunks()) == TEXT
    with storage.open(name, "r") as file:
        assert file.readline() == "0 GET /index.html\n"
    storage.delete(name)
    assert on_disk(storage) == []
    assert not storage.exists(name)


CONTENTS: dict[str, Any] = {
    "noise": ContentFile(NOISE),
    "nothing": ContentFile(b""),
    "a few bytes": ContentFile(b"a few bytes"),
    "text that is encoded elsewhere": ContentFile("text" * 1000),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_does_not_get_smaller_is_kept_as_it_is(
    kind: str, storage: GzippedFileSystemStorage
) -> None:
    content = CONTENTS[kind]
    name = storage.save("a.bin", content)
    assert on_disk(storage) == [name] == ["a.bin"]
    assert not storage.is_gzipped(name)
    content.seek(0)
    expected = content.read()
    with storage.open(name) as file:
        assert file.read() == (expected.encode() if isinstance(expected, str) else expected)
    assert storage.size(name) == len(expected)


@pytest.mark.parametrize("data", [TEXT, NOISE], ids=["text", "noise"])
def test_uploads_of_any_kind_are_saved(data: bytes, storage: GzippedFileSystemStorage) -> None:
    temporary = TemporaryUploadedFile("a", "text/plain", len(data), None)
    temporary.write(data)
    for content in (SimpleUploadedFile("a", data), temporary):
        with storage.open(storage.save("a", content)) as file:
            assert file.read() == data
    temporary.close()


def test_a_content_that_can_only_be_read_forward_is_saved(
    storage: GzippedFileSystemStorage,
) -> None:
    for data in (TEXT, NOISE):
        reading, writing = os.pipe()
        os.write(writing, data[:60_000])
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            name = storage.save("a", File(pipe))
        with storage.open(name) as file:
            assert file.read() == data[:60_000]


def test_no_name_is_taken_twice(storage: GzippedFileSystemStorage) -> None:
    names = [saved(storage, data) for data in (TEXT, NOISE, TEXT, NOISE)]
    assert len(set(names)) == 4
    for name, data in zip(names, (TEXT, NOISE, TEXT, NOISE), strict=True):
        with storage.open(name) as file:
            assert file.read() == data
    assert storage.save("a.txt.gz", ContentFile(NOISE)) != "a.txt.gz"


def test_where_files_are_overwritten_one_form_replaces_the_other(tmp_path: Path) -> None:
    storage = GzippedFileSystemStorage(tmp_path, allow_overwrite=True)
    for data in (TEXT, NOISE, TEXT[::-1], TEXT, NOISE, NOISE):
        assert saved(storage, data) == "a.txt"
        assert len(on_disk(storage)) == 1
        with storage.open("a.txt") as file:
            assert file.read() == data


def test_of_several_gzip_members_the_right_size_has_all_decoded(
    storage: GzippedFileSystemStorage,
) -> None:
    Path(storage.location, "a.log.gz").write_bytes(gzip.compress(TEXT) * 2)
    member = storage_member(storage, "a.log", size=2 * len(TEXT))
    assert_reads(b"".join(stream_zip([member])), {"a.log": TEXT * 2}, only=PYTHON_READERS)
    with pytest.raises(ZipDownloadError):
        list(zip_response(RequestFactory().get("/"), [storage_member(storage, "a.log")]))  # type: ignore[call-overload]


@pytest.mark.parametrize("names", [("a.txt", "a.txt.gz"), ("a.txt.gz", "a.txt")])
@pytest.mark.parametrize(
    "data", [TEXT, NOISE, gzip.compress(TEXT[::-1], mtime=0)], ids=["text", "noise", "gzipped"]
)
def test_what_is_called_gz_is_another_file(names: Any, data: bytes, tmp_path: Path) -> None:
    storage = GzippedFileSystemStorage(tmp_path, allow_overwrite=True)
    contents = {"a.txt": data, "a.txt.gz": gzip.compress(TEXT)}
    for name in names * 2:
        assert saved(storage, contents[name], name) == name
    for name, content in contents.items():
        with storage.open(name) as file:
            assert file.read() == content
        assert storage.size(name) == len(content)
    assert sorted(storage.listdir("")[1]) == sorted(names)
    members = [storage_member(storage, name) for name in contents]
    assert_reads(b"".join(stream_zip(members)), contents, only=PYTHON_READERS)
    storage.delete(names[0])
    assert storage.listdir("")[1] == [names[1]]
    with storage.open(names[1]) as file:
        assert file.read() == contents[names[1]]


def test_it_is_not_opened_to_be_written_to(storage: GzippedFileSystemStorage) -> None:
    name = saved(storage)
    for mode in ("ab", "r+b", "wb"):
        with pytest.raises(ValueError, match="kept gzipped"):
            storage.open(name, mode)
    with storage.open("b.txt", "wb") as file:
        file.write(TEXT)
    assert on_disk(storage) == ["a.txt.gz", "b.txt"]


def test_of_what_others_gzipped_all_is_read(storage: GzippedFileSystemStorage) -> None:
    two = gzip.compress(TEXT) + gzip.compress(b"end")
    Path(storage.location, "access.log.1.gz").write_bytes(two)
    assert storage.size("access.log.1") == len(TEXT) + 3
    with storage.open("access.log.1") as file:
        assert file.read() == TEXT + b"end"
    member = storage_member(storage, "access.log.1")
    assert_reads(b"".join(stream_zip([member])), {"access.log.1": TEXT + b"end"})


def test_no_file_outside_is_found(tmp_path: Path) -> None:
    (tmp_path / "media.gz").write_bytes(gzip.compress(b"secret"))
    storage = GzippedFileSystemStorage(tmp_path / "media")
    assert not storage.exists("")
    assert storage.path("") == str(tmp_path / "media")


def test_it_is_made_again_as_it_was(storage: GzippedFileSystemStorage) -> None:
    path, args, kwargs = storage.deconstruct()  # type: ignore[attr-defined]
    assert path == "django_stream_zip.storages.gzipped.GzippedFileSystemStorage"
    assert kwargs["base_url"] == "/media/"
    assert len(args) == 1


# Members.


def test_the_deflate_stream_is_passed(storage: GzippedFileSystemStorage) -> None:
    member = storage_member(storage, saved(storage))
    size = os.path.getsize(storage.path("a.txt")) - 18
    assert (member[3].compressed_size, member[4].size) == (size, size)
    plan = Plan.of([member])
    assert plan is not None
    assert plan.entity_tag is not None
    archive = b"".join(stream_zip([member]))
    assert_reads(archive, {"a.txt": TEXT})
    for start, stop in [(0, plan.length), (50, 1000), (1000, plan.length)]:
        window = plan.window(start, stop, checksums=NoChecksums())
        assert b"".join(window) == archive[start:stop]
    response = zip_response(RequestFactory().get("/"), [member])
    assert response["Content-Length"] == str(len(archive))
    assert b"".join(response) == archive  # type: ignore[arg-type]


@pytest.mark.parametrize("compress", [None, True, False])
@pytest.mark.parametrize("decode", [None, True, False])
@pytest.mark.parametrize("known", [{}, {"size": len(TEXT), "modified_at": TIME}], ids=str)
def test_the_member_is_what_the_storage_opens_or_keeps(
    known: dict[str, Any],
    decode: bool | None,
    compress: bool | None,
    storage: GzippedFileSystemStorage,
) -> None:
    if decode is False:
        known = {}
    name = saved(storage)
    member = storage_member(storage, name, decode=decode, compress=compress, **known)
    kept = Path(storage.path(name)).read_bytes()
    expected = kept if decode is False else TEXT
    assert_reads(b"".join(stream_zip([member])), {"a.txt": expected}, only=PYTHON_READERS)
    assert (member[3].compressed_size is not None) == (
        decode is not False and compress is not False
    )


def test_what_shall_not_be_compressed_is_stored_decoded(
    storage: GzippedFileSystemStorage,
) -> None:
    member = storage_member(storage, saved(storage), compress=False)
    assert member[3] == NO_COMPRESSION_AUTO(len(TEXT), member[3].crc_32)
    assert b"".join(member[4].chunks(100, 70_000)) == TEXT[100:70_000]


def test_a_row_that_knows_all_has_it_passed_and_a_wrong_one_is_found(
    storage: GzippedFileSystemStorage,
) -> None:
    name = saved(storage)
    own = reader_for(storage, name).describe()
    known: dict[str, Any] = {**own._asdict(), "modified_at": TIME}
    assert storage_member(storage, name, **known)[3].compressed_size is not None
    with pytest.raises(ContentChangedError):
        storage_member(storage, name, **{**known, "validator": "another"})
    wrong = storage_member(storage, name, **{**known, "size": 5})
    assert wrong[3].compressed_size is None


def test_a_file_that_lies_about_itself_aborts(storage: GzippedFileSystemStorage) -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-4:] = (len(TEXT) + 1).to_bytes(4, "little")
    Path(storage.location, "a.txt.gz").write_bytes(packed)
    with pytest.raises(Exception, match="inflates to"):
        list(stream_zip([storage_member(storage, "a.txt")]))
    Path(storage.location, "b.txt.gz").write_bytes(gzip.compress(b"") + gzip.compress(TEXT))
    with pytest.raises(DeflateIntegrityError):
        list(stream_zip([storage_member(storage, "b.txt")]))
    response = zip_response(RequestFactory().get("/"), [storage_member(storage, "b.txt")])
    with pytest.raises(ZipDownloadError):
        list(response)  # type: ignore[call-overload]


def test_no_other_method_takes_what_is_deflated(storage: GzippedFileSystemStorage) -> None:
    name, modified_at, mode, _, content = storage_member(storage, saved(storage))
    for method in (ZIP_32, NO_COMPRESSION_AUTO(content.size or 0)):
        member = (name, modified_at, mode, method, content)
        with pytest.raises(ZipValueError, match=r"deflated already.*compress=False"):
            list(stream_zip([member]))
        with pytest.raises(ZipValueError, match="deflated already"):
            Plan.of([member])


def test_one_that_was_replaced_aborts(storage: GzippedFileSystemStorage) -> None:
    name = saved(storage)
    member = storage_member(storage, name)
    storage.delete(name)
    saved(storage, TEXT[::-1])
    os.utime(storage.path(name), (1, 1))
    with pytest.raises(ContentChangedError):
        list(stream_zip([member]))


@pytest.mark.django_db
def test_fields_work_as_with_any_storage(
    storage: GzippedFileSystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Book._meta.get_field("file"), "storage", storage)
    book = Book.objects.create(file=ContentFile(TEXT, "a.txt"))
    assert on_disk(storage)[0].endswith(".txt.gz")
    book = Book.objects.get()
    assert (book.file.size, book.zip_size) == (len(TEXT), len(TEXT))
    with book.file.open() as file:
        assert file.read() == TEXT
    from django_stream_zip.members import queryset_members

    [member] = queryset_members(Book.objects.all(), "file")
    assert member[3].compressed_size is not None
    assert_reads(b"".join(stream_zip([member])), {member[0]: TEXT}, only=PYTHON_READERS)
    book.file.delete()
    assert on_disk(storage) == []
