"""Django's middleware, all of it at once, and a third party's: the archive stays as it is."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client
from django.urls import path

from django_stream_zip import ZIP_64, stream_zip
from django_stream_zip.response import zip_response
from tests.support.contents import MODE, TIME, ContentMember, counting_member
from tests.web.test_response import connected

pytestmark = pytest.mark.urls(__name__)

TEXT = b"This could be compressed well. " * 20_000
NOISE = random.Random(1).randbytes(400_000)
OPENED: list[ContentMember] = []


def photos() -> list[ContentMember]:
    return [counting_member("a.jpg", TEXT), counting_member("b.jpg", NOISE, promised=True)]


ARCHIVE = b"".join(stream_zip(photos()))
LENGTH = str(len(ARCHIVE))

ALL = [
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
]


def view(request: HttpRequest) -> HttpResponseBase:
    OPENED[:] = photos()
    return zip_response(request, OPENED)


def deflated(request: HttpRequest) -> HttpResponseBase:
    return zip_response(request, [("a.txt", TIME, MODE, ZIP_64, [TEXT])])


urlpatterns = [path("photos.zip", view), path("text.zip", deflated)]


@pytest.fixture(autouse=True)
def _middleware(settings: Any) -> Iterator[None]:
    settings.MIDDLEWARE = ALL
    cache.clear()
    yield
    cache.clear()


def get(url: str, method: str = "get", **headers: str) -> tuple[Any, bytes]:
    """Ask as a browser does that takes anything compressed."""
    headers = {"Accept-Encoding": "gzip, deflate, br", **headers}
    response = getattr(Client(), method)(url, headers=headers)
    return response, response.getvalue() if response.streaming else response.content


def async_get(url: str, method: str = "get", **headers: str) -> tuple[Any, bytes]:
    headers = {"Accept-Encoding": "gzip, deflate, br", **headers}

    async def read() -> tuple[Any, bytes]:
        response: Any = await getattr(AsyncClient(), method)(url, headers=headers)
        if not response.streaming:
            return response, response.content
        return response, b"".join([block async for block in response])

    return asyncio.run(read())


CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"

BOTH = pytest.mark.parametrize("ask", [get, async_get], ids=["WSGI", "ASGI"])
Ask = Callable[..., tuple[Any, bytes]]


@BOTH
def test_an_archive_is_what_it_would_be_without_middleware(ask: Ask) -> None:
    for _ in range(2):  # the second one could come from the cache
        response, data = ask("/photos.zip")
        assert data == ARCHIVE
        assert response.status_code == 200
        assert response.headers["Content-Length"] == LENGTH
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["ETag"].startswith('"')
        assert response.headers["Content-Type"] == "application/zip"
        assert response.headers["Cache-Control"] == "private, no-transform"
        assert "Content-Encoding" not in dict(response.items())
        assert "Accept-Encoding" not in response.headers.get("Vary", "")


@BOTH
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=1000-500000", 1000, 500_001), ("bytes=-5", -5, None)],
)
def test_a_range_is_that_part_and_not_compressed(
    ask: Ask, header: str, start: int, stop: int | None
) -> None:
    response, data = ask("/photos.zip", Range=header)
    assert response.status_code == 206
    assert data == ARCHIVE[start:stop]
    assert response.headers["Content-Length"] == str(len(data))
    assert response.headers["Content-Range"].endswith(f"/{LENGTH}")
    assert response.headers["ETag"] == ask("/photos.zip", "head")[0].headers["ETag"]
    assert "Content-Encoding" not in dict(response.items())


@BOTH
def test_a_tag_from_a_whole_archive_resumes_it(ask: Ask) -> None:
    tag = ask("/photos.zip")[0].headers["ETag"]
    response, data = ask("/photos.zip", Range="bytes=300000-", **{"If-Range": tag})
    assert response.status_code == 206
    assert data == ARCHIVE[300_000:]
    response, data = ask("/photos.zip", Range="bytes=300000-", **{"If-Range": '"other"'})
    assert response.status_code == 200
    assert data == ARCHIVE


@BOTH
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": "TAG"}, 304),
        ({"If-None-Match": "TAG", "Range": "bytes=0-0"}, 304),
        ({"If-Match": '"other"', "Range": "bytes=0-0"}, 412),
        ({"Range": "bytes=99999999-"}, 416),
    ],
    ids=["304", "304 before the range", "412", "416"],
)
def test_an_answer_without_the_archive_opens_nothing(
    ask: Ask, headers: dict[str, str], status: int
) -> None:
    tag = ask("/photos.zip", "head")[0].headers["ETag"]
    headers = {name: value.replace("TAG", tag) for name, value in headers.items()}
    response, data = ask("/photos.zip", **headers)
    assert response.status_code == status
    assert data == b""
    assert [content.opened for *_, content in OPENED] == [0, 0]
    if status == 416:
        assert response.headers["Content-Range"] == f"bytes */{LENGTH}"


PAST, FUTURE = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
RANGE = {"Range": "bytes=5-9"}


@BOTH
@pytest.mark.parametrize("middleware", [[], [CONDITIONAL], ALL], ids=["none", "one", "all"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        (RANGE, 206),
        ({"If-None-Match": "TAG"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Match": "TAG"}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": "TAG", "If-None-Match": "TAG"}, 304),
        # There is no Last-Modified: §13.1.3 and §13.1.4 demand to ignore conditions on it.
        ({"If-Unmodified-Since": PAST}, 200),
        ({"If-Unmodified-Since": FUTURE}, 200),
        ({"If-Unmodified-Since": PAST, **RANGE}, 206),
        ({"If-Unmodified-Since": PAST, "If-Match": "TAG"}, 200),
        ({"If-Unmodified-Since": PAST, "If-Match": '"x"'}, 412),
        ({"If-Unmodified-Since": PAST, "If-None-Match": "TAG"}, 304),
        ({"If-Unmodified-Since": PAST, "If-None-Match": '"x"', **RANGE}, 206),
        ({"If-Modified-Since": PAST}, 200),
        ({"If-Modified-Since": FUTURE}, 200),
        ({"If-Modified-Since": FUTURE, **RANGE}, 206),
        ({"If-Modified-Since": FUTURE, "If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": PAST, "If-None-Match": "TAG"}, 304),
        ({"If-Modified-Since": FUTURE, "If-Unmodified-Since": PAST}, 200),
        ({"If-Range": PAST, **RANGE}, 200),
        ({"If-Range": "TAG", "If-Unmodified-Since": PAST, **RANGE}, 206),
    ],
    ids=str,
)
def test_conditions_are_answered_alike_with_and_without_middleware(
    ask: Ask, middleware: list[str], headers: dict[str, str], status: int, settings: Any
) -> None:
    settings.MIDDLEWARE = middleware
    tag = ask("/photos.zip", "head")[0].headers["ETag"]
    headers = {name: value.replace("TAG", tag) for name, value in headers.items()}
    response, data = ask("/photos.zip", **headers)
    assert response.status_code == status
    assert data == {200: ARCHIVE, 206: ARCHIVE[5:10]}.get(status, b"")


@BOTH
def test_an_answer_of_304_is_not_kept_for_others(ask: Ask) -> None:
    tag = ask("/photos.zip", "head")[0].headers["ETag"]
    assert ask("/photos.zip", **{"If-None-Match": tag})[0].status_code == 304
    assert ask("/photos.zip")[1] == ARCHIVE
    assert ask("/photos.zip", **{"If-Match": '"other"'})[0].status_code == 412
    assert ask("/photos.zip")[1] == ARCHIVE


@BOTH
def test_head_has_the_headers_of_get(ask: Ask) -> None:
    head, data = ask("/photos.zip", "head")
    assert data == b""
    assert head.headers == ask("/photos.zip")[0].headers
    assert head.headers["Content-Length"] == LENGTH


@BOTH
def test_an_archive_of_unknown_length_has_none_and_is_not_compressed_again(ask: Ask) -> None:
    response, data = ask("/text.zip")
    assert data == b"".join(stream_zip([("a.txt", TIME, MODE, ZIP_64, [TEXT])]))
    assert not {"Content-Length", "Content-Encoding", "ETag"} & {*response.headers}
    head, _ = ask("/text.zip", "head")
    assert "Content-Length" not in head.headers


@BOTH
def test_only_the_archive_is_left_alone_by_gzip(ask: Ask) -> None:
    response, _ = ask("/photos.zip?" + "x" * 300, "post")
    assert response.status_code == 200
    assert "Content-Encoding" not in dict(response.items())


def test_djangos_asgi_handler_streams_through_all_of_it() -> None:
    connection = connected("/photos.zip")
    assert b"".join(connection.bodies) == ARCHIVE
    assert len(connection.bodies) > 2


# A third party's, which knows nothing of ASGI.


def counting_middleware(get_response: Any) -> Any:
    """Count what is sent, as many a package does: synchronous, with a generator around it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.streaming:
            response.streaming_content = counted(response.streaming_content)
        return response  # type: ignore[no-any-return]

    return middleware


