"""The response: which headers and bytes a request gets, and how they stream under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.urls import path
from django.utils.translation import gettext_lazy

from django_stream_zip import (
    NO_COMPRESSION_AUTO,
    ZIP_64,
    ZIP_AUTO,
    ZipValueError,
    stream_zip,
)
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.response import ZipResponse, zip_response
from tests.support.contents import (
    MODE,
    TIME,
    ContentMember,
    CountingContent,
    Pattern,
    counting_member,
    failing_member,
    open_files,
)
from tests.support.readers import assert_reads
from tests.support.sources import BrokenSourceError

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

CONTENT = random.Random(1).randbytes(500_000)


def photos() -> list[ContentMember]:
    return [
        counting_member("a.jpg", CONTENT[:200_000]),
        counting_member("b.jpg", CONTENT[:1000], promised=True),
        counting_member("c.jpg", CONTENT),
    ]


ARCHIVE = b"".join(stream_zip(photos()))
LENGTH = len(ARCHIVE)


def respond(
    members: Any = None, method: str = "GET", headers: dict[str, str] | None = None, **options: Any
) -> Any:
    request = RequestFactory().generic(method, "/photos.zip", headers=headers)
    return zip_response(request, photos() if members is None else members, **options)


TAG = respond().headers["ETag"]


def body(response: Any) -> bytes:
    """Read a response as a WSGI server does."""
    try:
        return b"".join(response)
    finally:
        response.close()


def contents(members: list[ContentMember]) -> list[CountingContent]:
    return [content for *_, content in members]


# The headers of a whole archive.


def test_a_planned_archive_has_length_tag_and_ranges() -> None:
    response = respond(filename="photos.zip")
    assert response.status_code == 200
    assert dict(response.headers) == {
        "Content-Type": "application/zip",
        "Content-Length": str(LENGTH),
        "ETag": TAG,
        "Accept-Ranges": "bytes",
        "Content-Disposition": 'attachment; filename="photos.zip"',
        "Cache-Control": "private, no-transform",
    }
    assert body(response) == ARCHIVE


def test_its_bytes_are_those_of_the_engine_and_read_by_others() -> None:
    names = {"a.jpg": CONTENT[:200_000], "b.jpg": CONTENT[:1000], "c.jpg": CONTENT}
    assert_reads(body(respond()), names, only=["zipfile", "stream-unzip"])


UNPLANNED: dict[str, Callable[[], Any]] = {
    "generator": lambda: (member for member in photos()),
    "iterator": lambda: iter(photos()),
    "deflated": lambda: [*photos(), ("d.txt", TIME, MODE, ZIP_AUTO(3), [b"ddd"])],
    "deflated, of any size": lambda: [("d.txt", TIME, MODE, ZIP_64, [b"ddd"])],
}


@pytest.mark.parametrize("members", UNPLANNED.values(), ids=UNPLANNED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_an_archive_that_is_not_planned_has_neither_length_nor_tag_nor_ranges(
    members: Callable[[], Any], method: str
) -> None:
    headers = {"Range": "bytes=0-0", "If-None-Match": "*"}
    response = respond(members(), method, headers)
    assert response.status_code == 200
    assert not {"Content-Length", "ETag", "Accept-Ranges", "Content-Range"} & {*response.headers}
    archive = body(response)
    assert (archive == b"") if method == "HEAD" else archive.startswith(b"PK\x03\x04")


@pytest.mark.parametrize("size", [0, 1, 70_000])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_encrypted_archive_has_its_length_only(method: str, size: int) -> None:
    members = [counting_member("a.jpg", CONTENT[:size]), counting_member("b.jpg", promised=True)]
    response = respond(members, method, {"Range": "bytes=0-0"}, password="secret")
    assert response.status_code == 200
    assert not {"ETag", "Accept-Ranges", "Content-Range"} & {*response.headers}
    archive = body(response)
    if method == "GET":
        assert len(archive) == int(response.headers["Content-Length"])
        expected = {"a.jpg": CONTENT[:size], "b.jpg": b"content"}
        assert_reads(archive, expected, password="secret", only=["pyzipper", "stream-unzip"])


def test_a_content_without_validator_leaves_the_length_only() -> None:
    members = [*photos(), counting_member("d.jpg", validator=None)]
    response = respond(members, headers={"Range": "bytes=0-0", "If-None-Match": "*"})
    assert response.status_code == 200
    assert not {"ETag", "Accept-Ranges", "Content-Range"} & {*response.headers}
    assert len(body(response)) == int(response.headers["Content-Length"])


def test_an_archive_of_nothing_is_one() -> None:
    response = respond([])
    assert response.headers["Content-Length"] == "22"
    assert body(response) == b"PK\x05\x06" + bytes(18)


def test_a_tuple_of_members_is_planned_like_a_list() -> None:
    assert respond(tuple(photos())).headers["ETag"] == TAG


@pytest.mark.parametrize(
    ("members", "options", "error"),
    [
        ([("a", TIME, MODE)], {}, ZipValueError),
        ([(5, TIME, MODE, NO_COMPRESSION_AUTO(0), ())], {}, TypeError),
        ([("a", "today", MODE, NO_COMPRESSION_AUTO(0), ())], {}, TypeError),
        ([("a", TIME, MODE, "stored", ())], {}, TypeError),
        (photos(), {"password": 5}, TypeError),
        (photos(), {"password": ""}, ZipValueError),
    ],
    ids=["three values", "name", "time", "method", "password", "empty password"],
)
def test_what_cannot_be_written_is_an_error_before_there_is_a_response(
    members: Any, options: dict[str, Any], error: Any
) -> None:
    with pytest.raises(error):
        respond(members, **options)


# Ranges.


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, LENGTH),
        (f"bytes={LENGTH - 1}-", LENGTH - 1, LENGTH),
        ("bytes=-1", LENGTH - 1, LENGTH),
        ("bytes=-22", LENGTH - 22, LENGTH),
        ("bytes=-99999999999", 0, LENGTH),
        ("bytes=1000-299999", 1000, 300_000),
        (f"bytes=300000-{10**20}", 300_000, LENGTH),
        (" bytes=5-6", 5, 7),
    ],
)
def test_a_range_is_answered_with_that_part(header: str, start: int, stop: int) -> None:
    response = respond(headers={"Range": header}, filename="x.zip")
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{LENGTH}"
    assert response.headers["Content-Length"] == str(stop - start)
    assert response.headers["ETag"] == TAG
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Cache-Control"] == "private, no-transform"
    assert response.headers["Content-Disposition"] == 'attachment; filename="x.zip"'
    assert body(response) == ARCHIVE[start:stop]


def test_two_parts_make_the_whole() -> None:
    first = body(respond(headers={"Range": "bytes=0-123455"}))
    second = body(respond(headers={"Range": "bytes=123456-", "If-Range": TAG}))
    assert first + second == ARCHIVE


@pytest.mark.parametrize(
    "header",
    ["bytes=0-0,5-5", "bytes=5-3", "items=0-1", "bytes=x", "", "bytes=\u0661-\u0662"],
    ids=["several", "backwards", "unit", "junk", "empty", "Arabic digits"],
)
def test_a_range_that_is_to_be_ignored_is(header: str) -> None:
    response = respond(headers={"Range": header})
    assert response.status_code == 200
    assert "Content-Range" not in response.headers
    assert response.headers["Content-Length"] == str(LENGTH)
    assert body(response) == ARCHIVE


@pytest.mark.parametrize("header", [f"bytes={LENGTH}-", "bytes=-0", f"bytes={10**30}-"])
def test_a_range_behind_the_end_is_told_the_length(header: str) -> None:
    members = photos()
    response = respond(members, headers={"Range": header})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{LENGTH}"
    assert response.content == b""
    assert not any(content.opened for content in contents(members))


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH"])
@pytest.mark.parametrize("header", ["bytes=0-0", f"bytes={LENGTH}-"])
def test_only_get_has_ranges(method: str, header: str) -> None:
    response = respond(method=method, headers={"Range": header, "If-Range": TAG})
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(LENGTH)
    assert "Content-Range" not in response.headers
    response.close()


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (TAG, 206),
        (f"W/{TAG}", 200),
        ('"other"', 200),
        ("Thu, 29 Feb 2024 12:34:56 GMT", 200),
        ("", 200),
        ("*", 200),
        (f'{TAG}, "other"', 200),
        ("\x00\xff" * 1000, 200),
    ],
    ids=["the tag", "weak", "other", "date", "empty", "star", "list", "junk"],
)
def test_if_range_lets_a_range_through_for_the_same_tag_only(if_range: str, status: int) -> None:
    response = respond(headers={"Range": "bytes=5-9", "If-Range": if_range})
    assert response.status_code == status
    assert body(response) == (ARCHIVE[5:10] if status == 206 else ARCHIVE)


def test_if_range_comes_before_whether_a_range_can_be_satisfied() -> None:
    headers = {"Range": f"bytes={LENGTH}-", "If-Range": '"other"'}
    assert respond(headers=headers).status_code == 200


def test_if_range_without_a_range_says_nothing() -> None:
    assert respond(headers={"If-Range": '"other"'}).status_code == 200


# Preconditions.

RANGE = {"Range": "bytes=5-9"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"If-None-Match": TAG}, 304, id="If-None-Match, same"),
        pytest.param({"If-None-Match": f"W/{TAG}"}, 304, id="If-None-Match, weak"),
        pytest.param({"If-None-Match": "*"}, 304, id="If-None-Match, any"),
        pytest.param({"If-None-Match": f'"x", {TAG}'}, 304, id="If-None-Match, in a list"),
        pytest.param({"If-None-Match": '"x"'}, 200, id="If-None-Match, other"),
        pytest.param({"If-Match": TAG}, 200, id="If-Match, same"),
        pytest.param({"If-Match": "*"}, 200, id="If-Match, any"),
        pytest.param({"If-Match": '"x"'}, 412, id="If-Match, other"),
        pytest.param({"If-Match": f"W/{TAG}"}, 412, id="If-Match, weak"),
        pytest.param({**RANGE, "If-Match": '"x"'}, 412, id="If-Match before the range"),
        pytest.param({**RANGE, "If-Match": TAG}, 206, id="If-Match lets the range through"),
        pytest.param({**RANGE, "If-None-Match": TAG}, 304, id="If-None-Match before the range"),
        pytest.param({**RANGE, "If-None-Match": '"x"'}, 206, id="If-None-Match lets it through"),
        pytest.param({"If-Match": '"x"', "If-None-Match": TAG}, 412, id="If-Match is first"),
        pytest.param({"Range": f"bytes={LENGTH}-", "If-None-Match": TAG}, 304, id="304 before 416"),
        pytest.param({"Range": f"bytes={LENGTH}-", "If-Match": '"x"'}, 412, id="412 before 416"),
        pytest.param(
            {"If-Modified-Since": "Thu, 29 Feb 2024 12:34:56 GMT"}, 200, id="If-Modified-Since"
        ),
        # RFC 9110 §13.1.4 demands to ignore it where there is no Last-Modified.
        pytest.param(
            {"If-Unmodified-Since": "Thu, 29 Feb 2024 12:34:56 GMT"}, 200, id="If-Unmodified-Since"
        ),
    ],
)
def test_preconditions_are_evaluated_in_their_order(headers: dict[str, str], status: int) -> None:
    members = photos()
    response = respond(members, headers=headers)
    assert response.status_code == status
    assert not any(content.opened for content in contents(members))
    if status in (304, 412):
        assert response.content == b""
        assert "Content-Range" not in response.headers
    response.close()


def test_a_304_has_the_headers_that_a_200_would_have() -> None:
    response = respond(headers={"If-None-Match": TAG})
    assert response.headers["ETag"] == TAG
    assert response.headers["Cache-Control"] == "private, no-transform"
    assert "Content-Length" not in response.headers


def test_head_is_told_what_get_would_be_and_opens_nothing() -> None:
    members = photos()
    response = respond(members, "HEAD", {"Range": "bytes=0-0"})
    assert dict(response.headers) == dict(respond().headers)
    assert body(response) == b""
    assert not any(content.opened for content in contents(members))


@pytest.mark.parametrize("status", [304, 412])
def test_head_is_answered_by_preconditions_too(status: int) -> None:
    headers = {"If-None-Match": TAG} if status == 304 else {"If-Match": '"x"'}
    assert respond(method="HEAD", headers=headers).status_code == status


def test_post_gets_all_whatever_it_says() -> None:
    headers = {**RANGE, "If-None-Match": TAG, "If-Match": '"x"'}
    response = respond(method="POST", headers=headers)
    assert response.status_code == 200
    assert body(response) == ARCHIVE


# The file name.


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("x.zip", 'attachment; filename="x.zip"'),
        ("ü.zip", "attachment; filename=\"u.zip\"; filename*=UTF-8''%C3%BC.zip"),
        ("a\r\nX-Evil: 1.zip", 'attachment; filename="aX-Evil 1.zip"'),
    ],
)
def test_the_file_name_is_in_the_header(filename: str, header: str) -> None:
    assert respond(filename=filename).headers["Content-Disposition"] == header


# Usual in class attributes.
def test_a_translated_file_name_is_evaluated() -> None:
    response = respond(filename=gettext_lazy("x.zip"))
    assert response.headers["Content-Disposition"] == 'attachment; filename="x.zip"'


def copied(response: Any) -> Any:
    response.headers = copy.copy(response.headers)
    return response


def pickled(response: Any) -> Any:
    response.headers = pickle.loads(pickle.dumps(response.headers))
    return response


def without_encoding(response: Any) -> Any:
    del response["Content-Encoding"]
    response.headers.pop("Content-Encoding", None)
    response.setdefault("Content-Encoding", "gzip")  # it has one
    return response


def unchanged(response: Any) -> Any:
    return response


@pytest.mark.parametrize("change", [unchanged, copied, pickled, without_encoding])
@pytest.mark.parametrize("name", ["Content-Encoding", "content-encoding"])
def test_whoever_asks_for_the_encoding_has_one_answer_and_nothing_is_sent(
    name: str, change: Callable[[Any], Any]
) -> None:
    response = change(respond())
    assert response.has_header(name)
    assert name in response
    assert name in response.headers
    assert response[name] == response.headers[name] == "identity"
    assert response.get(name) == response.headers.get(name) == "identity"
    assert "Content-Encoding" not in {*response.headers, *dict(response.items())}
    assert b"Content-Encoding" not in response.serialize_headers()
    assert not response.has_header("X-Other")
    with pytest.raises(KeyError):
        response["X-Other"]


def test_an_encoding_that_somebody_sets_is_sent() -> None:
    response = respond()
    response["Content-Encoding"] = "br"
    assert response["Content-Encoding"] == response.headers.get("Content-Encoding") == "br"
    assert dict(response.items())["Content-Encoding"] == "br"
    assert b"Content-Encoding: br" in response.serialize_headers()


# Streaming under WSGI.


def test_a_response_that_nobody_reads_opens_nothing_and_leaks_nothing() -> None:
    members, before = photos(), open_files()
    for close in (True, False):
        for headers in ({}, RANGE):
            response = respond(members, headers=headers)
            if close:
                response.close()
            del response
    gc.collect()
    assert not any(content.opened for content in contents(members))
    assert open_files() == before


def test_members_of_a_generator_are_not_asked_for_before_the_first_byte() -> None:
    made: list[str] = []

    def members() -> Iterator[ContentMember]:
        for member in photos():
            made.append(member[0])
            yield member

    response = respond(members())
    assert made == []
    next(iter(response))
    assert made == ["a.jpg"]
    response.close()


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "not planned"])
def test_the_first_block_comes_before_the_second_member_is_opened(planned: bool) -> None:
    members = photos()
    response = respond(members if planned else iter(members))
    blocks = iter(response)
    assert next(blocks).startswith(b"PK\x03\x04")
    assert [content.opened for content in contents(members)] == [1, 0, 0]
    response.close()
    assert not any(content.is_open for content in contents(members))


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "not planned"])
def test_a_response_closed_in_the_middle_closes_what_is_open(planned: bool) -> None:
    members = photos()
    response = respond(members if planned else iter(members))
    for number, _ in enumerate(response):
        if number == 6:
            break
    assert any(content.is_open for content in contents(members))
    response.close()
    assert not any(content.is_open for content in contents(members))


@contextmanager
def finished_requests() -> Iterator[list[Any]]:
    seen: list[Any] = []

    def receive(**kwargs: Any) -> None:
        seen.append(kwargs)

    request_finished.connect(receive)
    try:
        yield seen
    finally:
        request_finished.disconnect(receive)


def test_a_response_closed_twice_finishes_its_request_once() -> None:
    response = respond()
    with finished_requests() as finished:
        response.close()
        response.close()
    assert len(finished) == 1


# Streaming under ASGI. These run in `asyncio.run`, in a thread-sensitive context like a request's.


def in_request(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with ThreadSensitiveContext():
            return await asyncio.wait_for(coroutine(), 20)

    return asyncio.run(run())


class ThreadContent(CountingContent):
    """Notes in which threads it is read and closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.threads: set[int] = set()

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        try:
            for chunk in super().chunks(start, stop):
                self.threads.add(threading.get_ident())
                yield chunk
        finally:
            self.threads.add(threading.get_ident())


