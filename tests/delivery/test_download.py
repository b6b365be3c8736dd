"""A failure is visible: what comes out before it, what is raised, logged and signalled."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pytest
from django.dispatch import Signal
from django.http import HttpRequest
from django.test import AsyncRequestFactory, RequestFactory

from django_stream_zip import NO_COMPRESSION_AUTO, ZIP_32, CRC32IntegrityError, stream_zip
from django_stream_zip.delivery import download as delivery_download
from django_stream_zip.delivery.async_download import AsyncDownload
from django_stream_zip.delivery.download import Download, PromptBlocks, ZipDownloadError
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.response import zip_response
from django_stream_zip.signals import zip_download_finished, zip_download_started
from tests.support.contents import (
    MODE,
    TIME,
    ContentMember,
    CountingContent,
    counting_member,
    errors_of,
    failing_member,
)
from tests.support.sources import BrokenSourceError

CONTENT = random.Random(1).randbytes(300_000)
SIGNATURES = (b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07")

# How members may be given: a list is planned, if the contents allow it; others are not.
ways: dict[str, Callable[[list[ContentMember]], Any]] = {
    "planned": list,
    "not planned": iter,
    "planned, encrypted": list,
}


async def async_iterated(members: list[ContentMember]) -> AsyncIterator[ContentMember]:
    for member in members:
        yield member


def read(response: Any, log: list[bytes]) -> None:
    """Read a response as a WSGI server does."""
    try:
        for block in response:
            log.append(block)
    finally:
        response.close()


def downloaded(members: list[ContentMember], way: str, log: list[bytes], **kwargs: Any) -> None:
    """Download in one of the ways; `log` gets what comes out."""
    if way == "asynchronous":
        return asyncio.run(adownloaded(members, log, **kwargs))
    if way == "planned, encrypted":
        kwargs["password"] = "secret"
    request = RequestFactory().get("/", headers=kwargs.pop("headers", None))
    return read(zip_response(request, ways[way](members), filename="x.zip", **kwargs), log)


async def adownloaded(members: list[ContentMember], log: list[bytes], **kwargs: Any) -> None:
    request = AsyncRequestFactory().get("/", headers=kwargs.pop("headers", None))
    response: Any = zip_response(request, async_iterated(members), filename="x.zip", **kwargs)
    async for block in response:
        log.append(block)
    response.close()


EVERY_WAY = pytest.mark.parametrize("way", [*ways, "asynchronous"])


def failed(members: list[ContentMember], way: str, **kwargs: Any) -> tuple[bytes, ZipDownloadError]:
    """Download what fails; give what came out and what was raised."""
    log: list[bytes] = []
    with pytest.raises(ZipDownloadError) as raised:
        downloaded(members, way, log, **kwargs)
    return b"".join(log), raised.value


ERRORS = [
    BrokenSourceError("broken"),
    OSError("disk"),
    ConnectionResetError("gone"),
    BrokenPipeError("gone"),
    TimeoutError("slow"),
    FileNotFoundError("missing"),
    TypeError("wrong"),
    ValueError("wrong"),
    RuntimeError("odd"),
]


@EVERY_WAY
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_any_error_comes_out_as_one_that_no_server_swallows(error: Exception, way: str) -> None:
    members = [counting_member("a", CONTENT), failing_member("b", error, 150_000, data=CONTENT)]
    data, raised = failed(members, way)
    assert not isinstance(raised, OSError | TypeError)
    assert repr(raised.__cause__) == repr(error)
    assert len(data) > 200_000


@EVERY_WAY
def test_a_first_member_that_cannot_be_read_fails_before_the_first_byte(way: str) -> None:
    members = [failing_member("a", ConnectionResetError()), counting_member("b")]
    assert failed(members, way)[0] == b""


@pytest.mark.parametrize("way", ["planned", "not planned", "asynchronous"])
@pytest.mark.parametrize("at", [0, 1, 65_535, 65_536, 100_000, 299_999, 300_000])
def test_what_comes_before_a_failure_is_the_beginning_of_the_archive(at: int, way: str) -> None:
    archive = b"".join(stream_zip([counting_member(name, CONTENT) for name in "abc"]))
    broken = failing_member("b", OSError(), at, data=CONTENT)
    members = [counting_member("a", CONTENT), broken, counting_member("c", CONTENT)]
    data, _ = failed(members, way)
    assert archive.startswith(data)
    assert len(data) >= 300_000 + at - 65_536 * 4
    assert not any(signature in data for signature in SIGNATURES)
    assert members[2][4].opened == 0
    assert not broken[4].is_open


@EVERY_WAY
def test_an_encrypted_or_other_archive_that_failed_has_no_directory(way: str) -> None:
    members = [counting_member("a", CONTENT), failing_member("b", OSError(), 9, data=CONTENT)]
    data, _ = failed(members, way)
    assert not any(signature in data for signature in SIGNATURES)


@pytest.mark.parametrize("start", [0, 100_000, 500_000, 599_000])
def test_a_range_that_fails_has_no_directory_either(start: int) -> None:
    members = [counting_member("a", CONTENT), failing_member("b", OSError(), 299_999, data=CONTENT)]
    data, _ = failed(members, "planned", headers={"Range": f"bytes={start}-"})
    assert not any(signature in data for signature in SIGNATURES)


CHANGES: dict[str, tuple[Callable[[CountingContent], object], type[Exception]]] = {
    "longer": (lambda content: setattr(content, "data", CONTENT + b"x"), ContentChangedError),
    "shorter": (lambda content: setattr(content, "data", CONTENT[:-1]), ContentChangedError),
    "empty": (lambda content: setattr(content, "data", b""), ContentChangedError),
    "other": (lambda content: setattr(content, "data", CONTENT[::-1]), CRC32IntegrityError),
}


@pytest.mark.parametrize(("change", "error"), CHANGES.values(), ids=CHANGES)
def test_a_content_that_has_changed_since_fails(
    change: Callable[[CountingContent], object], error: type[Exception]
) -> None:
    members = [counting_member("a", CONTENT, promised=True), counting_member("b", CONTENT)]
    change(members[0][4])
    data, raised = failed(members, "planned")
    assert isinstance(raised.__cause__, error)
    assert not any(signature in data for signature in SIGNATURES)
    assert members[1][4].opened == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_passes_and_closes_all(error: type[BaseException]) -> None:
    member = failing_member("a", error(), 100_000, data=CONTENT)
    with pytest.raises(error):
        downloaded([member], "planned", [])
    assert not member[4].is_open


# What is logged.


@EVERY_WAY
def test_a_failure_is_logged_once_with_all_that_is_known(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    members = [counting_member("a", CONTENT), failing_member("b.jpg", OSError("disk"), 7)]
    with caplog.at_level(logging.DEBUG, "django_stream_zip"):
        data, raised = failed(members, way)
    records = [record for record in caplog.records if record.name.startswith("django_stream_zip")]
    assert [record.levelname for record in records] == ["ERROR"]
    message = records[0].getMessage()
    assert message == str(raised)
    for known in ("'x.zip'", "'b.jpg'", "OSError: disk"):
        assert known in message
    assert records[0].exc_info
    assert isinstance(records[0].exc_info[1], OSError)
    assert f"{len(data):,} bytes" in message


# A constant message, which collectors of logs group by; and no name forges another line.
@EVERY_WAY
def test_no_name_or_error_forges_a_line_of_the_log(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "x\nERROR forged\r\u2028line\x1b[0m"
    _, first = failed([failing_member(forged, OSError(forged))], way)
    _, second = failed([failing_member("other", ValueError("other"))], way)
    assert [len(str(error).splitlines()) for error in (first, second)] == [1, 1]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [str(first), str(second)]
    assert "\x1b" not in messages[0]
    assert caplog.records[0].msg == caplog.records[1].msg


@pytest.mark.parametrize("at", [0, 100_000])
@pytest.mark.parametrize("way", ["planned", "not planned"])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("ending", [asyncio.CancelledError, GeneratorExit])
def test_what_a_content_waits_for_being_cancelled_or_closed_is_an_error_of_the_download(
    ending: type[BaseException], way: str, is_async: bool, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    members = [failing_member("a", ending(), at, data=CONTENT)]

    async def under_asgi() -> None:
        async for _ in zip_response(AsyncRequestFactory().get("/"), ways[way](members)):
            pass

    async def asynchronous() -> None:
        await adownloaded(members, [])

    with pytest.raises(ZipDownloadError, match=ending.__name__):
        asyncio.run(under_asgi() if is_async else asynchronous())
    assert errors_of(caplog) == ["django_stream_zip"]


@EVERY_WAY
@pytest.mark.parametrize("at", [0, 100_000])
def test_a_content_that_is_closed_by_somebody_else_is_an_error(
    way: str, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    member = failing_member("a", GeneratorExit(), at, data=CONTENT)
    failed([member], way)
    assert not member[4].is_open
    assert errors_of(caplog) == ["django_stream_zip"]


# Since `%` in a name would be taken for a field of the message, were it formatted once more.
def test_names_with_per_cent_signs_are_logged_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    failed([failing_member("100%s.jpg", OSError("%d"))], "planned")
    assert "'100%s.jpg'" in caplog.messages[0]


def test_a_download_that_goes_well_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "django_stream_zip"):
        downloaded([counting_member("a", CONTENT)], "planned", [])
    assert caplog.records == []


def test_a_client_who_goes_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    response: Any = zip_response(RequestFactory().get("/"), [counting_member("a", CONTENT)])
    next(iter(response))
    response.close()
    assert caplog.records == []


# Generators of members.


class Members:
    """Generates members, and notes if that is over."""

    def __init__(self, members: list[ContentMember], error: Exception | None = None) -> None:
        self.members = members
        self.error = error
        self.is_over = False

    def sync(self) -> Iterator[ContentMember]:
        try:
            yield from self.members
            if self.error:
                raise self.error
        finally:
            self.is_over = True

    async def asynchronous(self) -> AsyncIterator[ContentMember]:
        try:
            for member in self.members:
                yield member
        finally:
            self.is_over = True


# At once, and not when the response is collected: `generator` is held on purpose.
@pytest.mark.parametrize("password", [None, "secret"])
def test_a_generator_of_members_is_closed_when_the_client_goes_away(password: str | None) -> None:
    members = Members([counting_member(name, CONTENT) for name in "ab"])
    generator = members.sync()
    response: Any = zip_response(RequestFactory().get("/"), generator, password=password)
    next(iter(response))
    response.close()
    assert members.is_over


def test_a_generator_of_members_is_closed_when_a_member_fails() -> None:
    members = Members([failing_member("a", OSError(), 100_000, data=CONTENT)])
    generator = members.sync()
    response: Any = zip_response(RequestFactory().get("/"), generator)
    with pytest.raises(ZipDownloadError):
        read(response, [])
    assert members.is_over


def test_an_asynchronous_generator_of_members_is_closed_when_the_client_goes_away() -> None:
    members = Members([counting_member(name, CONTENT) for name in "ab"])

    async def stop() -> None:
        response: Any = zip_response(AsyncRequestFactory().get("/"), members.asynchronous())
        blocks = aiter(response)
        await anext(blocks)
        await blocks.aclose()
        assert members.is_over

    asyncio.run(stop())


def test_an_error_of_the_generator_of_members_fails_the_download() -> None:
    members = Members([counting_member("a", CONTENT)], LookupError("no more"))
    log: list[bytes] = []
    with pytest.raises(ZipDownloadError, match="no more"):
        read(zip_response(RequestFactory().get("/"), members.sync()), log)
    assert not any(signature in b"".join(log) for signature in SIGNATURES)


# Signals.


@contextmanager
def received() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Note which signals are sent with which values."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def start(**values: Any) -> None:
        seen.append(("started", values))

    def finish(**values: Any) -> None:
        seen.append(("finished", values))

    zip_download_started.connect(start)
    zip_download_finished.connect(finish)
    try:
        yield seen
    finally:
        zip_download_started.disconnect(start)
        zip_download_finished.disconnect(finish)


def request_of(way: str) -> HttpRequest:
    return (AsyncRequestFactory if way == "asynchronous" else RequestFactory)().get("/")


@EVERY_WAY
def test_a_complete_download_is_told_of(way: str) -> None:
    members = [counting_member(name, CONTENT) for name in "abc"]
    log: list[bytes] = []
    with received() as signals:
        downloaded(members, way, log)
    (first, started), (last, finished) = signals
    length = len(b"".join(log))
    assert (first, last) == ("started", "finished")
    assert started["filename"] == finished["filename"] == "x.zip"
    assert started["request"] is finished["request"]
    assert started["request"].method == "GET"
    assert started["length"] == (length if way.startswith("planned") else None)
    assert started["content_range"] is finished["content_range"] is None
    assert finished["completed"] is True
    assert finished["bytes_sent"] == length
    assert 0 < finished["seconds"] < 10
    assert finished["members"] == 3
    assert started["sender"] is finished["sender"]


@pytest.mark.parametrize(
    ("way", "sender"), [("planned", Download), ("asynchronous", AsyncDownload)]
)
def test_the_sender_is_the_class_that_is_documented(way: str, sender: type) -> None:
    with received() as signals:
        downloaded([counting_member("a")], way, [])
    assert [values["sender"] for _, values in signals] == [sender, sender]


# BUG: of several members in a row with one name only one is counted (`Progress.begin`).
@pytest.mark.parametrize("way", ["planned", "not planned", "asynchronous"])
@pytest.mark.parametrize("names", ["abc", "aab"])
def test_empty_members_and_namesakes_are_counted(way: str, names: str) -> None:
    members = [counting_member(names[0]), counting_member(names[1], b""), counting_member(names[2])]
    with received() as signals:
        downloaded(members, way, [])
    assert signals[-1][1]["members"] == 3


def test_a_range_is_told_of() -> None:
    members = [counting_member(name, CONTENT) for name in "abc"]
    with received() as signals:
        downloaded(members, "planned", [], headers={"Range": "bytes=10-99"})
    for _, values in signals:
        assert values["content_range"] == (10, 100)
        assert values["length"] == 90
    assert signals[-1][1]["bytes_sent"] == 90
    assert signals[-1][1]["completed"] is True
    assert signals[-1][1]["members"] == 1


@EVERY_WAY
def test_a_failed_download_is_told_of(way: str) -> None:
    members = [counting_member("a", CONTENT), failing_member("b", OSError(), 5)]
    with received() as signals:
        data, _ = failed(members, way)
    assert [name for name, _ in signals] == ["started", "finished"]
    finished = signals[-1][1]
    assert finished["completed"] is False
    assert finished["members"] == 2
    assert finished["bytes_sent"] == len(data)


@EVERY_WAY
def test_a_download_that_fails_before_its_first_byte_is_told_of(way: str) -> None:
    with received() as signals:
        failed([failing_member("a", OSError())], way)
    assert [name for name, _ in signals] == ["started", "finished"]
    assert signals[-1][1]["bytes_sent"] == 0
    assert signals[-1][1]["completed"] is False


@pytest.mark.parametrize("way", ways)
def test_a_client_who_goes_away_is_told_of(way: str) -> None:
    members = [counting_member(name, CONTENT) for name in "ab"]
    response: Any = zip_response(RequestFactory().get("/"), ways[way](members))
    with received() as signals:
        blocks = iter(response)
        sent = len(next(blocks)) + len(next(blocks))
        assert [name for name, _ in signals] == ["started"]
        response.close()
        response.close()
    assert [name for name, _ in signals] == ["started", "finished"]
    assert signals[-1][1]["completed"] is False
    assert signals[-1][1]["bytes_sent"] == sent


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"If-None-Match": "*"}),
        ("GET", {"If-Match": '"x"'}),
        ("GET", {"Range": "bytes=99999999-"}),
    ],
    ids=["HEAD", "304", "412", "416"],
)
def test_what_is_no_download_is_not_told_of(method: str, headers: dict[str, str]) -> None:
    request = RequestFactory().generic(method, "/", headers=headers)
    with received() as signals:
        response = zip_response(request, [counting_member("a")])
        read(response, [])
    assert signals == []


def test_a_response_that_nobody_reads_is_not_told_of() -> None:
    with received() as signals:
        zip_response(RequestFactory().get("/"), [counting_member("a")]).close()
    assert signals == []


# Who was told of the beginning, and nobody else, is told of the end.


async def cancelled_before_it_begins(response: Any) -> None:
    task = asyncio.create_task(adrained(response))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # whichever way it ended


async def cancelled_at_its_first_step(response: Any) -> None:
    task = asyncio.create_task(adrained(response))
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.gather(task, return_exceptions=True)  # whichever way it ended


async def cancelled_while_that_is_told(response: Any) -> None:
    task = asyncio.create_task(adrained(response))

    async def cancel(**values: Any) -> None:
        task.cancel()
        await asyncio.sleep(0.05)

    zip_download_started.connect(cancel)
    try:
        await asyncio.wait([task])
    finally:
        zip_download_started.disconnect(cancel)


async def cancelled_after_a_block(response: Any) -> None:
    async def take_one() -> None:
        async for _ in response:
            asyncio.current_task().cancel()  # type: ignore[union-attr]

    await asyncio.wait([asyncio.create_task(take_one())])


async def closed_before_it_begins(response: Any) -> None:
    await aiter(response).aclose()  # type: ignore[attr-defined]


async def closed_after_a_block(response: Any) -> None:
    blocks: Any = aiter(response)
    await anext(blocks)
    await blocks.aclose()


async def adrained(response: Any) -> None:
    async for _ in response:
        pass


ENDS: dict[Callable[[Any], Any], bool | None] = {
    cancelled_before_it_begins: False,
    cancelled_at_its_first_step: None,  # a synchronous one may not have been begun
    cancelled_while_that_is_told: True,
    cancelled_after_a_block: True,
    closed_before_it_begins: False,
    closed_after_a_block: True,
    adrained: True,
}


@pytest.mark.parametrize(("end", "is_told"), ENDS.items(), ids=[end.__name__ for end in ENDS])
@pytest.mark.parametrize("is_async", [True, False])
def test_who_was_told_of_the_beginning_is_told_of_the_end(
    end: Callable[[Any], Any],
    is_told: bool | None,
    is_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    members = [counting_member(name, CONTENT) for name in "abc"]

    async def download() -> None:
        given: Any = async_iterated(members) if is_async else iter(members)
        response: Any = zip_response(AsyncRequestFactory().get("/"), given)
        await end(response)
        response.close()

    with received() as signals:
        asyncio.run(download())
    gc.collect()  # errors that nobody retrieved are logged now, and not during another test
    told = [name for name, _ in signals]
    assert told == (["started", "finished"] if is_told or (is_told is None and told) else [])
    assert [record for record in caplog.records if record.name == "django_stream_zip"] == []


@EVERY_WAY
@pytest.mark.parametrize("signal", [zip_download_started, zip_download_finished])
def test_a_receiver_that_raises_does_not_break_the_download(
    way: str, signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    def receive(**values: Any) -> None:
        raise BrokenSourceError("in the receiver")

    signal.connect(receive)
    log: list[bytes] = []
    try:
        downloaded([counting_member("a", CONTENT)], way, log)
    finally:
        signal.disconnect(receive)
    assert b"PK\x05\x06" in b"".join(log)
    assert [record.name for record in caplog.records] == ["django.dispatch"]


@pytest.mark.parametrize("way", ways)
def test_a_receiver_that_raises_does_not_hide_the_failure(way: str) -> None:
    def receive(**values: Any) -> None:
        raise BrokenSourceError("in the receiver")

    zip_download_finished.connect(receive)
    try:
        _, raised = failed([failing_member("a", OSError("disk"))], way)
    finally:
        zip_download_finished.disconnect(receive)
    assert isinstance(raised.__cause__, OSError)


def test_signals_come_before_the_first_byte_and_after_the_last() -> None:
    member = counting_member("a", CONTENT)
    opened: list[int] = []

    def receive(**values: Any) -> None:
        opened.append(member[4].opened)

    zip_download_started.connect(receive)
    try:
        with suppress(ZipDownloadError):
            downloaded([member], "planned", [])
    finally:
        zip_download_started.disconnect(receive)
    assert opened == [0]


def broken_promise(size: int = 100_000) -> list[ContentMember]:
    """Return members of which the first has another CRC-32 than somebody said."""
    data = b"x" * size
    name, *rest, _, content = counting_member("wrong.jpg", data, identity="wrong")
    wrong = (name, *rest, NO_COMPRESSION_AUTO(size, 1), content)
    return [wrong, counting_member("right.jpg", data, identity="right")]  # type: ignore[list-item]


@pytest.mark.parametrize("is_async", [False, True])
def test_who_comes_back_behind_a_broken_promise_does_not_get_the_rest(is_async: bool) -> None:
    def respond(**headers: str) -> Any:
        factory: Any = AsyncRequestFactory() if is_async else RequestFactory()
        return zip_response(factory.get("/", headers=headers), broken_promise())

    async def read_async(response: Any) -> None:
        async for _ in response:
            pass

    def read_all(response: Any) -> None:
        if is_async:
            return asyncio.run(read_async(response))
        return read(response, [])

    behind = {"range": "bytes=150000-", "if-range": respond().headers["ETag"]}
    assert respond(**behind).status_code == 206
    with pytest.raises(ZipDownloadError):
        read_all(respond())
    response = respond(**behind)
    assert response.status_code == 200
    with pytest.raises(ZipDownloadError):
        read_all(response)


def test_a_download_that_fails_after_its_last_byte_is_not_complete() -> None:
    class Changed:
        size, crc_32, identity, validator = 131_072, 1, "c", "v"

        def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
            for _ in range((self.size if stop is None else stop) // 65_536):
                yield b"x" * 65_536
            raise ContentChangedError("modified while it was read")

        def __iter__(self) -> Iterator[bytes]:
            return self.chunks()

    method = NO_COMPRESSION_AUTO(131_072, 1)
    members: Any = [("a.jpg", datetime(2020, 1, 1), 0o100600, method, Changed())]
    other = [*members[0][:3], NO_COMPRESSION_AUTO(1, zlib.crc32(b"x")), [b"x"]]
    start = b"".join(stream_zip([tuple(other)])).index(b"x")  # type: ignore[list-item]
    byte_range = f"bytes={start}-{start + 65_535}"
    with received() as signals:
        response: Any = zip_response(RequestFactory().get("/", HTTP_RANGE=byte_range), members)
        with pytest.raises(ZipDownloadError):
            b"".join(response)
    [(_, finished)] = [signal for signal in signals if signal[0] == "finished"]
    assert not finished["completed"]


@pytest.fixture
def all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks come at once for an hour: a busy machine makes any of them late."""
    monkeypatch.setattr(delivery_download, "_PROMPT", 3600)


@pytest.mark.usefixtures("all_at_once")
def test_blocks_that_come_at_once_are_joined() -> None:
    members = [(f"{n}", TIME, MODE, ZIP_32, [b"content"]) for n in range(1000)]
    response: Any = zip_response(RequestFactory().get("/"), members)
    blocks = list(response)
    assert b"".join(blocks) == b"".join(stream_zip(members))
    assert len(blocks) < 500


@pytest.mark.usefixtures("all_at_once")
def test_blocks_that_come_at_once_are_joined_on_the_event_loop_too() -> None:
    async def members() -> AsyncIterator[Any]:
        for n in range(1000):
            yield f"{n}", TIME, MODE, ZIP_32, [b"content"]

    async def read() -> list[bytes]:
        response: Any = zip_response(AsyncRequestFactory().get("/"), members())
        return [block async for block in response]

    assert len(asyncio.run(read())) < 500


@pytest.mark.usefixtures("all_at_once")
def test_what_was_waited_for_goes_on_at_once() -> None:
    blocks = PromptBlocks()
    assert [*blocks.push(b"first")] == [b"first"]
    assert [*blocks.push(b"second")] == []
    blocks._pushed -= 3601
    assert [*blocks.push(b", third")] == [b"second, third"]
