"""Archives of objects that S3 copies into them: the bytes, what is sent, and what is asked."""

from __future__ import annotations

import random
import subprocess
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from django_stream_zip import CRC32IntegrityError, NO_COMPRESSION_AUTO, stream_zip
from django_stream_zip.members import bytes_member, storage_member
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.saving import SavedZip, save_zip
from tests.storages import servers
from tests.support import clients
from tests.support.contents import TIME

servers.require_packages("storages", "boto3")

from django_stream_zip.members.readers.s3 import shared_client  # noqa: E402

MIB = 1 << 20
BUCKET = "bucket"
NAME = "archive.zip"
DATA = random.Random(1).randbytes(11 * MIB)
SECOND = random.Random(2).randbytes(12 * MIB)
TEXT = b"A text.\n" * 1000

# What only differs by what is behind the endpoint: what was copied before.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


@contextmanager
def store(kind: str, folder: Path) -> Iterator[Any]:
    options = {} if kind == "swift" else {"access_key": "test"}
    with (
        getattr(servers, kind)(folder) as url,
        clients.s3(url, BUCKET, object_parameters={}, **options) as storage,
    ):
        storage.connection.create_bucket(Bucket=BUCKET)
        yield storage


@pytest.fixture(scope="module", params=["moto", "swift", "localstack"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with store(request.param, tmp_path_factory.mktemp(request.param)) as storage:
        put(storage, "first.jpg", DATA)
        put(storage, "second.jpg", SECOND)
        yield request.param, storage


@pytest.fixture
def kind(shared: Any) -> str:
    return shared[0]


@pytest.fixture
def storage(shared: Any) -> Iterator[Any]:
    """A store in which nothing is left: no upload, and no archive."""
    client = shared[1].connection.meta.client
    yield shared[1]
    client.delete_object(Bucket=BUCKET, Key=NAME)
    assert not client.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def put(storage: Any, name: str, data: bytes) -> None:
    storage.connection.meta.client.put_object(Bucket=BUCKET, Key=name, Body=data)


def got(storage: Any) -> bytes:
    client = storage.connection.meta.client
    with client.get_object(Bucket=BUCKET, Key=NAME)["Body"] as body:
        return body.read()


def is_published(storage: Any) -> bool:
    return bool(storage.exists(NAME))


def photo(storage: Any, name: str, data: bytes, *, known: bool = True, **facts: Any) -> Any:
    facts = {"size": len(data), "modified_at": TIME, **facts}
    if known:
        facts.setdefault("crc_32", zlib.crc32(data))
    return storage_member(storage, name, **facts)


def text() -> Any:
    return bytes_member(TEXT, "text.txt", compress=False)


def streamed(members: Sequence[Any]) -> bytes:
    """Return the archive with all members stored, as their CRC-32s are known in the end."""
    known = [
        (name, at, mode, NO_COMPRESSION_AUTO(content.size, zlib.crc32(b"".join(content))), content)
        for name, at, mode, _, content in members
    ]
    return b"".join(stream_zip(known))


@contextmanager
def requests(storage: Any) -> Iterator[Counter[str]]:
    """Count what is asked of a store."""
    events, seen = shared_client(storage).meta.events, Counter[str]()

    def count(model: Any, **kwargs: Any) -> None:
        seen[model.name] += 1

    events.register("before-call.s3", count)
    try:
        yield seen
    finally:
        events.unregister("before-call.s3", count)


@contextmanager
def when(storage: Any, operation: str, action: Any) -> Iterator[None]:
    """Do something before the first request of a kind."""
    events, left = shared_client(storage).meta.events, [action]

    def act(**kwargs: Any) -> None:
        if left:
            left.pop()()

    events.register(f"before-call.s3.{operation}", act)
    try:
        yield
    finally:
        events.unregister(f"before-call.s3.{operation}", act)


class TestCopying:
    def test_known_members_are_copied(self, storage: Any) -> None:
        members = [
            photo(storage, "first.jpg", DATA),
            text(),
            photo(storage, "second.jpg", SECOND),
        ]
        done: list[Any] = []
        save_zip(storage, "other.zip", members, overwrite=True)  # the store is known from now on
        with requests(storage) as seen:
            saved = save_zip(
                storage, NAME, members, overwrite=True, progress=lambda *args: done.append(args)
            )
        whole = got(storage)
        assert whole == streamed(members)
        assert saved.length == len(whole)
        assert saved.bytes_copied == 5 * MIB + 5 * MIB
        print(seen, saved)

    def test_a_crc_32_that_nobody_knows_is_learned_or_the_member_is_sent(
        self, kind, storage: Any
    ) -> None:
        members = [
            photo(storage, "first.jpg", DATA),
            photo(storage, "second.jpg", SECOND, known=False),
            text(),
        ]
        saved = save_zip(storage, NAME, members, overwrite=True)
        print(saved)