ASGI_MEMBERS: dict[str, Callable[[], Any]] = {"planned": photos, **UNPLANNED}


@pytest.mark.parametrize("members", ASGI_MEMBERS.values(), ids=ASGI_MEMBERS)
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1000-400000"}], ids=["whole", "range"])
def test_the_bytes_under_asgi_are_those_under_wsgi(
    members: Callable[[], Any], headers: dict[str, str]
) -> None:
    async def read() -> bytes:
        return b"".join([batch async for batch in respond(members(), headers=headers)])

    assert in_request(read) == body(respond(members(), headers=headers))


def test_a_head_request_gets_no_bytes_under_asgi() -> None:
    async def read() -> list[bytes]:
        return [batch async for batch in respond(method="HEAD")]

    assert in_request(read) == []


def test_blocks_come_as_they_are() -> None:
    members = [counting_member("a.jpg", Pattern(3_000_000), chunk_length=65536)]

    async def read() -> list[int]:
        return [len(batch) async for batch in respond(members)]

    lengths = in_request(read)
    assert max(lengths) <= 65_536 + 2 * 5  # joining them would only make copies
    assert sum(lengths) == int(respond(members).headers["Content-Length"])


def test_a_slow_source_is_not_waited_for_longer_than_a_moment() -> None:
    class SlowContent(CountingContent):
        def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
            for chunk in super().chunks(start, stop):
                time.sleep(0.06)
                yield chunk

    content = SlowContent(Pattern(65536 * 7), identity="slow", chunk_length=65536)
    members = [("slow", TIME, MODE, NO_COMPRESSION_AUTO(content.size), content)]

    async def read() -> list[int]:
        return [len(batch) async for batch in respond(members)]

    assert max(in_request(read)) <= 65536 * 3


