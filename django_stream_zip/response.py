"""The response: an archive of members over HTTP, streamed under WSGI and ASGI.

`zip_response` decides what the request gets: all bytes, a range, headers only, or that nothing has
changed. `ZipResponse` sends it. Nothing is opened before the first byte is asked for, so that a
response which somebody throws away leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from copy import copy
from threading import BoundedSemaphore
from typing import Any, Final, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from django_stream_zip import MemberFile, disposition, misuse, ranges
from django_stream_zip.async_download import AnyMembers, AsyncDownload
from django_stream_zip.checksums import CachedChecksums
from django_stream_zip.download import Download, Progress
from django_stream_zip.engine.members import unpacked
from django_stream_zip.engine.turns import TURN
from django_stream_zip.members.on_loop import LoopContent
from django_stream_zip.naming import named
from django_stream_zip.plan import Plan
from django_stream_zip.threads import Threaded

# Under ASGI one processor is left to the event loop: with eight downloads that deflate on two of
# them, it was late by 35 ms in one of a hundred cases, and without them by 3.
_TURNS: Final = BoundedSemaphore(max(1, (os.cpu_count() or 1) - 1))


def zip_response(
    request: HttpRequest,
    members: AnyMembers,
    *,
    filename: str = "archive.zip",
    password: str | None = None,
) -> HttpResponseBase:
    """Answer a request with the ZIP archive of `members`, to be saved as `filename`.

    A sequence of members of which none is compressed has a Content-Length. If their contents can be
    read again (those that the builders in `members` make) it also has an entity tag and ranges, so
    that an interrupted download can be resumed. A HEAD request gets the headers only. With a
    `password` all members are encrypted (AES-256), which leaves the length but no ranges.

    `members` may be an asynchronous iterable, or a sequence with asynchronous contents: then the
    archive is made on the event loop, and the request has to come through ASGI.

    Names are made safe, and unique without regard to case: see `engine.names`.

    Raises ZipValueError and TypeError where the members can't be written, if that is known before;
    ImproperlyConfigured where asynchronous members meet WSGI.
    """
    misuse.check_request(request, members)
    misuse.check_members(members)
    misuse.check_filename(filename)
    members = named(members)
    if isinstance(request, WSGIRequest) and isinstance(members, Sequence):
        members = [_synchronous(member) for member in members]
    plan = None
    if isinstance(members, Sequence):
        plan = Plan.of(members, encrypted=password is not None)
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
    if not _is_async(members):
        return Download(progress, cast(Iterable[MemberFile], members), password)
    if isinstance(request, WSGIRequest):
        # To stream them, WSGI's thread would have to run an event loop of its own between the
        # blocks, another one than that in which the view made its clients and sessions.
        raise ImproperlyConfigured(
            "asynchronous members need ASGI, and this request came through WSGI: "
            "give synchronous ones, which stream under both"
        )
    return AsyncDownload(progress, members, password)


def _synchronous(member: Any) -> Any:
    """Give the member with a content for WSGI, if its own is for an event loop too."""
    *opening, content = unpacked(member)
    return (*opening, content.synchronous) if isinstance(content, LoopContent) else member


def _is_async(members: AnyMembers) -> bool:
    if hasattr(members, "__aiter__"):
        return True
    return isinstance(members, Sequence) and any(
        hasattr(unpacked(member)[4], "__aiter__") for member in members
    )


def _conditional(request: HttpRequest, response: ZipResponse, entity_tag: str) -> HttpResponseBase:
    """Evaluate what the request demands of the entity tag, then its range (RFC 9110 §13.2.2)."""
    answer: HttpResponseBase | None = get_conditional_response(
        _without_dates(request),
        etag=entity_tag,
        response=response,  # type: ignore[arg-type]  # only its headers are looked at
    )
    if answer is not None and answer is not response:
        return answer
    if request.method != "GET":  # §14.2: a range is for GET only
        return response
    length = int(response.headers["Content-Length"])
    wanted = ranges.requested_range(request.headers.get("Range"), length)
    if wanted is not None and CachedChecksums().is_distrusted(entity_tag):
        return response
    if wanted is None or not ranges.if_range_holds(request.headers.get("If-Range"), entity_tag):
        return response
    if isinstance(wanted, ranges.Unsatisfiable):
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{length}"})
    response.narrow(wanted)
    return response


def _without_dates(request: HttpRequest) -> HttpRequest:
    """Give the request without conditions on a Last-Modified, which an archive hasn't got.

    They are to be ignored then (RFC 9110 §13.1.3 and §13.1.4); Django would answer 412 to one.
    """
    dates = {"HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"}
    bare = copy(request)
    bare.META = {key: value for key, value in request.META.items() if key not in dates}
    return bare


class ZipResponse(StreamingHttpResponse):
    """Sends a download, under ASGI too though it is a synchronous iterable."""

    def __init__(self, download: Download | AsyncDownload, **kwargs: Any) -> None:
        kwargs.setdefault("content_type", "application/zip")
        self.download = download
        super().__init__(download, **kwargs)
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

    def has_header(self, header: str) -> bool:
        """Say whether there is such a header, and that Content-Encoding is settled.

        GZipMiddleware asks for that one: it would compress the archive again, take its length away
        and weaken its entity tag. Sending `Content-Encoding: identity` is what RFC 9110 §8.4.1
        advises against.
        """
        return header.lower() == "content-encoding" or super().has_header(header)

    __contains__ = has_header

    def close(self) -> None:
        """Close what is open, once: Django's own would send `request_finished` each time."""
        if not self.closed:
            super().close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the blocks to an ASGI server.

        Synchronous ones too: Django would make a list of all of them first.
        """
        TURN.set(_TURNS)
        content: Any = self.streaming_content
        blocks = aiter(content) if self.is_async else Threaded(content)
        try:
            async for block in blocks:
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
