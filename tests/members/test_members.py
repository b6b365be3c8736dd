"""The builders: names, methods, times, what they ask of a storage, and contents that are read."""

from __future__ import annotations

import asyncio
import os
import random
import stat
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import pyzipper
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.db import models
from django.db.models.fields.files import FieldFile
from django.test import RequestFactory, override_settings
from django.utils import timezone as django_timezone
from django.utils import translation
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_AUTO,
    ZIP_AUTO,
    stream_zip,
)
from django_stream_zip.engine.accelerators import FAST
from django_stream_zip.engine.methods import Coding, deflated
from django_stream_zip.members import bytes_member, field_member, file_member, storage_member
from django_stream_zip.members.build import ContentMember, _suffix
from django_stream_zip.members.naming import named
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from django_stream_zip.response import zip_response
from tests.support.contents import NoChecksums, open_files
from tests.support.readers import PYTHON_READERS, assert_reads
from tests.support.sources import aiterated

DATA = random.Random(1).randbytes(200_000)
CRC_32 = zlib.crc32(DATA)
TIME = datetime(2024, 2, 29, 23, 30, tzinfo=UTC)


class CountingStorage(InMemoryStorage):
    """Notes which questions it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def exists(self, name: str) -> bool:
        self.asked.append("exists")
        return super().exists(name)

    def size(self, name: str) -> int:
        self.asked.append("size")
        return super().size(name)

    def get_modified_time(self, name: str) -> datetime:
        self.asked.append("get_modified_time")
        return super().get_modified_time(name)

    def open(self, name: str, mode: str = "rb") -> Any:
        self.asked.append("open")
        return super().open(name, mode)


class Upload(models.Model):
    """Never saved: it only carries a file field."""

    file = models.FileField()

    class Meta:
        app_label = "tests"
        managed = False


@pytest.fixture
def counting() -> CountingStorage:
    storage = CountingStorage()
    storage.save("folder/photo.jpg", ContentFile(DATA))
    storage.asked.clear()
    return storage


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(DATA)
    os.utime(path, (TIME.timestamp(), TIME.timestamp()))
    return path


def field_file(storage: Storage, name: str | None) -> FieldFile:
    found = FieldFile(Upload(), Upload._meta.get_field("file"), name)  # type: ignore[arg-type]
    found.storage = storage
    return found


# Each builder, as a function of a folder and keyword arguments: a member of DATA.


def of_file(folder: Path, **kwargs: Any) -> ContentMember:
    path = folder / "photo.jpg"
    path.write_bytes(DATA)
    return file_member(path, **kwargs)


def of_bytes(folder: Path, name: str = "photo.jpg", **kwargs: Any) -> ContentMember:
    return bytes_member(DATA, name, **kwargs)


def of_files(folder: Path, **kwargs: Any) -> ContentMember:
    storage = FileSystemStorage(folder)
    storage.save("folder/photo.jpg", ContentFile(DATA))
    return storage_member(storage, "folder/photo.jpg", **kwargs)


def of_memory(folder: Path, **kwargs: Any) -> ContentMember:
    storage = InMemoryStorage()
    storage.save("folder/photo.jpg", ContentFile(DATA))
    return storage_member(storage, "folder/photo.jpg", **kwargs)


def of_field(folder: Path, **kwargs: Any) -> ContentMember:
    storage = FileSystemStorage(folder)
    storage.save("folder/photo.jpg", ContentFile(DATA))
    return field_member(field_file(storage, "folder/photo.jpg"), **kwargs)


BUILDERS: dict[str, Callable[..., ContentMember]] = {
    "file_member": of_file,
    "bytes_member": of_bytes,
    "storage_member of files": of_files,
    "storage_member in memory": of_memory,
    "field_member": of_field,
}
EVERY_BUILDER = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


# What all builders do.


@EVERY_BUILDER
def test_a_member_is_named_like_its_file_without_folders(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    assert build(tmp_path)[0] == "photo.jpg"


@EVERY_BUILDER
@pytest.mark.parametrize("name", ["other.jpg", "a folder/other.jpg", "文件/😀.txt"])
def test_a_member_has_the_name_it_is_given(
    build: Callable[..., ContentMember], name: str, tmp_path: Path
) -> None:
    assert build(tmp_path, name=name)[0] == name


@EVERY_BUILDER
def test_a_member_is_a_regular_file_unless_told(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    assert build(tmp_path)[2] == stat.S_IFREG | 0o644


@EVERY_BUILDER
def test_a_member_has_the_mode_it_is_given(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    assert build(tmp_path, mode=stat.S_IFREG | 0o755)[2] == stat.S_IFREG | 0o755


@EVERY_BUILDER
def test_a_member_has_a_content_that_can_be_read_again(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    content = build(tmp_path)[4]
    assert content.size == len(DATA)
    assert content.crc_32 in (None, CRC_32)
    assert isinstance(content.identity, str)
    assert isinstance(content.validator, str)
    assert b"".join(content) == b"".join(content) == DATA


@EVERY_BUILDER
def test_a_member_can_be_compressed_or_not(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    assert build(tmp_path, compress=True)[3] == deflated(len(DATA), FAST)
    assert build(tmp_path, name="x.txt", compress=False)[3].coding is Coding.STORE


@EVERY_BUILDER
def test_what_was_built_can_be_read_from_an_archive(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    members = [build(tmp_path), bytes_member(b"text " * 1000, "folder/text.txt")]
    expected = {"photo.jpg": DATA, "folder/text.txt": b"text " * 1000}
    assert_reads(b"".join(stream_zip(members)), expected, only=PYTHON_READERS)


@EVERY_BUILDER
def test_a_photo_gives_an_archive_with_length_and_tag(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    members = [build(tmp_path)]
    plan = Plan.of(members)
    assert plan is not None
    assert plan.entity_tag is not None
    archive = b"".join(stream_zip(members))
    assert len(archive) == plan.length
    ranged = plan.window(100_000, plan.length, checksums=NoChecksums())
    assert b"".join(ranged) == archive[100_000:]


RANGES = [
    (0, None),
    (0, 0),
    (0, 1),
    (0, 65536),
    (0, 200_000),
    (1, 2),
    (65535, 65537),
    (65536, 131072),
    (70_000, None),
    (199_999, None),
    (199_999, 200_000),
    (200_000, None),
    (123_456, 123_456),
]


@EVERY_BUILDER
@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_chunks_from_start_to_stop_are_a_slice(
    build: Callable[..., ContentMember], start: int, stop: int | None, tmp_path: Path
) -> None:
    content = build(tmp_path)[4]
    chunks = list(content.chunks(start, stop))
    assert b"".join(chunks) == DATA[start:stop]
    assert all(0 < len(chunk) <= 65536 for chunk in chunks)


@EVERY_BUILDER
def test_a_content_is_open_only_while_it_is_read(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    content, before = build(tmp_path)[4], open_files()
    chunks = content.chunks()
    assert open_files() == before
    next(chunks)
    list(chunks)
    assert open_files() == before


@EVERY_BUILDER
def test_a_content_that_is_not_read_to_its_end_can_be_closed(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    content, before = build(tmp_path)[4], open_files()
    chunks: Any = content.chunks(5)
    next(chunks)
    opened = open_files()
    chunks.close()
    assert open_files() == before
    if build in (of_file, of_files, of_field):
        assert len(opened) == len(before) + 1


# Not `of_memory`: Django's InMemoryStorage has one position for all readers of a file.
@pytest.mark.parametrize("build", [of_file, of_bytes, of_files, of_field])
def test_two_readers_of_a_content_get_the_same(
    build: Callable[..., ContentMember], tmp_path: Path
) -> None:
    content = build(tmp_path)[4]
    pairs = list(zip(content.chunks(), content.chunks(), strict=True))
    assert all(one == other for one, other in pairs)
    assert b"".join(one for one, _ in pairs) == DATA


# Methods by the ending.


@pytest.mark.parametrize(
    "name",
    """photo.jpg photo.jpeg PHOTO.JPG Photo.Png a.webp a.heic film.mp4 film.mkv song.mp3 song.flac
    archive.zip archive.tar.gz archive.tgz a.7z a.rar a.zst book.epub letter.docx sheet.xlsx
    paper.PDF font.woff2 folder.txt/photo.jpg a.b.c.png .hidden.jpg""".split(),
)
def test_a_file_that_is_compressed_already_is_not_again(name: str) -> None:
    assert bytes_member(b"data", name)[3] == NO_COMPRESSION_AUTO(4, zlib.crc32(b"data"))


@pytest.mark.parametrize(
    "name",
    """text.txt table.csv page.html data.json photo.bmp archive.tar scan.tiff drawing.svg
    Makefile jpg .jpg photo.jpg.txt folder.jpg/text photo.jpg~ photo.jpgx photo.""".split(),
)
def test_any_other_file_is_deflated(name: str) -> None:
    assert bytes_member(b"data", name)[3] == deflated(4, FAST)


def test_the_ending_of_the_member_and_not_of_the_file_decides(file: Path) -> None:
    assert file_member(file, "photo.txt")[3].coding is Coding.DEFLATE
    assert file_member(file)[3].coding is Coding.STORE


@given(st.text("ab/.é ", max_size=12))
def test_an_extension_is_what_pathlib_says(path: str) -> None:
    if path[-1:] not in ("/", "."):  # no file, or what later releases of Python see otherwise
        assert _suffix(path) == PurePosixPath(path).suffix


@pytest.mark.parametrize("level", [-1, 0, 1, 9])
def test_the_setting_tells_the_level(level: int) -> None:
    with override_settings(DJANGO_STREAM_ZIP={"COMPRESSION_LEVEL": level}):
        assert bytes_member(b"data", "a.txt")[3] == ZIP_AUTO(4, level=level)


def test_a_level_that_is_none_is_found_when_a_member_is_built() -> None:
    with (
        override_settings(DJANGO_STREAM_ZIP={"COMPRESSION_LEVEL": 10}),
        pytest.raises(ImproperlyConfigured, match="must be an integer from -1 to 9, or None"),
    ):
        bytes_member(b"data", "a.txt")


def test_without_a_checksum_a_stored_member_is_one_of_blocks(file: Path) -> None:
    assert file_member(file)[3] == NO_COMPRESSION_AUTO(len(DATA))
    assert file_member(file, crc_32=CRC_32)[3] == NO_COMPRESSION_AUTO(len(DATA), CRC_32)
    assert file_member(file, crc_32=0)[3] == NO_COMPRESSION_AUTO(len(DATA), 0)


# Times.


@EVERY_BUILDER
@pytest.mark.parametrize(
    ("zone", "modified_at", "wall_clock"),
    [
        pytest.param("UTC", TIME, datetime(2024, 2, 29, 23, 30), id="UTC"),
        pytest.param("Asia/Kolkata", TIME, datetime(2024, 3, 1, 5, 0), id="Kolkata"),
        pytest.param("America/New_York", TIME, datetime(2024, 2, 29, 18, 30), id="New York"),
        pytest.param(
            "America/New_York",
            datetime(2024, 7, 1, 12, 0, tzinfo=UTC),
            datetime(2024, 7, 1, 8, 0),
            id="daylight saving",
        ),
        pytest.param(
            "Asia/Kolkata",
            datetime(2024, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=-5))),
            datetime(2024, 3, 1, 11, 30),
            id="from another zone",
        ),
        pytest.param(
            "Asia/Kolkata", datetime(2024, 3, 1, 1, 0), datetime(2024, 3, 1, 1, 0), id="naive"
        ),
    ],
)
def test_a_time_is_as_the_clocks_of_the_site_show_it(
    build: Callable[..., ContentMember],
    zone: str,
    modified_at: datetime,
    wall_clock: datetime,
    tmp_path: Path,
) -> None:
    with override_settings(TIME_ZONE=zone):
        found = build(tmp_path, modified_at=modified_at)[1]
    assert found.replace(tzinfo=None) == wall_clock
    assert (found.tzinfo is None) == (modified_at.tzinfo is None)
    assert found.tzinfo is None or found == modified_at


@override_settings(TIME_ZONE="Asia/Kolkata")
def test_the_time_zone_of_a_visitor_changes_nothing() -> None:
    with django_timezone.override("America/New_York"):
        modified_at = bytes_member(b"", "a", modified_at=TIME)[1]
    assert modified_at.replace(tzinfo=None) == datetime(2024, 3, 1, 5, 0)


@override_settings(TIME_ZONE="Asia/Kolkata")
def test_a_file_has_the_time_it_was_modified_at(file: Path) -> None:
    modified_at = file_member(file)[1]
    assert modified_at == TIME
    assert modified_at.replace(tzinfo=None) == datetime(2024, 3, 1, 5, 0)


@pytest.mark.parametrize("use_tz", [True, False])
def test_a_stored_file_has_the_time_the_storage_tells(use_tz: bool, file: Path) -> None:
    with override_settings(TIME_ZONE="Asia/Kolkata", USE_TZ=use_tz):
        modified_at = storage_member(FileSystemStorage(file.parent), file.name)[1]
    assert modified_at.replace(tzinfo=None) == datetime(2024, 3, 1, 5, 0)


def test_bytes_have_the_earliest_time_there_is() -> None:
    assert bytes_member(b"", "a")[1] == datetime(1980, 1, 1)


# What is asked of a storage or of the system.


def test_a_storage_is_asked_once_for_size_and_time_and_nothing_is_opened(
    counting: CountingStorage,
) -> None:
    storage_member(counting, "folder/photo.jpg")
    assert sorted(counting.asked) == ["get_modified_time", "size"]


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ({"size": 5}, ["get_modified_time"]),
        ({"modified_at": TIME}, ["size"]),
        ({"size": 5, "modified_at": TIME}, []),
        ({"size": 0, "modified_at": TIME, "crc_32": 0}, []),
        ({"crc_32": 5}, ["get_modified_time", "size"]),
    ],
    ids=["size", "time", "both", "all are zero", "checksum"],
)
def test_a_storage_is_not_asked_for_what_is_known(
    known: dict[str, Any], asked: list[str], counting: CountingStorage
) -> None:
    by_name = storage_member(counting, "folder/photo.jpg", **known)
    assert sorted(counting.asked) == asked
    counting.asked.clear()
    by_field = field_member(field_file(counting, "folder/photo.jpg"), **known)
    assert sorted(counting.asked) == asked
    assert by_name[:4] == by_field[:4]
    assert by_name[4].validator == by_field[4].validator


@pytest.mark.parametrize(
    ("known", "calls"),
    [
        ({}, 1),
        ({"size": 5}, 1),
        ({"modified_at": TIME}, 1),
        ({"size": 0, "modified_at": TIME}, 0),
    ],
    ids=["nothing", "size", "time", "both"],
)
def test_a_file_is_looked_at_once_or_not_at_all(
    known: dict[str, Any], calls: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real = [], os.stat
    monkeypatch.setattr(os, "stat", lambda *args, **kw: seen.append(args) or real(*args, **kw))
    file_member(file, **known)
    monkeypatch.undo()
    assert len(seen) == calls


def test_planning_and_its_tag_open_nothing(counting: CountingStorage) -> None:
    known: dict[str, Any] = {"size": len(DATA), "modified_at": TIME, "crc_32": CRC_32}
    plan = Plan.of([storage_member(counting, "folder/photo.jpg", **known)])
    assert plan is not None
    assert plan.entity_tag is not None
    assert counting.asked == []


@pytest.mark.parametrize("size", [0, 5])
def test_a_size_that_is_given_is_believed(size: int, file: Path) -> None:
    member = file_member(file, size=size)
    assert member[3].uncompressed_size == member[4].size == size


# Missing files.


def test_a_missing_file_is_noticed_when_its_member_is_built(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_member(tmp_path / "missing.jpg")


@pytest.mark.parametrize("known", [{}, {"size": 5}, {"modified_at": TIME}], ids=str)
@pytest.mark.parametrize("storage", [FileSystemStorage, InMemoryStorage])
def test_a_missing_stored_file_is_noticed_when_its_member_is_built(
    storage: type[Storage], known: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        storage_member(storage(location=tmp_path), "missing.jpg", **known)


def test_a_file_outside_a_storage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuspiciousFileOperation):
        storage_member(FileSystemStorage(tmp_path), "../outside.jpg")


@pytest.mark.parametrize("name", [None, ""])
def test_a_field_without_a_file_is_an_error_that_names_it(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"file of <Upload: .*> has no file"):
        field_member(field_file(InMemoryStorage(), name))


def test_a_file_that_is_gone_later_is_an_error_when_it_is_read(file: Path) -> None:
    content = file_member(file)[4]
    file.unlink()
    with pytest.raises(FileNotFoundError):
        list(content)


# It has a size, so it could be planned, and would be found out in the middle of a download.
def test_a_directory_is_noticed_when_its_member_is_built(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        file_member(tmp_path)


# Files that change.


def touch(path: Path) -> None:
    path.write_bytes(DATA[::-1])
    os.utime(path, (TIME.timestamp() + 1, TIME.timestamp() + 1))


@pytest.mark.parametrize("start", [0, 1, 150_000])
def test_a_file_that_was_modified_since_is_not_read(start: int, file: Path) -> None:
    content, before = file_member(file)[4], open_files()
    touch(file)
    with pytest.raises(ContentChangedError, match=r"photo\.jpg"):
        list(content.chunks(start))
    assert open_files() == before


def test_a_modification_within_a_second_is_noticed(file: Path) -> None:
    content = file_member(file)[4]
    nanoseconds = file.stat().st_mtime_ns + 1000
    os.utime(file, ns=(nanoseconds, nanoseconds))
    with pytest.raises(ContentChangedError):
        list(content.chunks())


@pytest.mark.parametrize("length", [0, 1, 199_999, 200_001])
def test_a_stored_file_of_another_size_fails_its_archive(length: int, tmp_path: Path) -> None:
    member = of_files(tmp_path, size=len(DATA))
    (tmp_path / "folder/photo.jpg").write_bytes((DATA + b"x")[:length])
    plan = Plan.of([member])
    assert plan is not None
    with pytest.raises(ContentChangedError):
        list(plan.window(0, plan.length, checksums=NoChecksums()))


# Identity and validator.


def state(member: ContentMember) -> tuple[str, str | None]:
    return member[4].identity, member[4].validator


def test_a_file_is_the_same_content_until_it_is_modified(file: Path) -> None:
    before = state(file_member(file))
    assert state(file_member(str(file), "other.txt", compress=True)) == before
    touch(file)
    after = state(file_member(file))
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_relative_path_is_the_same_file_and_stays_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    member = file_member("photo.jpg")
    assert state(member) == state(file_member(file))
    monkeypatch.chdir("/")
    assert b"".join(member[4]) == DATA


def test_files_in_two_folders_are_not_the_same(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_bytes(b"x")
    first, second = (file_member(tmp_path / folder / "x") for folder in "ab")
    assert first[4].identity != second[4].identity


@pytest.mark.parametrize("changed", [{"size": 4}, {"modified_at": TIME + timedelta(seconds=1)}])
@pytest.mark.parametrize("kind", ["file", "storage"])
def test_a_validator_changes_with_what_the_caller_knows(
    kind: str, changed: dict[str, Any], file: Path, counting: CountingStorage
) -> None:
    def build(**kwargs: Any) -> ContentMember:
        values = {"size": 5, "modified_at": TIME, **kwargs}
        if kind == "file":
            return file_member(file, **values)
        return storage_member(counting, "folder/photo.jpg", **values)

    assert state(build()) == state(build())
    assert state(build())[1] != state(build(**changed))[1]


# Or they would share the checksums in the cache, and a wrong one might come into an archive.
def test_files_of_two_storages_are_not_the_same(tmp_path: Path) -> None:
    first, second = (
        storage_member(FileSystemStorage(tmp_path / folder), "x", size=5, modified_at=TIME)
        for folder in "ab"
    )
    assert first[4].identity != second[4].identity


def test_a_stored_file_is_the_same_content_for_another_instance_of_its_storage(
    tmp_path: Path,
) -> None:
    first, second = (
        storage_member(FileSystemStorage(tmp_path), "x", size=5, modified_at=TIME) for _ in "ab"
    )
    assert state(first) == state(second)


def test_equal_bytes_are_the_same_content_and_others_are_not() -> None:
    one = bytes_member(b"data", "a")
    assert state(one) == state(bytes_member(bytearray(b"data"), "b"))  # type: ignore[arg-type]
    assert state(one) != state(bytes_member(b"DATA", "a"))


def test_bytes_in_memory_have_the_same_tag_each_time_and_know_their_checksum() -> None:
    def tag(data: bytes) -> str | None:
        plan = Plan.of([bytes_member(data, "a.jpg")])
        return plan and plan.entity_tag

    assert tag(b"data") == tag(b"data") != tag(b"DATA")
    assert bytes_member(b"data", "a.txt")[4].crc_32 == zlib.crc32(b"data")


def test_bytes_that_are_changed_later_stay_what_they_were() -> None:
    data = bytearray(b"data")
    content = bytes_member(data, "a")[4]  # type: ignore[arg-type]
    data[:] = b"DATA"
    assert b"".join(content) == b"data"


# Odd ones.


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.jpg", b""), ("a.jpg", b"x"), ("a.txt", b""), ("a.txt", b"x"), ("folder/", b"")],
)
def test_small_contents_are_written_and_read(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    for member in (bytes_member(data, name), file_member(path, name)):
        archive = b"".join(stream_zip([member]))
        assert_reads(archive, {name: data}, only=PYTHON_READERS)


def test_a_name_is_made_safe(file: Path) -> None:
    assert file_member(file, "../../etc/x\n.jpg")[0] == "etc/x .jpg"
    assert len(file_member(file, "x" * 65_536 + ".jpg")[0]) == 255


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before


# Times no field can hold, and lazy text.

FAR = [-99_999_999_999, -62_135_596_801, 253_402_300_800, 1_830_000_000_000]


@pytest.mark.parametrize("seconds", FAR)
def test_a_file_may_be_of_any_time(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    try:
        os.utime(path, (seconds, seconds))
    except (OverflowError, OSError):
        pytest.skip("this file system has no such time")
    data = b"".join(stream_zip([file_member(path)]))
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.getinfo("a.txt").date_time[0] in {1980, 2107} | set(range(1981, 2107))


@pytest.mark.parametrize("hours", [-14, 0, 14, None])
@pytest.mark.parametrize(("time", "year"), [(datetime.min, 1980), (datetime.max, 2107)])
def test_the_first_and_the_last_time_are_clamped(
    tmp_path: Path, time: datetime, year: int, hours: int | None
) -> None:
    at = time if hours is None else time.replace(tzinfo=timezone(timedelta(hours=hours)))
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    members = [
        bytes_member(b"x", "a", modified_at=at),
        file_member(path, "b", modified_at=at),
        file_member(path, "c", modified_at=at, size=1),
        ("d", at, 0o100644, ZIP_AUTO(1), [b"x"]),
    ]
    response = zip_response(RequestFactory().get("/"), members)
    with zipfile.ZipFile(BytesIO(b"".join(response))) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {year}


def test_one_clock_for_all_members_of_a_response() -> None:
    at = datetime(2024, 6, 1, 22, 30, tzinfo=UTC)

    async def made() -> AsyncIterator[Any]:
        yield "d", at, 0o100644, ZIP_AUTO(1), aiterated([b"x"])

    members = [bytes_member(b"x", "a", modified_at=at), ("b", at, 0o100644, ZIP_AUTO(1), [b"x"])]
    request = RequestFactory().get("/")
    with override_settings(TIME_ZONE="Asia/Kolkata"):
        times = set()
        for given in (members, iter(members)):
            with zipfile.ZipFile(BytesIO(b"".join(zip_response(request, given)))) as archive:
                times |= {info.date_time for info in archive.infolist()}
        [member] = asyncio.run(_all(named(made())))
    assert times == {(2024, 6, 2, 4, 0, 0)}
    assert member[1].hour == 4


async def _all(members: Any) -> list[Any]:
    return [member async for member in members]


def test_lazy_text_is_text_in_the_active_language(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    yes = gettext_lazy("Yes")
    with translation.override("de"):
        members = [
            bytes_member(b"x", yes),
            file_member(path, yes),
            storage_member(FileSystemStorage(tmp_path), "a.txt", yes),
            (yes, datetime(2024, 1, 1), 0o100644, ZIP_AUTO(1), [b"x"]),
        ]
        request = RequestFactory().get("/")
        response = zip_response(request, members, filename=yes, password=yes)
    assert [member[0] for member in members[:3]] == ["Ja"] * 3
    with pyzipper.AESZipFile(BytesIO(b"".join(response))) as archive:
        archive.setpassword(b"Ja")
        assert archive.namelist() == ["Ja", "Ja (1)", "Ja (2)", "Ja (3)"]
        assert archive.read("Ja (3)") == b"x"


def test_only_a_response_makes_names_unique() -> None:
    members = [bytes_member(b"1", "../a"), bytes_member(b"2", "A"), bytes_member(b"3", "a")]
    assert [member[0] for member in members] == ["a", "A", "a"]
    engine, response = stream_zip(members), zip_response(RequestFactory().get("/"), members)
    with zipfile.ZipFile(BytesIO(b"".join(engine))) as archive:
        assert archive.namelist() == ["a", "A", "a"]
    with zipfile.ZipFile(BytesIO(b"".join(response))) as archive:
        assert archive.namelist() == ["a", "A (1)", "a (2)"]
    assert b"../x" in b"".join(stream_zip([("../x", *members[0][1:])]))