def sparse_middleware(get_response: Any) -> Any:
    """Return nothing for most blocks, as a compressor does."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.streaming:
            response.streaming_content = held_back(response.streaming_content)
        return response  # type: ignore[no-any-return]

    return middleware


LOGGED: list[dict[str, str]] = []


def logging_middleware(get_response: Any) -> Any:
    """Log the headers, as packages do: asked for by name, and all of them."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.has_header("Content-Encoding"):
            LOGGED.append({"Content-Encoding": response["Content-Encoding"]})
        LOGGED.append(dict(response.headers.items()))
        return response  # type: ignore[no-any-return]

    return middleware


@BOTH
def test_a_middleware_may_log_the_headers(ask: Ask, settings: Any) -> None:
    settings.MIDDLEWARE = ["tests.web.test_middleware.logging_middleware", *ALL]
    LOGGED.clear()
    assert ask("/photos.zip")[1] == ARCHIVE
    encoding, headers = LOGGED
    assert encoding == {"Content-Encoding": "identity"}
    assert headers["Content-Length"] == LENGTH
    assert "Content-Encoding" not in headers


COUNTED: list[int] = []


def counted(blocks: Any) -> Iterator[bytes]:
    for block in blocks:
        COUNTED.append(len(block))
        yield block


def held_back(blocks: Any) -> Iterator[bytes]:
    held: list[bytes] = []
    for block in blocks:
        held.append(block)
        if len(held) == 5:
            yield b"".join(held)
            held.clear()
        else:
            yield b""
    yield b"".join(held)


