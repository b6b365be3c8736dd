"""Objects that a store has put into an archive: to be restored before they can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from django_stream_zip.members import async_member, storage_member
from django_stream_zip.members.collect import Collector, StoredFile
from django_stream_zip.members.readers.reader import ArchivedError
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.object_store import BUCKET, TIME, AzureHandler, S3Handler, Store, serving

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


@contextmanager
def s3() -> Iterator[tuple[Any, Store]]:
    require_packages("storages", "boto3")
    with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
        yield storage, store


@contextmanager
def azure() -> Iterator[tuple[Any, Store]]:
    require_packages("storages", "azure.storage.blob")
    with (
        serving(AzureHandler) as (store, url),
        clients.azure(url, BUCKET, account="account") as storage,
    ):
        yield storage, store


Emptied = Callable[[Any], tuple[Any, Store]]


@pytest.fixture(scope="module")
def emptied() -> Iterator[Emptied]:
    """Return a function that starts a kind of store, once, and empties it."""
    started: dict[Any, tuple[Any, Store]] = {}
    with ExitStack() as stack:

        def emptied(place: Any) -> tuple[Any, Store]:
            if place not in started:
                started[place] = stack.enter_context(place())
            storage, store = started[place]
            store.reset()
            return storage, store

        yield emptied


def named(value: Any) -> str:
    """Return an id that is the same in each process."""
    return getattr(value, "__name__", None) or str(value)


ARCHIVED = [
    (s3, {"x-amz-storage-class": "GLACIER"}),
    (s3, {"x-amz-storage-class": "DEEP_ARCHIVE"}),
    (s3, {"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="true"'}),
    (s3, {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}),
    (azure, {"x-ms-access-tier": "Archive"}),
    (azure, {"x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-hot"}),
]
READABLE = [
    (s3, {"x-amz-storage-class": "GLACIER_IR"}),
    (s3, {"x-amz-storage-class": "INTELLIGENT_TIERING"}),
    (
        s3,
        {
            "x-amz-storage-class": "GLACIER",
            "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"',
        },
    ),
    (azure, {"x-ms-access-tier": "Cold"}),
]


@pytest.mark.parametrize(("place", "headers"), ARCHIVED, ids=named)
def test_what_is_archived_cannot_be_read_when_it_is_described(
    place: Any, headers: dict[str, str], emptied: Emptied
) -> None:
    storage, store = emptied(place)
    store.put("old.jpg", b"old", headers=headers)
    store.put("new.jpg", b"new")
    with pytest.raises(ArchivedError, match=r"archived.*old\.jpg"):
        tuple(storage_member(storage, "old.jpg"))
    files = [StoredFile(storage, "old.jpg"), StoredFile(storage, "new.jpg")]
    new, report = Collector(missing="report").members(files)
    assert b"".join(new[4]) == b"new"
    assert b"old.jpg: archived\r\n" in b"".join(report[4])


@pytest.mark.parametrize(("place", "headers"), READABLE, ids=named)
def test_what_is_not_archived_or_was_restored_is_read(
    place: Any, headers: dict[str, str], emptied: Emptied
) -> None:
    storage, store = emptied(place)
    store.put("old.jpg", b"old", headers=headers)
    assert b"".join(storage_member(storage, "old.jpg")[4]) == b"old"


@pytest.mark.parametrize(
    ("place", "headers"),
    [
        (s3, {"x-amz-storage-class": "GLACIER"}),
        (azure, {"x-ms-access-tier": "Archive"}),
    ],
    ids=named,
)
def test_what_was_not_described_is_refused_when_it_is_read(
    place: Any, headers: dict[str, str], emptied: Emptied
) -> None:
    storage, store = emptied(place)
    store.put("old.jpg", b"old", headers=headers)
    member = storage_member(storage, "old.jpg", size=3, modified_at=TIME)
    with pytest.raises(ArchivedError, match="archived"):
        list(member[4])


@pytest.mark.parametrize(
    ("place", "headers"),
    [
        (s3, {"x-amz-storage-class": "GLACIER"}),
        (azure, {"x-ms-access-tier": "Archive"}),
    ],
    ids=named,
)
def test_what_was_not_described_is_refused_when_it_is_read_on_a_loop(
    place: Any, headers: dict[str, str], emptied: Emptied
) -> None:
    require_packages("obstore")

    async def read(content: Any) -> bytes:
        return b"".join([chunk async for chunk in content.chunks()])

    storage, store = emptied(place)
    store.put("old.jpg", b"old", headers=headers)
    member = async_member(storage_member(storage, "old.jpg", size=3, modified_at=TIME))
    with pytest.raises(ArchivedError, match=r"archived.*old\.jpg"):
        asyncio.run(read(member[4]))
    assert store.asked == ["get"]
