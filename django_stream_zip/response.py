"""The response: an archive of members over HTTP, streamed under WSGI and ASGI.

`zip_response` decides what the request gets: all bytes, a range, headers only, or that nothing has
changed. `ZipResponse` sends it. Nothing is opened before the first byte is asked for, so that a
response which somebody throws away leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from django.utils.cache import get_conditional_response

from django_stream_zip import MemberFile, conf
from django_stream_zip.delivery import disposition, ranges
from django_stream_zip.delivery.async_download import AnyMembers, AsyncDownload
from django_stream_zip.delivery.compression import decided
from django_stream_zip.delivery.cpus import cpu_limiter
from django_stream_zip.delivery.download import Download, Progress
from django_stream_zip.delivery.naming import named
from django_stream_zip.engine.bodies import UNLIMITED
from django_stream_zip.engine.members import unpacked
from django_stream_zip.members import misuse
from django_stream_zip.members.async_member import AsyncStorageContent
from django_stream_zip.members.build import text
from django_stream_zip.members.describe import all_described
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.ambient import AsyncSteps
from django_stream_zip.prefetch.batches import Threaded


def zip_response(
    request: HttpRequest,
    members: AnyMembers,
    *,
    filename: str = "archive.zip",
    password: str | None = None,
    compress: bool | None = None,
) -> HttpResponseBase:
    """Answer a request with the ZIP archive of `members`, to be saved as `filename`.

    A sequence of members of which none is compressed has a Content-Length. If their contents can be
    read again (those that the builders in `members` make) it also has an entity tag and ranges, so
    that an interrupted download can be resumed. A HEAD request gets the headers only. With a
    `password` all members are encrypted (AES-256), which leaves the length but no ranges.

    `members` may be an asynchronous iterable, or a sequence with asynchronous contents: then the
    archive is made on the event loop, and the request has to come through ASGI.

    `compress` is about the members that their builder would deflate, if nobody told it whether to:
    None stores them where they are so little of the archive that a length is worth more
    (MAX_GROWTH_BY_STORING), False stores them in any case, True in none.

    Names are made safe, and unique without regard to case: see `engine.names`. Aware times are
    written as the site's clocks show them (TIME_ZONE), for all members alike.

    Members of remote storages are described here, several at a time (DESCRIBE_AT_ONCE): of a
    sequence before the response is returned, else shortly before their turn.

    Raises ZipValueError and TypeError where the members can't be written, if that is known before;
    FileNotFoundError and what else a storage raises, where a sequence has members of remote ones;
    ImproperlyConfigured where asynchronous members meet WSGI.
    """
    misuse.check_request(request, members)
    misuse.check_members(members)
    misuse.check_filename(filename)
    members = decided(named(all_described(members)), compress)
    if _is_wsgi(request) and isinstance(members, Sequence):
        members = [_synchronous(member) for member in members]
    plan = None
    if isinstance(members, Sequence):
        plan = Plan.of(members, encrypted=password is not None)
    password = text(password)
    download = _download(Progress(request, str(filename), plan), members, request, password)
    if plan is None:
        return ZipResponse(download)
    response = ZipResponse(download, headers={"Content-Length": str(plan.length)})
    if plan.entity_tag is None or request.method not in {"GET", "HEAD"}:
        return response
    response.headers["ETag"] = plan.entity_tag
    response.headers["Accept-Ranges"] = "bytes"
    return _conditional(request, response, plan.entity_tag)


def _download(
    progress: Progress, members: AnyMembers, request: HttpRequest, password: str | None
) -> Download | AsyncDownload:
    limiter: AbstractContextManager[Any] = UNLIMITED if _is_wsgi(request) else cpu_limiter()
    if not _is_async(members):
        return Download(progress, cast(Iterable[MemberFile], members), password, limiter)
    if _is_wsgi(request):
        # To stream them, WSGI's thread would have to run an event loop of its own between the
        # blocks, another one than that in which the view made its clients and sessions.
        raise ImproperlyConfigured(
            "asynchronous members need ASGI, and this request came through WSGI: "
            "give synchronous ones, which stream under both"
        )
    return AsyncDownload(progress, members, password, limiter)


def _is_wsgi(request: HttpRequest) -> bool:
    """Say whether a request came through WSGI: then it has an `environ`.

    By its class it can't be told, as Django REST framework has one around it. It passes on what
    the request has.
    """
    return hasattr(request, "environ")


def _synchronous(member: Any) -> Any:
    """Give the member with a content for WSGI, if its own is for an event loop too."""
    *opening, content = unpacked(member)
    return (*opening, content.synchronous) if isinstance(content, AsyncStorageContent) else member


def _is_async(members: AnyMembers) -> bool:
    if hasattr(members, "__aiter__"):
        return True
    return isinstance(members, Sequence) and any(
        hasattr(unpacked(member)[4], "__aiter__") for member in members
    )


def _conditional(request: HttpRequest, response: ZipResponse, entity_tag: str) -> HttpResponseBase:
    """Evaluate what the request demands of the entity tag, then its range (RFC 9110 §13.2.2)."""
    # To be ignored, as an archive has no Last-Modified (RFC 9110 §13.1.4). Django answers 412:
    # here, and in ConditionalGetMiddleware, which sees nothing but the request. So it has to go.
    request.META.pop("HTTP_IF_UNMODIFIED_SINCE", None)
    answer: HttpResponseBase | None = get_conditional_response(
        request,
        etag=entity_tag,
        response=response,  # type: ignore[arg-type]  # only its headers are looked at
    )
    if answer is not None and answer is not response:
        return answer
    if request.method != "GET":  # §14.2: a range is for GET only
        return response
    length = int(response.headers["Content-Length"])
    wanted = ranges.requested_range(request.headers.get("Range"), length)
    if wanted is not None and response.download.checksums.is_distrusted(entity_tag):
        return response
    if wanted is None or not ranges.if_range_holds(request.headers.get("If-Range"), entity_tag):
        return response
    if isinstance(wanted, ranges.Unsatisfiable):
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{length}"})
    if _is_affordable(wanted, response.download):
        response.narrow(wanted)
    return response


def _is_affordable(wanted: ranges.Range, download: Download | AsyncDownload) -> bool:
    """Say whether a range may be answered; §14.2 allows to ignore one that costs too much."""
    budget, plan = conf.get("MAX_UNSENT_BYTES"), download.progress.plan
    assert plan is not None
    return budget is None or plan.is_within(budget, *wanted, download.checksums)


class ZipHeaders(ResponseHeaders):
    """Headers that name "identity" as the Content-Encoding where there is no other.

    GZipMiddleware asks for one: it would compress the archive again, take its length away and
    weaken its entity tag. Whoever asks is answered that the archive isn't encoded; `items()` and
    iterating leave it out, so it isn't sent, which RFC 9110 §8.4.1 advises against.
    """

    def __getitem__(self, key: str) -> str:
        try:
            return super().__getitem__(key)
        except KeyError:
            if key.lower() != "content-encoding":
                raise
            return "identity"


class ZipResponse(StreamingHttpResponse):
    """Sends a download, under ASGI too though it is a synchronous iterable."""

    def __init__(self, download: Download | AsyncDownload, **kwargs: Any) -> None:
        kwargs.setdefault("content_type", "application/zip")
        self.download = download
        super().__init__(download, **kwargs)
        self.headers = ZipHeaders(self.headers)
        filename = download.progress.filename
        self.headers["Content-Disposition"] = disposition.attachment(filename)
        # An archive of somebody's choice is for nobody else, and no proxy may change its bytes.
        self.headers["Cache-Control"] = "private, no-transform"

    def narrow(self, wanted: ranges.Range) -> None:
        """Send this range only, as 206 (RFC 9110 §15.3.7)."""
        length = int(self.headers["Content-Length"])
        self.status_code = 206
        self.headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{length}"
        self.headers["Content-Length"] = str(wanted.stop - wanted.start)
        self.download.progress.content_range = (wanted.start, wanted.stop)

    def close(self) -> None:
        """Close what is open, once: Django's own would send `request_finished` each time."""
        if not self.closed:
            super().close()

    def __iter__(self) -> Iterator[bytes]:
        """Give the blocks to a WSGI server, without empty ones: to some that is the end."""
        return filter(None, super().__iter__())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the blocks to an ASGI server.

        Synchronous ones too: Django would make a list of all of them first.
        """
        content: Any = self.streaming_content
        if not self.is_async:
            content = AsyncSteps(Threaded(content), self.download.ambient.handed_over())
        try:
            async for block in content:
                if block:
                    yield block
                if self.is_async:
                    # A source that never waits leaves the loop no moment to notice a disconnect.
                    await asyncio.sleep(0)
        except BaseException:
            # The client has gone, or it is an error, after which Django under ASGI calls neither
            # close() nor request_finished.
            await asyncio.shield(self._aclose())
            raise

    async def _aclose(self) -> None:
        if isinstance(self.download, AsyncDownload):
            await self.download.aclose()
        await sync_to_async(self.close)()
