"""What is read on an event loop keeps the promises of the readers, all of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from gzip import compress
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip import stream_zip
from django_stream_zip.members import async_member, bytes_member, storage_member
from django_stream_zip.members.async_member import AsyncStorageContent
from django_stream_zip.members.readers.async_reader import async_reader
from django_stream_zip.members.readers.reader import Metadata, Reader
from django_stream_zip.members.readers.remote import CHUNK_LENGTH
from django_stream_zip.members.storage import ReaderContent
from django_stream_zip.response import zip_response
from tests.storages import test_servers, test_stubs
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.contents import Pattern
from tests.support.contract import DATA, MIB, TIME, Faulty, Place
from tests.support.network import eventually
from tests.support.object_store import BUCKET, S3Handler, serving
from tests.support.readers import PYTHON_READERS, assert_reads

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def _obstore() -> None:
    require_packages("obstore")


class Looped:
    """A reader whose chunks come from an event loop, for tests that know of none."""

    may_pass = False

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        made = async_reader(reader)
        assert made is not None
        self.content = AsyncStorageContent(ReaderContent(reader, Metadata()), made)
        self.is_remote = reader.is_remote

    @property
    def deflate_stream(self) -> Any:
        return self.reader.deflate_stream

    def describe(self) -> Metadata:
        self.reader.may_pass = self.may_pass
        return self.reader.describe()

    def expect(self, size: int | None = None, validator: str | None = None) -> None:
        self.reader.expect(size, validator)

    def afresh(self) -> Looped:
        return Looped(self.reader.afresh())

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        with asyncio.Runner() as runner:
            chunks = self.content.chunks(start, stop)
            try:
                while True:
                    try:
                        yield runner.run(anext(chunks))  # type: ignore[arg-type]
                    except StopAsyncIteration:
                        return
            finally:
                runner.run(chunks.aclose())


def looped(place: Any) -> Any:
    """Have a place give readers of that kind."""
    made = place.reader
    place.reader = lambda name, **kwargs: Looped(made(name, **kwargs))
    return place


class TestS3(test_stubs.TestS3):
    reader_class = "Looped"
    test_one_client_is_for_all_threads: Any = None
    test_the_right_to_read_and_the_key_are_sent_along: Any = None
    test_a_store_that_falls_silent_is_asked_again: Any = None  # after a minute

    def test_after_much_progress_patience_begins_anew(self, place: Faulty, reader: Any) -> None:
        # What came since the last whole chunk is lost with the body.
        some = MIB + CHUNK_LENGTH
        place.faults.break_after = [10, 10, some, 10, 10, some, 10]
        assert b"".join(reader.chunks()) == DATA

    @pytest.fixture
    def place(self, served: Any) -> Any:
        return looped(test_stubs.emptied(*served))


class TestGoogleCloud(test_stubs.TestGoogleCloud):
    reader_class = "Looped"
    streams = True
    test_pieces_grow: Any = None

    @pytest.fixture
    def place(self, served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        return looped(test_stubs.emptied(*served))


class TestAzure(test_stubs.TestAzure):
    reader_class = "Looped"
    streams = True

    @pytest.fixture
    def place(self, served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        return looped(test_stubs.emptied(*served))


class TestMoto(test_servers.S3Contract):
    reader_class = "Looped"
    test_nobody_else_may_read: Any = None
    test_what_was_stored_packed_is_read_both_ways: Any = None

    @pytest.fixture
    def place(self, moto: Any) -> Any:
        return looped(Place(moto))


class TestSwift(test_servers.S3Contract):
    reader_class = "Looped"
    test_nobody_else_may_read: Any = None
    test_what_was_stored_packed_is_read_both_ways: Any = None

    @pytest.fixture
    def place(self, swift: Any) -> Any:
        return looped(Place(swift))


class TestMembers:
    """Members of S3 on the loop, as views have them."""

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls) -> Iterator[Any]:
        with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
            yield storage, store

    @pytest.fixture
    def place(self, served: Any) -> Faulty:
        return test_stubs.emptied(*served)

    def members(self, place: Faulty, number: int = 20) -> list[Any]:
        for one in range(number):
            place.put(f"{one}.jpg", DATA[: 20_000 + one])
        return [storage_member(place.storage, f"{one}.jpg") for one in range(number)]

    def test_the_archive_is_the_same(self, place: Faulty) -> None:
        members = self.members(place)
        looped = [async_member(member) for member in members]
        assert all(hasattr(member[4], "__aiter__") for member in looped)
        expected = b"".join(stream_zip(members))
        assert asyncio.run(downloaded(looped)) == expected
        assert asyncio.run(downloaded(iterated(looped))) == expected
        assert asyncio.run(downloaded(iter(looped))) == expected

    def test_it_is_a_range_of_it_too(self, place: Faulty) -> None:
        members = self.members(place)
        expected = b"".join(stream_zip(members))
        looped = [async_member(member) for member in members]
        got = asyncio.run(downloaded(looped, headers={"Range": "bytes=123456-"}))
        assert got == expected[123_456:]

    def test_under_wsgi_it_is_read_without_a_loop(self, place: Faulty) -> None:
        members = self.members(place)
        expected = b"".join(stream_zip(members))
        looped = [async_member(member) for member in members]
        for given in (looped, iter(looped)):
            assert b"".join(zip_response(RequestFactory().get("/"), given)) == expected  # type: ignore[arg-type]

    @pytest.mark.parametrize("prefetched", [True, False])
    def test_what_is_stored_gzipped_is_passed(
        self, prefetched: bool, place: Faulty, settings: Any
    ) -> None:
        settings.DJANGO_STREAM_ZIP = {"PREFETCH_MEMBERS": 8 if prefetched else 0}
        contents = {f"{one}.txt": DATA[one : 500_000 + one] + bytes(MIB) for one in range(3)}
        for name, content in contents.items():
            place.put(name, compress(content), encoding="gzip")
        members = [storage_member(place.storage, name, decode=True) for name in contents]
        expected = b"".join(stream_zip(members))
        assert_reads(expected, contents, only=PYTHON_READERS)
        looped = [async_member(member) for member in members]
        assert asyncio.run(downloaded(looped)) == expected
        assert asyncio.run(downloaded(iterated(looped))) == expected
        got = asyncio.run(downloaded(looped, headers={"Range": "bytes=123456-"}))
        assert got == expected[123_456:]

    def test_many_are_asked_for_at_once_and_no_thread_is_made(self, place: Faulty) -> None:
        members = [tuple(async_member(member)) for member in self.members(place)]
        place.store.asked.clear()
        place.faults.gathers = 8
        most = 0

        async def watched() -> None:
            nonlocal most
            task = asyncio.create_task(downloaded(members))
            while not task.done():
                most = max(most, sum(one.name.startswith("zip_") for one in threading.enumerate()))
                await asyncio.sleep(0.01)
            await task

        asyncio.run(watched())
        assert most == 0
        assert 8 <= place.store.most_at_once <= 16
        assert place.store.asked == ["get"] * 20

    def test_who_goes_away_closes_the_bodies(self, place: Faulty) -> None:
        place.put("film.mp4", Pattern(500 * MIB))  # type: ignore[arg-type]
        members = [async_member(storage_member(place.storage, "film.mp4")) for _ in range(4)]

        async def gone() -> None:
            response: Any = zip_response(AsyncRequestFactory().get("/"), members)
            blocks = aiter(response)
            for _ in range(20):
                await anext(blocks)
            await blocks.aclose()

        asyncio.run(gone())
        assert eventually(lambda: place.store.open_bodies == 0)

    def test_a_key_of_the_customers_is_the_other_readers_business(self, place: Faulty) -> None:
        place.put("a.jpg", DATA)
        place.storage.object_parameters = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "x"}
        try:
            member = storage_member(place.storage, "a.jpg", size=len(DATA), modified_at=TIME)
        finally:
            place.storage.object_parameters = {}
        assert async_member(member) is member

    def test_other_members_stay_as_they_are(self) -> None:
        member = bytes_member(b"x", "x.txt")
        assert async_member(member) is member


S3 = {"bucket_name": "b", "access_key": "key", "secret_key": "secret"}


@pytest.mark.parametrize(
    ("options", "is_read"),
    [
        ({"region_name": "eu-north-1"}, True),
        ({"endpoint_url": "http://127.0.0.1:9"}, True),
        ({}, False),  # boto3 follows a bucket to its region
        ({"region_name": "x", "bucket_name": "arn:aws:s3:x:1:accesspoint/b"}, False),
        ({"region_name": "eu-north-1", "client_config": "unsigned"}, False),
        ({"region_name": "eu-north-1", "verify": "/no/such/file"}, False),
    ],
    ids=str,
)
def test_what_boto3_does_beyond_it_is_left_to_boto3(
    options: dict[str, Any], is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore import UNSIGNED
    from botocore.config import Config
    from storages.backends.s3 import S3Storage

    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/no/such/file")
    if "client_config" in options:
        options = {**options, "client_config": Config(signature_version=UNSIGNED)}
    member = storage_member(S3Storage(**{**S3, **options}), "a.jpg", size=1, modified_at=TIME)
    assert (async_member(member) is not member) == is_read


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        ("a b/ü+%2F?#'é.jpg", True),
        ("a/", False),  # obstore reads the object "a"
        ("a//b", False),
        ("a\tb", False),
        ("a\x7fb", False),
    ],
)
def test_keys_that_obstore_takes_for_others_are_left_to_threads(name: str, is_read: bool) -> None:
    from django_stream_zip.members.readers.async_reader import _is_plain

    assert _is_plain(name) == is_read


def test_after_a_fork_obstore_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from storages.backends.s3 import S3Storage

    from django_stream_zip.members.readers.async_reader import _Runtime

    storage = S3Storage(**S3, region_name="eu-north-1")
    member = storage_member(storage, "a.jpg", size=1, modified_at=TIME)
    assert async_member(member) is not member
    monkeypatch.setattr(_Runtime, "process", 1)
    assert async_member(member) is member


class Token:
    """A token credential of Azure's or Google's."""

    token = "abc"
    expires_on = 1_900_000_000
    expiry = datetime(2030, 3, 17, 17, 46, 40)

    def get_token(self, scope: str) -> Token:
        return self

    def refresh(self, request: Any) -> None:
        pass


def test_tokens_are_asked_for_again_when_they_end() -> None:
    from django_stream_zip.members.readers import azure, gcloud

    told = {"token": "abc", "expires_at": datetime.fromtimestamp(1_900_000_000, UTC)}
    assert azure._token(Token()) == told
    assert gcloud._token(Token()) == told


def test_a_shared_access_signature_is_no_part_of_the_place() -> None:
    from storages.backends.azure_storage import AzureStorage

    from django_stream_zip.members.readers import azure

    storage = AzureStorage(
        account_name="me", azure_container="c", sas_token="?sv=2024-01-01&sig=abc"
    )
    store = azure._azure_store(storage, "c")
    assert store.config["endpoint"] == "https://me.blob.core.windows.net"


async def iterated(members: list[Any]) -> AsyncIterator[Any]:
    for member in members:
        yield member


async def downloaded(members: Any, **kwargs: Any) -> bytes:
    response: Any = zip_response(AsyncRequestFactory().get("/", **kwargs), members)
    return b"".join([block async for block in response])