def test_nothing_is_made_ahead_of_who_reads() -> None:
    members = [counting_member(f"{n}.jpg", Pattern(200_000)) for n in range(50)]

    async def read() -> int:
        response = respond(members)
        batches = aiter(response)
        await anext(batches)
        await asyncio.sleep(0.05)
        opened = sum(content.opened for content in contents(members))
        await batches.aclose()
        return opened

    assert in_request(read) == 1


def test_all_is_made_in_one_thread_which_is_the_thread_sensitive_one() -> None:
    content = ThreadContent(CONTENT, identity="threads")
    members = [("a", TIME, MODE, NO_COMPRESSION_AUTO(len(CONTENT)), content)]

    async def read() -> int:
        async for _ in respond(members):
            pass
        return await sync_to_async(threading.get_ident)()

    assert content.threads != {threading.get_ident()}
    assert {in_request(read)} == content.threads


async def stopped_by_aclose(response: ZipResponse) -> None:
    batches: Any = aiter(response)
    await anext(batches)
    await anext(batches)
    await batches.aclose()


async def stopped_by_cancel(response: ZipResponse) -> None:
    began = asyncio.Event()

    async def read() -> None:
        async for _ in response:
            began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def stopped_by_an_error(response: ZipResponse) -> None:
    with pytest.raises(ZipDownloadError):
        async for _ in response:
            pass


