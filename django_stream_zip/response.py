"""The response: an archive of members over HTTP, streamed under WSGI and ASGI.

`zip_response` decides what the request gets: all bytes, a range, headers only, or that nothing has
changed. `ZipResponse` sends it. Nothing is opened before the first byte is asked for, so that a
response which somebody throws away leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from django_stream_zip import MemberFile, disposition, ranges
from django_stream_zip.download import Download
from django_stream_zip.plan import Plan

# A batch goes from the request's thread to the event loop when it has so many bytes, or is so many
# seconds old: a hop costs about 0.2 ms, and a slow source must neither wait nor be hard to cancel.
_BATCH_LENGTH: Final = 262144
_BATCH_SECONDS: Final = 0.1


def zip_response(
    request: HttpRequest,
    members: Iterable[MemberFile],
    *,
    filename: str = "archive.zip",
    password: str | None = None,
) -> HttpResponseBase:
    """Answer a request with the ZIP archive of `members`, to be saved as `filename`.

    A sequence of members of which none is compressed has a Content-Length. If their contents can be
    read again (those that the builders in `members` make) it also has an entity tag and ranges, so
    that an interrupted download can be resumed. A HEAD request gets the headers only. With a
    `password` all members are encrypted (AES-256), which leaves the length but no ranges.

    Raises ZipValueError and TypeError where the members can't be written, if that is known before.
    """
    plan = None
    if isinstance(members, Sequence):
        plan = Plan.of(members, encrypted=password is not None)
    download = Download(request, members, filename, password, plan)
    if plan is None:
        return ZipResponse(download)
    response = ZipResponse(download, headers={"Content-Length": str(plan.length)})
    if plan.entity_tag is None:
        return response
    response.headers["ETag"] = plan.entity_tag
    response.headers["Accept-Ranges"] = "bytes"
    if request.method not in {"GET", "HEAD"}:
        return response
    return _conditional(request, response, plan.entity_tag)


def _conditional(request: HttpRequest, response: ZipResponse, entity_tag: str) -> HttpResponseBase:
    """Evaluate what the request demands of the entity tag, then its range (RFC 9110 §13.2.2)."""
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
    if wanted is None or not ranges.if_range_holds(request.headers.get("If-Range"), entity_tag):
        return response
    if isinstance(wanted, ranges.Unsatisfiable):
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{length}"})
    response.narrow(wanted)
    return response


class ZipResponse(StreamingHttpResponse):
    """Sends a download, under ASGI too though it is a synchronous iterable."""

    def __init__(self, download: Download, **kwargs: Any) -> None:
        kwargs.setdefault("content_type", "application/zip")
        self.download = download
        super().__init__(download, **kwargs)
        self.headers["Content-Disposition"] = disposition.attachment(download.filename)
        # An archive of somebody's choice is for nobody else, and no proxy may change its bytes.
        self.headers["Cache-Control"] = "private, no-transform"

    def narrow(self, wanted: ranges.Range) -> None:
        """Send this range only, as 206 (RFC 9110 §15.3.7)."""
        length = int(self.headers["Content-Length"])
        self.status_code = 206
        self.headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{length}"
        self.headers["Content-Length"] = str(wanted.stop - wanted.start)
        self.download.content_range = (wanted.start, wanted.stop)

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
        """Pull the blocks in the request's own thread, in batches.

        Django would make a list of all of them first. It has to be this thread (`thread_sensitive`)
        because database connections belong to it and because `close()` is called in it: from
        another one that could happen while a block is being made.
        """
        blocks: Iterator[bytes] = iter(self.streaming_content)  # type: ignore[arg-type]
        length = 0  # the first block goes out alone, at once
        try:
            while batch := await sync_to_async(_batch)(blocks, length):
                yield batch
                length = _BATCH_LENGTH
        except BaseException:
            # The client has gone, perhaps while a batch is made: this waits for that. Or it is an
            # error, after which Django under ASGI calls neither close() nor request_finished.
            await asyncio.shield(sync_to_async(self.close)())
            raise


def _batch(blocks: Iterator[bytes], length: int) -> bytes:
    """Join blocks until there are `length` bytes or a moment is over; nothing at the end."""
    batch: list[bytes] = []
    deadline = time.monotonic() + _BATCH_SECONDS
    for block in blocks:
        batch.append(block)
        length -= len(block)
        if length <= 0 or time.monotonic() > deadline:
            break
    return b"".join(batch)
