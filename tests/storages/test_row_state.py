"""Rows that know an object's ETag: what ranges make of an object that was overwritten since."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import storage_member
from django_stream_zip.members.async_member import async_member
from django_stream_zip.members.readers import reader_for
from django_stream_zip.response import zip_response
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.object_store import BUCKET, S3Handler, Store, serving

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
SIZE, NUMBER = 3000, 3


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, Store]]:
    require_packages("storages", "boto3")
    with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
        yield storage, store


def data(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


class Rows:
    """Rows of objects, as they were filled when these were uploaded."""

    def __init__(self, storage: Any, store: Store) -> None:
        store.reset()
        self.names = [f"{number}.jpg" for number in range(NUMBER)]
        self.rows = []
        for number, name in enumerate(self.names):
            store.put(name, data(number))
            validator = reader_for(storage, name).describe().validator
            self.rows.append({"size": SIZE, "modified_at": TIME, "validator": validator})
        self.storage, self.store = storage, store
        store.asked.clear()

    def members(self) -> list[Any]:
        pairs = zip(self.names, self.rows, strict=True)
        return [storage_member(self.storage, name, **row) for name, row in pairs]


def wsgi(members: list[Any], **headers: str) -> tuple[Any, Callable[[], bytes]]:
    response: Any = zip_response(RequestFactory().get("/", headers=headers), members)
    return response, lambda: b"".join(response)


def asgi(members: list[Any], **headers: str) -> tuple[Any, Callable[[], bytes]]:
    response: Any = zip_response(AsyncRequestFactory().get("/", headers=headers), members)

    async def read() -> bytes:
        return b"".join([block async for block in response])

    return response, lambda: asyncio.run(read())


def on_the_loop(members: list[Any], **headers: str) -> tuple[Any, Callable[[], bytes]]:
    require_packages("obstore")
    members = [async_member(member) for member in members]
    assert all(hasattr(member[4], "__aiter__") for member in members)
    return asgi(members, **headers)


EVERY_WAY = pytest.mark.parametrize("get", [wsgi, asgi, on_the_loop])


def resumed(get: Any, members: list[Any], start: int, stop: int, tag: str) -> bytes | None:
    response, read = get(members, **{"Range": f"bytes={start}-{stop - 1}", "If-Range": tag})
    if response.status_code != 206:
        response.close()
        return None
    try:
        return bytes(read())
    except ZipDownloadError:
        return None


@EVERY_WAY
def test_nothing_is_asked_and_no_resumption_is_a_mixture(
    get: Any, served: tuple[Any, Store]
) -> None:
    rows = Rows(*served)
    response, read = get(rows.members())
    assert rows.store.asked == []
    archive, tag = read(), response.headers["ETag"]
    assert set(rows.store.asked) == {"get"}
    picked, failures = random.Random(), 0
    for round_ in range(10):
        size = picked.choice([SIZE, SIZE, SIZE - 1, SIZE + 1, 0])
        rows.store.put(picked.choice(rows.names), data(100 + round_, size))
        for _ in range(8):
            start = picked.randrange(len(archive) - 1)
            stop = picked.choice([len(archive), picked.randrange(start + 1, len(archive))])
            answer = resumed(get, rows.members(), start, stop, tag)
            assert answer in (None, archive[start:stop])
            failures += answer is None
    assert failures


@EVERY_WAY
def test_without_an_etag_another_size_is_noticed_in_any_range(
    get: Any, served: tuple[Any, Store]
) -> None:
    rows = Rows(*served)
    for row in rows.rows:
        row.update(validator=None, crc_32=None)
    response, read = get(rows.members())
    archive, tag = read(), response.headers["ETag"]
    rows.store.put("1.jpg", data(9, SIZE + 1))
    start = archive.index(data(1))
    for position in range(start, start + SIZE, SIZE // 4):
        assert resumed(get, rows.members(), position, position + 1, tag) is None


@EVERY_WAY
def test_an_object_that_was_empty_is_asked_for(get: Any, served: tuple[Any, Store]) -> None:
    rows = Rows(*served)
    rows.rows[1].update(size=0, validator=None, crc_32=0)
    with pytest.raises(ZipDownloadError, match="ContentChangedError"):
        get(rows.members())[1]()
