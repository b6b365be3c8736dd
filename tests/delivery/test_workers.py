"""The setting WORKERS: what responses deflate by several threads is read back, and they end."""

from __future__ import annotations

import asyncio
import random
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip import ZIP_64
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import bytes_member
from django_stream_zip.response import zip_response
from tests.support.contents import MODE, TIME
from tests.support.network import eventually
from tests.support.sources import BrokenSourceError

TEXT = random.Random(7).randbytes(1000).hex().encode()
FILES = {f"{number}.txt": TEXT * (1 + 200 * number) for number in range(5)}


@pytest.fixture(autouse=True)
def _workers(settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"WORKERS": 2}


def members() -> list[Any]:
    return [bytes_member(data, name) for name, data in FILES.items()]


async def amembers(given: list[Any]) -> AsyncIterator[Any]:
    for *rest, content in given:
        yield *rest, achunks(content)


async def achunks(content: Any) -> AsyncIterator[bytes]:
    for chunk in content:
        yield chunk


def by_wsgi(given: list[Any]) -> Iterator[bytes]:
    response: Any = zip_response(RequestFactory().get("/"), given)
    try:
        yield from response
    finally:
        response.close()


def by_asgi(given: Any) -> Iterator[bytes]:
    async def download() -> list[bytes]:
        response: Any = zip_response(AsyncRequestFactory().get("/"), given)
        return [block async for block in response]

    yield from asyncio.run(download())


def by_async_members(given: list[Any]) -> Iterator[bytes]:
    return by_asgi(amembers(given))


WAYS = pytest.mark.parametrize("way", [by_wsgi, by_asgi, by_async_members])


def working() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("stream_zip")]


def are_gone() -> bool:
    return eventually(lambda: not working())


@WAYS
def test_what_they_make_is_read(way: Callable[[Any], Iterator[bytes]]) -> None:
    with zipfile.ZipFile(BytesIO(b"".join(way(members())))) as file:
        assert {name: file.read(name) for name in file.namelist()} == FILES
    assert are_gone()


def test_they_are_there_while_it_is_sent_and_gone_when_a_client_is() -> None:
    blocks = by_wsgi([*members(), *members()])
    most = max(len(working()) for _ in zip(blocks, range(3), strict=False))
    assert 0 < most <= 2
    blocks.close()  # type: ignore[attr-defined]
    assert are_gone()


@WAYS
def test_an_error_comes_in_its_turn_and_ends_them(way: Callable[[Any], Iterator[bytes]]) -> None:
    def broken() -> Iterator[bytes]:
        yield TEXT * 1000
        raise BrokenSourceError

    given = [*members(), ("broken.txt", TIME, MODE, ZIP_64, broken())]
    log: list[bytes] = []
    with pytest.raises(ZipDownloadError, match=r"broken\.txt"):
        log.extend(way(given))
    assert b"PK\x01\x02" not in b"".join(log)
    assert are_gone()