STOPS = pytest.mark.parametrize(
    "stop", [stopped_by_aclose, stopped_by_cancel, stopped_by_an_error], ids=lambda f: f.__name__
)


@STOPS
@pytest.mark.parametrize("planned", [True, False], ids=["planned", "not planned"])
def test_a_response_that_is_stopped_closes_all_and_finishes_its_request_once(
    stop: Callable[[ZipResponse], Awaitable[None]], planned: bool
) -> None:
    class SlowContent(ThreadContent):
        def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
            for chunk in super().chunks(start, stop):
                time.sleep(0.01)
                yield chunk

    content = SlowContent(Pattern(2_000_000), identity="slow", chunk_length=65536)
    members = [("slow", TIME, MODE, NO_COMPRESSION_AUTO(content.size), content)]
    if stop is stopped_by_an_error:
        members.append(failing_member("x", BrokenSourceError()))

    async def read() -> bool:
        response = respond(members if planned else iter(members))
        await stop(response)
        is_open = content.is_open
        response.close()
        return is_open

    before = open_files()
    with finished_requests() as finished:
        assert in_request(read) is False
    assert content.opened == 1
    assert len(content.threads) == 1
    assert len(finished) == 1
    assert open_files() == before


def test_empty_chunks_of_a_middleware_do_not_end_the_response() -> None:
    async def read() -> bytes:
        response = respond()
        blocks = response.streaming_content
        response.streaming_content = (part for block in blocks for part in (b"", block, b"", b""))
        return b"".join([batch async for batch in response])

    assert in_request(read) == ARCHIVE


