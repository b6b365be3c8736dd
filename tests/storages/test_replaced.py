"""An object that is replaced between its description and its reading."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory, override_settings

from django_stream_zip.members import storage_member
from django_stream_zip.members.async_member import async_member
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.response import zip_response
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.object_store import BUCKET, S3Handler, Store, Stored, serving

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")

OLD, NEW = b"old " * 200_000, b"newer " * 200_000


@pytest.fixture(scope="module")
def one() -> Iterator[tuple[Any, Store]]:
    require_packages("storages", "boto3")
    with serving(S3Handler) as (store, url), clients.s3(url, BUCKET) as storage:
        yield storage, store


@pytest.fixture
def served(one: tuple[Any, Store]) -> tuple[Any, Store]:
    one[1].reset()
    return one


def wsgi(members: list[Any], change: Callable[[], object]) -> bytes:
    response: Any = zip_response(RequestFactory().get("/"), members)
    change()
    try:
        return b"".join(response)
    finally:
        response.close()


def asgi(members: list[Any], change: Callable[[], object]) -> bytes:
    async def download() -> bytes:
        response: Any = zip_response(AsyncRequestFactory().get("/"), members)
        change()
        return b"".join([block async for block in response])

    return asyncio.run(download())


def on_the_loop(members: list[Any], change: Callable[[], object]) -> bytes:
    require_packages("obstore")
    members = [async_member(member) for member in members]
    assert all(hasattr(member[4], "__aiter__") for member in members)
    return asgi(members, change)


EVERY_WAY = pytest.mark.parametrize("download", [wsgi, asgi, on_the_loop])
AHEAD = pytest.mark.parametrize("ahead", [0, 8])


@EVERY_WAY
@AHEAD
def test_without_promises_the_new_one_is_read(
    download: Any, ahead: int, served: tuple[Any, Store]
) -> None:
    storage, store = served
    for name in ("a.txt", "b.txt"):
        store.put(name, OLD)
    with override_settings(DJANGO_STREAM_ZIP={"PREFETCH_MEMBERS": ahead}):
        members = [storage_member(storage, name) for name in ("a.txt", "b.txt")]
        archive = download(members, lambda: store.put("b.txt", NEW))
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == {
            "a.txt": OLD,
            "b.txt": NEW,
        }


@EVERY_WAY
@AHEAD
def test_what_breaks_off_goes_on_with_the_same_one(
    download: Any, ahead: int, served: tuple[Any, Store]
) -> None:
    storage, store = served
    store.put("a.txt", OLD)
    store.faults.break_after = [600_000]
    store.faults.replace_after = ("a.txt", Stored(NEW))
    with (
        override_settings(DJANGO_STREAM_ZIP={"PREFETCH_MEMBERS": ahead}),
        pytest.raises(Exception, match="was replaced"),
    ):
        download([storage_member(storage, "a.txt")], lambda: None)


@EVERY_WAY
@AHEAD
@pytest.mark.parametrize("new", [NEW, OLD[::-1]], ids=["longer", "of the same size"])
def test_with_an_entity_tag_the_new_one_is_an_error(
    download: Any, ahead: int, new: bytes, served: tuple[Any, Store]
) -> None:
    storage, store = served
    for name in ("a.jpg", "b.jpg"):
        store.put(name, OLD)
    members = [storage_member(storage, name) for name in ("a.jpg", "b.jpg")]
    with (
        override_settings(DJANGO_STREAM_ZIP={"PREFETCH_MEMBERS": ahead}),
        pytest.raises(Exception, match=ContentChangedError.__name__),
    ):
        download(members, lambda: store.put("b.jpg", new))
