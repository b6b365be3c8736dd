"""Which reader is for which storage."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, default_storage
from django.test import override_settings

from django_stream_zip import conf
from django_stream_zip.members import storage_member
from django_stream_zip.members.readers import Reader, register_reader, table
from django_stream_zip.members.readers.generic import GenericReader, StreamReader
from django_stream_zip.members.readers.local import FileReader, MemoryReader

HERE = __name__


class Renamed(FileSystemStorage):
    """Changes what a reader asks for: where a file is."""

    def path(self, name: str) -> str:
        return super().path(name + ".moved")


class Opening(FileSystemStorage):
    def open(self, name: str, mode: str = "rb") -> File:
        return super().open(name, mode)


class Decrypting(FileSystemStorage):
    def _open(self, name: str, mode: str = "rb") -> File:
        return ContentFile(b"decrypted")


class Measuring(FileSystemStorage):
    def size(self, name: str) -> int:
        return 5


class Timing(FileSystemStorage):
    def get_modified_time(self, name: str) -> datetime:
        return datetime(2000, 1, 1)


class DecryptingMore(Decrypting):
    pass


class Mixin:
    def _open(self, name: str, mode: str = "rb") -> File:
        return ContentFile(b"mixed in")


class Mixed(Mixin, FileSystemStorage):
    pass


class Streaming(FileSystemStorage):
    def open_stream(self, name: str, start: int = 0, length: int | None = None) -> Any:
        raise NotImplementedError


class StreamingAndDecrypting(Streaming):
    def _open(self, name: str, mode: str = "rb") -> File:
        return ContentFile(b"decrypted")


class OtherStorage(Storage):
    pass


@pytest.mark.parametrize(
    ("storage", "reader"),
    [
        (FileSystemStorage, FileReader),
        (InMemoryStorage, MemoryReader),
        (StaticFilesStorage, FileReader),
        (Renamed, FileReader),
        (Opening, GenericReader),
        (Decrypting, GenericReader),
        (DecryptingMore, GenericReader),
        (Mixed, GenericReader),
        (Measuring, GenericReader),
        (Timing, GenericReader),
        (Streaming, StreamReader),
        (StreamingAndDecrypting, GenericReader),
        (OtherStorage, GenericReader),
    ],
)
def test_a_reader_is_chosen_by_class(
    storage: type[Any], reader: type[Reader], settings: Any, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = str(tmp_path)
    assert table.reader_class(storage()) is reader


def test_what_is_overridden_on_an_instance_counts(tmp_path: Path) -> None:
    storage = FileSystemStorage(tmp_path)
    storage.open = lambda name, mode="rb": ContentFile(b"patched")  # type: ignore[method-assign,assignment]
    assert table.reader_class(storage) is GenericReader


def test_a_storage_that_decrypts_gives_what_it_decrypted(tmp_path: Path) -> None:
    storage = Decrypting(tmp_path)
    storage.save("secret.jpg", ContentFile(b"encrypted"))
    assert b"".join(storage_member(storage, "secret.jpg")[4]) == b"decrypted"


def test_a_path_that_is_overridden_is_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg.moved").write_bytes(b"moved")
    member = storage_member(Renamed(tmp_path), "a.jpg")
    assert (member[4].size, b"".join(member[4])) == (5, b"moved")


def test_the_default_storage_is_what_it_stands_for() -> None:
    default_storage.save("standing.jpg", ContentFile(b"data"))
    try:
        lazy = storage_member(default_storage, "standing.jpg")
        real = storage_member(table.unwrapped(default_storage), "standing.jpg")
        assert isinstance(lazy[4].reader, MemoryReader)
        assert lazy[4].identity == real[4].identity
        assert b"".join(lazy[4]) == b"data"
    finally:
        default_storage.delete("standing.jpg")


class Mine(GenericReader):
    """Reads something else."""

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        yield b"mine"[start:stop]


@pytest.fixture
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_READERS", dict(table._READERS))


@pytest.mark.usefixtures("_own_table")
@pytest.mark.parametrize("storage", [Decrypting, f"{HERE}.Decrypting"], ids=["class", "path"])
@pytest.mark.parametrize("reader", [Mine, f"{HERE}.Mine"], ids=["class", "path"])
def test_a_reader_can_be_registered(storage: Any, reader: Any, tmp_path: Path) -> None:
    register_reader(storage, reader)
    assert table.reader_class(Decrypting(tmp_path)) is Mine
    assert table.reader_class(DecryptingMore(tmp_path)) is Mine
    assert table.reader_class(FileSystemStorage(tmp_path)) is FileReader


@pytest.mark.usefixtures("_own_table")
def test_a_registered_reader_is_not_for_those_who_open_otherwise(tmp_path: Path) -> None:
    register_reader(FileSystemStorage, Mine)
    assert table.reader_class(FileSystemStorage(tmp_path)) is Mine
    assert table.reader_class(Decrypting(tmp_path)) is GenericReader


def test_the_setting_names_readers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "READERS" not in conf.KEYS:
        key = conf.Key({}, "a dict", lambda value: isinstance(value, dict))
        monkeypatch.setitem(conf.KEYS, "READERS", key)
    # A path by which the class is imported, and not the one where it is.
    readers = {"django.core.files.storage.FileSystemStorage": f"{HERE}.Mine"}
    with override_settings(DJANGO_STREAM_ZIP={"READERS": readers}):
        assert table.reader_class(FileSystemStorage(tmp_path)) is Mine
    assert table.reader_class(FileSystemStorage(tmp_path)) is FileReader


@pytest.mark.parametrize(
    ("storage", "reader"),
    [
        ("s3.S3Storage", "S3Reader"),
        ("s3.S3StaticStorage", "S3Reader"),
        ("gcloud.GoogleCloudStorage", "GoogleCloudReader"),
        ("azure_storage.AzureStorage", "AzureReader"),
        ("sftpstorage.SFTPStorage", "SFTPReader"),
    ],
)
@pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")
def test_the_remote_ones_are_known(storage: str, reader: str) -> None:
    module, _, name = storage.partition(".")
    backend = pytest.importorskip(f"storages.backends.{module}")
    known = getattr(backend, name)
    assert table.reader_class(known()).__name__ == reader
    own = type("Own", (known,), {"_open": lambda self, name, mode="rb": None})
    assert table.reader_class(own()) is GenericReader


def test_nothing_is_imported_that_is_not_used() -> None:
    import subprocess

    code = (
        "import sys, django_stream_zip.members; "
        "assert not {'boto3', 'google', 'azure', 'paramiko', 'storages'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_member_of_a_known_storage_opens_nothing(tmp_path: Path) -> None:
    storage = FileSystemStorage(tmp_path)
    storage.save("a.jpg", ContentFile(b"data"))
    member = storage_member(storage, "a.jpg")
    (tmp_path / "a.jpg").unlink()
    chunks = member[4].chunks()
    with pytest.raises(FileNotFoundError):
        next(chunks)