def test_no_empty_chunks_go_to_a_wsgi_server() -> None:
    # They are what is given while members are read whose CRC-32s the directory tells.
    start = ARCHIVE.index(b"PK\x01\x02")
    members = [counting_member(f"{number}", bytes(100_000)) for number in range(3)]
    archive = b"".join(stream_zip(members))
    start = archive.index(b"PK\x01\x02")
    blocks = list(respond(members, headers={"Range": f"bytes={start}-"}))
    assert b"".join(blocks) == archive[start:]
    assert b"" not in blocks


class CountlessContent(CountingContent):
    """A content that takes 20 ms for each chunk, of any number."""

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        for chunk in super().chunks(start, stop):
            time.sleep(0.02)
            yield chunk


@pytest.mark.parametrize("is_async", [False, True], ids=["synchronous", "asynchronous"])
def test_who_goes_away_while_nothing_is_sent_ends_the_reading(is_async: bool) -> None:
    content: Any = CountlessContent(Pattern(50_000_000), identity="countless")
    given = AsyncContent(content) if is_async else content
    members: Any = [("a", TIME, MODE, NO_COMPRESSION_AUTO(content.size), given)]

    async def read() -> None:
        request = AsyncRequestFactory().get("/", headers={"Range": "bytes=-60"})
        response: Any = zip_response(request, members)
        assert response.status_code == 206
        blocks = aiter(response)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(blocks), 0.3)

    in_request(read)
    assert content.opened == 1
    assert not content.is_open
    assert content.given[-1][1] < 1_000_000