@BOTH
@pytest.mark.parametrize("name", ["counting_middleware", "sparse_middleware"])
@pytest.mark.parametrize("range_", ["", "bytes=5-700000"], ids=["whole", "range"])
def test_a_synchronous_middleware_may_wrap_the_blocks(
    ask: Ask, name: str, range_: str, settings: Any
) -> None:
    settings.MIDDLEWARE = [f"tests.web.test_middleware.{name}", *ALL]
    COUNTED.clear()
    _, data = ask("/photos.zip", Range=range_)
    assert data == (ARCHIVE[5:700_001] if range_ else ARCHIVE)
    if name == "counting_middleware":
        assert sum(COUNTED) == len(data)
        assert len(COUNTED) > 5


@pytest.mark.parametrize("name", ["counting_middleware", "sparse_middleware"])
def test_djangos_asgi_handler_streams_through_a_synchronous_middleware(
    name: str, settings: Any
) -> None:
    settings.MIDDLEWARE = [f"tests.web.test_middleware.{name}", *ALL]
    connection = connected("/photos.zip")
    assert b"".join(connection.bodies) == ARCHIVE
    assert len(connection.bodies) > 2


def test_a_client_that_hangs_up_has_all_closed_behind_a_middleware_too(settings: Any) -> None:
    settings.MIDDLEWARE = ["tests.web.test_middleware.counting_middleware", *ALL]
    connection = connected("/photos.zip", hangs_up_after=1)
    assert len(connection.bodies) == 1
    assert not any(content.is_open for *_, content in OPENED)


def test_what_the_archive_has_can_be_compressed() -> None:
    # Otherwise GZipMiddleware would leave it alone anyway.
    assert len(zlib.compress(ARCHIVE)) < len(ARCHIVE) * 0.6
