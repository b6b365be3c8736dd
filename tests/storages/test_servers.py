"""The readers against real servers, and imitations of such that others have made."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.test import RequestFactory

from django_stream_zip import stream_zip
from django_stream_zip.members import storage_member, storage_members
from django_stream_zip.members.readers.reader import Metadata
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.response import zip_response
from tests.storages.conftest import BUCKET
from tests.support import clients
from tests.support.contract import DATA, MIB, ListingContract, Place, ReaderContract
from tests.support.proxy import Proxy
from tests.support.readers import PYTHON_READERS, assert_reads

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


class S3Contract(ReaderContract):
    reader_class = "S3Reader"

    def test_what_was_stored_packed_is_read_both_ways(self, place: Place, name: str) -> None:
        from gzip import compress

        packed = compress(DATA[:MIB], mtime=0)
        place.storage.object_parameters = {"ContentEncoding": "gzip"}
        try:
            place.put(name, packed)
        finally:
            place.storage.object_parameters = {}
        assert b"".join(place.reader(name).chunks()) == packed
        assert place.reader(name).describe().size == len(packed)
        unpacking = place.reader(name, decode=True)
        assert unpacking.describe().size is None
        assert b"".join(unpacking.chunks(5)) == DATA[5:MIB]

    def test_an_object_in_many_parts_is_read(self, place: Place, name: str) -> None:
        data = DATA * 4  # more than the 8 MB from which it is uploaded in parts
        place.put(name, data)
        reader = place.reader(name)
        facts = reader.describe()
        assert facts.size == len(data)
        assert facts.crc_32 in (None, zlib.crc32(data))
        assert b"".join(reader.chunks(9 * MIB)) == data[9 * MIB :]

    def test_nobody_else_may_read(self, place: Place, name: str) -> None:
        place.put(name, DATA)
        url = place.storage.endpoint_url
        with clients.s3(url, BUCKET, secret_key="wrong") as storage:
            reader = Place(storage).reader(name)
            with pytest.raises(PermissionError):
                reader.describe()
            with pytest.raises(PermissionError):
                list(reader.chunks())


class TestMoto(ListingContract, S3Contract):
    test_nobody_else_may_read = None  # type: ignore[assignment] # it lets everybody

    @pytest.fixture
    def place(self, moto: Any) -> Place:
        return Place(moto)

    def test_what_a_storage_gzipped_is_passed(self, place: Place, name: str) -> None:
        from django.core.files.base import ContentFile

        name, text = f"{name}.css", DATA[:1000] * 1000
        with clients.s3(
            place.storage.endpoint_url, BUCKET, access_key="testing", gzip=True
        ) as gzipping:
            assert gzipping.save(name, ContentFile(text)) == name
            member = storage_member(gzipping, name, "a.txt")
            assert member[3].compressed_size == member[4].size
            assert_reads(b"".join(stream_zip([member])), {"a.txt": text}, only=PYTHON_READERS)

    @pytest.mark.parametrize("size", [1000, len(DATA) * 4])
    def test_an_upload_with_a_checksum_of_the_whole_has_it_ahead(
        self, size: int, place: Place, name: str
    ) -> None:
        data = (DATA * 4)[:size]
        place.storage.object_parameters = {
            "ChecksumAlgorithm": "CRC32",
            "ChecksumType": "FULL_OBJECT",
        }
        try:
            place.put(name, data)
        finally:
            place.storage.object_parameters = {}
        # moto forgets the type of what wasn't uploaded in parts.
        expected = None if size == 1000 else zlib.crc32(data)
        assert place.reader(name).describe().crc_32 == expected

    def test_a_listing_of_all_is_one_request(
        self, place: Place, listed_folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        reader: Any = place.reader(listed_folder)
        events = reader.client.meta.events
        events.register("before-call", lambda model, **_: asked.append(model.name), unique_id="l")
        try:
            members = storage_members(place.storage, listed_folder)
            response = zip_response(RequestFactory().get("/"), members, compress=False)
        finally:
            events.unregister("before-call", unique_id="l")
        assert asked == ["ListObjectsV2"]
        assert response.headers["Accept-Ranges"] == "bytes"

    def test_keys_that_are_no_files_are_left_out(
        self, place: Place, listed_folder: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        client: Any = place.reader("x").client  # type: ignore[attr-defined]
        for key in ("", "c/", "new/", "c//double.jpg"):
            client.put_object(Bucket=BUCKET, Key=f"{listed_folder}/{key}", Body=b"")
        assert len(storage_members(place.storage, listed_folder)) == 5
        assert "its storage has no name for this key" in caplog.text

    def test_what_a_listing_does_not_tell_is_asked(self, place: Place, name: str) -> None:
        from gzip import compress

        place.storage.object_parameters = {"ContentEncoding": "gzip", "StorageClass": "GLACIER"}
        try:
            place.put(name, compress(b"abc"))
        finally:
            place.storage.object_parameters = {}
        folder = name.rpartition("/")[0]
        listed = dict(place.reader(folder).listed())
        assert listed[name] == Metadata()  # whether it is archived
        with pytest.raises(PermissionError):
            storage_members(place.storage, folder)
        place.delete(name)


class TestLocalStack(ListingContract, S3Contract):
    test_nobody_else_may_read = None  # type: ignore[assignment] # it lets everybody

    @pytest.fixture
    def place(self, localstack: Any) -> Place:
        return Place(localstack)

    @pytest.mark.parametrize("size", [0, 1000, len(DATA) * 4], ids=["none", "one part", "parts"])
    @pytest.mark.parametrize("kind", ["FULL_OBJECT", None])
    def test_the_checksums_of_uploads_are_known_ahead(
        self, size: int, kind: str | None, place: Place, name: str
    ) -> None:
        from django_stream_zip.members.readers.s3 import S3PartsReader

        data = (DATA * 4)[:size]
        if kind:
            parameters = {"ChecksumAlgorithm": "CRC32", "ChecksumType": kind}
            place.storage.object_parameters = parameters
        try:
            place.put(name, data)
        finally:
            place.storage.object_parameters = {}
        in_parts = size > 8 * MIB
        known = place.reader(name).describe().crc_32
        assert known == (zlib.crc32(data) if kind or not in_parts else None)
        assert S3PartsReader(place.storage, name).describe().crc_32 == zlib.crc32(data)


class TestSwift(ListingContract, S3Contract):
    @pytest.fixture
    def place(self, swift: Any) -> Place:
        return Place(swift)


# The others.


class TestGoogleCloud(ListingContract, ReaderContract):
    reader_class = "GoogleCloudReader"
    tells_size = False

    @pytest.fixture
    def place(self, google: Any) -> Place:
        return Place(google, detects_replacement=False)


class TestAzure(ListingContract, ReaderContract):
    reader_class = "AzureReader"

    @pytest.fixture
    def place(self, azure: Any) -> Place:
        return Place(azure)

    def test_what_was_stored_packed_is_unpacked_as_the_storage_does(
        self, place: Place, name: str
    ) -> None:
        from gzip import compress

        place.storage.object_parameters = {"content_encoding": "gzip"}
        try:
            place.put(name, compress(DATA[:MIB], mtime=0))
        finally:
            place.storage.object_parameters = {}
        with place.storage.open(name) as file:
            assert file.read() == DATA[:MIB]
        reader = place.reader(name)
        assert b"".join(reader.chunks()) == DATA[:MIB]
        assert reader.describe().size is None
        assert b"".join(reader.chunks(5, 99_999)) == DATA[5:99_999]
        assert b"".join(place.reader(name, decode=False).chunks()) == compress(DATA[:MIB], mtime=0)
        member = storage_member(place.storage, name, "a.txt")
        assert member[3].compressed_size == member[4].size
        assert_reads(b"".join(stream_zip([member])), {"a.txt": DATA[:MIB]}, only=PYTHON_READERS)


# SFTP.


class TestSFTP(ListingContract, ReaderContract):
    reader_class = "SFTPReader"

    @pytest.fixture
    def place(self, sftp: Any) -> Place:
        return Place(sftp)

    def test_a_description_asks_once(
        self, place: Place, reader: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from paramiko import SFTPClient

        asked, real = [], SFTPClient._request

        def request(self: Any, *args: Any) -> Any:
            asked.append(args[0])
            return real(self, *args)

        monkeypatch.setattr(SFTPClient, "_request", request)
        reader.describe()
        assert len(asked) == 1

    def test_channels_are_used_again(self, place: Place, reader: Any) -> None:
        for _ in range(30):
            chunks: Any = reader.chunks()
            next(chunks)
            chunks.close()
            reader.describe()
        assert len(reader._channels._idle) <= 8

    def test_a_file_that_was_touched_is_not_read(
        self, place: Place, name: str, reader: Any
    ) -> None:
        reader.describe()
        place.storage.sftp.utime(place.storage._remote_path(name), (1, 1))
        with pytest.raises(ContentChangedError):
            list(reader.chunks())

    def test_a_file_that_is_written_to_while_it_is_read_is_no_mixture(
        self, place: Place, name: str, reader: Any
    ) -> None:
        client, path = place.storage.sftp, place.storage._remote_path(name)
        for at, fresh in enumerate((reader, reader.afresh())):
            chunks = fresh.chunks()
            next(chunks)
            client.utime(path, (at, at))
            with pytest.raises(ContentChangedError, match="while it was read"):
                list(chunks)

    def test_a_file_that_only_grew_is_given_as_it_was(
        self, place: Place, name: str, reader: Any
    ) -> None:
        chunks = reader.afresh().chunks()
        read = [next(chunks)]
        with place.storage.sftp.open(place.storage._remote_path(name), "ab") as file:
            file.write(b"one more line")
        assert b"".join([*read, *chunks]) == DATA

    def test_a_folder_is_no_file(self, place: Place, reader: Any) -> None:
        with pytest.raises(IsADirectoryError):
            place.reader("folder").describe()


# paramiko's own thread may find out first.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
class TestSFTPThatBreaks:
    """Through a proxy that cuts connections."""

    @pytest.fixture
    def proxy(self, sshd: dict[str, Any]) -> Iterator[Proxy]:
        with Proxy(sshd["params"]["port"]) as proxy:
            yield proxy

    @pytest.fixture
    def place(self, sshd: dict[str, Any], proxy: Proxy) -> Iterator[Place]:
        from storages.backends.sftpstorage import SFTPStorage

        options = {**sshd, "params": {**sshd["params"], "port": proxy.port}}
        with closing(SFTPStorage(**options)) as storage:
            yield Place(storage)

    def test_a_file_that_breaks_off_twice_is_resumed(self, place: Place, proxy: Proxy) -> None:
        place.put("broken.bin", DATA)
        proxy.cut_after = [MIB, MIB]
        proxy.cut_now()
        assert b"".join(place.reader("broken.bin").chunks()) == DATA
        assert proxy.cut_after == []

    def test_a_file_that_breaks_off_again_and_again_is_an_error(
        self, place: Place, proxy: Proxy
    ) -> None:
        place.put("broken.bin", DATA)
        proxy.cut_after = [200_000] * 1000
        proxy.cut_now()
        with pytest.raises(OSError, match=r"was truncated|connection broke"):
            list(place.reader("broken.bin").chunks())
        proxy.cut_after = []

    def test_a_file_that_is_replaced_meanwhile_is_an_error(
        self, place: Place, proxy: Proxy
    ) -> None:
        place.put("broken.bin", DATA)
        reader = place.reader("broken.bin")
        chunks = reader.chunks()
        next(chunks)
        path = place.storage._remote_path("broken.bin")
        place.storage.sftp.utime(path, (time.time() + 5, time.time() + 5))
        proxy.cut_now()
        with pytest.raises(ContentChangedError):
            list(chunks)