def test_empty_chunks_only_are_an_empty_body() -> None:
    async def read() -> bytes:
        response = respond()
        response.streaming_content = iter([b"", b""])
        return b"".join([batch async for batch in response])

    assert in_request(read) == b""


# Through Django: clients and handlers.

SEEN: dict[str, Any] = {}


def view(request: HttpRequest) -> HttpResponseBase:
    SEEN["thread"] = threading.get_ident()
    return zip_response(request, SEEN["members"]())


async def async_view(request: HttpRequest) -> HttpResponseBase:
    return zip_response(request, SEEN["members"]())


urlpatterns = [path("photos.zip", view), path("async.zip", async_view)]


@pytest.fixture(autouse=True)
def _photos_are_seen() -> Iterator[None]:
    SEEN.clear()
    SEEN["members"] = photos
    yield
    SEEN.clear()


CLIENTS = pytest.mark.parametrize("url", ["/photos.zip", "/async.zip"])


@CLIENTS
@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({}, 200, ARCHIVE),
        ({"Range": "bytes=5-300000"}, 206, ARCHIVE[5:300_001]),
        ({"If-None-Match": TAG}, 304, b""),
        ({"If-Match": '"x"'}, 412, b""),
        ({"Range": f"bytes={LENGTH}-"}, 416, b""),
    ],
    ids=["200", "206", "304", "412", "416"],
)
def test_both_clients_get_the_same(
    url: str, headers: dict[str, str], status: int, expected: bytes
) -> None:
    response = Client().get(url, headers=headers)
    data = response.getvalue() if response.streaming else response.content
    response.close()

    async def read() -> tuple[Any, bytes]:
        found = await AsyncClient().get(url, headers=headers)
        if not found.streaming:
            return found, found.content
        return found, b"".join([batch async for batch in found])

    other, other_data = asyncio.run(read())
    assert response.status_code == other.status_code == status
    assert data == other_data == expected
    assert dict(response.headers) == dict(other.headers)


@CLIENTS
def test_both_clients_get_the_headers_for_head(url: str) -> None:
    response = Client().head(url)
    assert b"".join(response.streaming_content) == b""

    async def read() -> Any:
        return await AsyncClient().head(url)

    other = asyncio.run(read())
    assert response.headers["Content-Length"] == other.headers["Content-Length"] == str(LENGTH)
    assert response.headers["ETag"] == other.headers["ETag"] == TAG


class Connection:
    """An ASGI connection to Django's handler, without a server."""

    def __init__(self, url: str, method: str = "GET", **headers: str) -> None:
        request: Any = AsyncRequestFactory().generic(method, url, headers=headers)
        self.scope = request.scope
        self.sent: list[dict[str, Any]] = []
        self.hangs_up_after: int | None = None
        self._requested = False
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if len(self.bodies) == self.hangs_up_after:
            self._gone.set()
            await asyncio.sleep(60)  # until Django cancels

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if message.get("body")]

    async def run(self) -> Connection:
        await asyncio.wait_for(ASGIHandler()(self.scope, self.receive, self.send), 20)
        return self


def connected(url: str = "/photos.zip", hangs_up_after: int | None = None) -> Connection:
    async def run() -> Connection:
        connection = Connection(url)
        connection.hangs_up_after = hangs_up_after
        return await connection.run()

    return asyncio.run(run())


@CLIENTS
def test_djangos_asgi_handler_streams_the_archive(url: str) -> None:
    with finished_requests() as finished:
        connection = connected(url)
    assert b"".join(connection.bodies) == ARCHIVE
    assert len(connection.bodies) > 2
    assert not connection.sent[-1].get("more_body", False)
    assert len(finished) == 1


def thread_member() -> tuple[ThreadContent, list[ContentMember]]:
    content = ThreadContent(Pattern(3_000_000), identity="threads")
    return content, [("a", TIME, MODE, NO_COMPRESSION_AUTO(content.size), content)]


def test_the_thread_is_that_of_the_view() -> None:
    content, members = thread_member()
    SEEN["members"] = lambda: members
    connected()
    assert content.threads == {SEEN["thread"]}


@CLIENTS
def test_a_client_that_hangs_up_has_all_closed_in_the_same_thread(url: str) -> None:
    content, members = thread_member()
    SEEN["members"] = lambda: members
    with finished_requests() as finished:
        connection = connected(url, hangs_up_after=2)
    assert len(connection.bodies) == 2
    assert not content.is_open
    assert len(content.threads) == 1
    assert len(finished) == 1
    assert content.given[-1][1] < 1_000_000


def test_an_error_under_djangos_asgi_handler_closes_all_and_ends_nothing() -> None:
    content, members = thread_member()
    SEEN["members"] = lambda: [*members, failing_member("x", ConnectionResetError())]

    async def run() -> Connection:
        connection = Connection("/photos.zip")
        with pytest.raises(ZipDownloadError):
            await connection.run()
        return connection

    with finished_requests() as finished:
        connection = asyncio.run(run())
    assert not content.is_open
    assert b"PK\x05\x06" not in b"".join(connection.bodies)
    assert connection.sent[-1].get("more_body") is True
    assert len(finished) == 1


# Members and contents that are asynchronous.


class AsyncContent:
    """A counting content that is read on the event loop."""

    def __init__(self, content: CountingContent) -> None:
        self.content = content
        self.size = content.size
        self.crc_32 = content.crc_32
        self.identity = content.identity
        self.validator = content.validator

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        chunks: Any = self.content.chunks(start, stop)
        try:
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk
        finally:
            chunks.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()


def async_photos(every: int = 1) -> list[Any]:
    """Photos of which each, or every second one, is read on the event loop."""
    return [
        (*member, AsyncContent(content) if number % every == 0 else content)
        for number, (*member, content) in enumerate(photos())
    ]


async def async_iterated(members: list[Any]) -> AsyncIterator[Any]:
    for member in members:
        yield member


def async_respond(members: Any, method: str = "GET", **headers: str) -> Any:
    request = AsyncRequestFactory().generic(method, "/photos.zip", headers=headers)
    return zip_response(request, members)


@pytest.mark.parametrize("every", [1, 2], ids=["all", "some"])
@pytest.mark.parametrize("range_", ["", "bytes=100000-400000", "bytes=-50"])
def test_asynchronous_contents_give_the_same_archive(every: int, range_: str) -> None:
    async def read() -> tuple[Any, bytes]:
        response = async_respond(async_photos(every), Range=range_)
        return response, b"".join([block async for block in response])

    response, data = in_request(read)
    expected = respond(headers={"Range": range_})
    assert response.headers == expected.headers
    assert data == body(expected)


def test_an_asynchronous_iterable_of_members_gives_the_same_archive() -> None:
    async def read() -> tuple[Any, bytes]:
        response = async_respond(async_iterated(async_photos(2)))
        return response, b"".join([block async for block in response])

    response, data = in_request(read)
    assert "Content-Length" not in response.headers
    assert data == ARCHIVE


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "not planned"])
@pytest.mark.parametrize("every", [1, 2], ids=["all", "some"])
@pytest.mark.parametrize("stop", [stopped_by_aclose, stopped_by_cancel])
def test_asynchronous_contents_are_closed_when_the_response_is_stopped(
    stop: Callable[[ZipResponse], Awaitable[None]], every: int, planned: bool
) -> None:
    members = async_photos(every)
    counted = [getattr(content, "content", content) for *_, content in members]

    async def read() -> list[bool]:
        await stop(async_respond(members if planned else async_iterated(members)))
        return [content.is_open for content in counted]

    with finished_requests() as finished:
        assert in_request(read) == [False, False, False]
    assert len(finished) == 1
