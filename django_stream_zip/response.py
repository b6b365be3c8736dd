"""The response: an archive of members over HTTP, streamed under WSGI and ASGI.

`zip_response` decides what the request gets: all bytes, a range, headers only, or that nothing has
changed. `ZipResponse` sends it. Nothing is opened before the first byte is asked for, so a response
that is never read leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _

from django_stream_zip import conf
from django_stream_zip.delivery import disposition, ranges, slots
from django_stream_zip.delivery.async_download import AnyMembers, AsyncDownload
from django_stream_zip.delivery.checksums import CachedChecksums
from django_stream_zip.delivery.cpus import cpu_limiter
from django_stream_zip.delivery.download import Download
from django_stream_zip.delivery.info import ZipInfo, zip_info
from django_stream_zip.delivery.progress import Order
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.streams import make_options
from django_stream_zip.members import misuse
from django_stream_zip.members.build import text
from django_stream_zip.members.ready import all_synchronous, is_async, ready
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.ambient import AsyncAmbientBlocks
from django_stream_zip.prefetch.batches import Threaded

__all__ = ["ZipInfo", "ZipResponse", "zip_info", "zip_response"]


def __dir__() -> list[str]:
    return __all__


_PLAIN: Final = "text/plain; charset=utf-8"


def zip_response(
    request: HttpRequest,
    members: AnyMembers,
    *,
    filename: str = "archive.zip",
    password: str | None = None,
    compress: bool | None = None,
    content_type: str = "application/zip",
    extended_timestamps: bool = True,
    comment: str = "",
) -> HttpResponse:
    """Answer a request with the ZIP archive of `members`.

    A sequence of members of which none is compressed has a Content-Length. If their contents can be
    read again (those that the builders in `members` make) it also has an entity tag and ranges, so
    that an interrupted download can be resumed. A HEAD request gets the headers only.

    Names are made safe, and unique without regard to case: see `engine.names`. Aware times are
    written as the site's clocks show them (TIME_ZONE), for all members alike.

    Members of remote storages are described here, several at a time (DESCRIBE_AT_ONCE): of a
    sequence before the response is returned, else shortly before their turn.

    Args:
        request: What is answered: its method, conditions and range count.
        members: The files. They may be an asynchronous iterable, or a sequence with asynchronous
            contents: then the archive is made on the event loop, and the request has to come
            through ASGI.
        filename: The name that a browser saves the archive under.
        password: Encrypts all members (AES-256), which leaves the length but no ranges.
        compress: What is done with the members that their builder would deflate, where nothing
            else was asked for. None stores them where they are so little of the archive that a
            length is worth more (MAX_GROWTH_BY_STORING), False stores them in any case, True none.
        content_type: The media type, for formats that are ZIPs: "application/epub+zip".
        extended_timestamps: Whether times are also written in seconds since 1970, in a field that
            EPUB forbids for its first member.
        comment: The archive's comment, of at most 65,535 bytes in UTF-8. It isn't encrypted.

    Returns:
        The archive or a range of it, or what a condition demands (304, 412 or 416). Or 503, where
        `MAX_DOWNLOADS` or `MAX_DOWNLOADS_PER_USER` are being sent. It is typed as a HttpResponse,
        as views are; in truth it is any HttpResponseBase, mostly a `ZipResponse`.

    Raises:
        ZipValueError: The members can't be written, if that is known before; so does a TypeError.
        FileNotFoundError: A sequence has a member of a remote storage that isn't there; so does
            what else a storage raises.
        ImproperlyConfigured: Asynchronous members meet WSGI.
    """
    misuse.check_request(request, members)
    misuse.check_filename(filename)
    comment = text(comment)
    options = make_options(text(password), extended_timestamps=extended_timestamps, comment=comment)
    members = ready(members, compress)
    plan = None
    if isinstance(members, Sequence):
        if _is_wsgi(request):
            members = all_synchronous(members)
        plan = Plan.of(
            members,
            encrypted=password is not None,
            extended_timestamps=extended_timestamps,
            comment=comment,
        )
    response = answer(
        request, members, plan, options, filename=str(filename), content_type=content_type
    )
    return cast(HttpResponse, response)


def answer(
    request: HttpRequest,
    members: AnyMembers,
    plan: Plan | None,
    options: Options,
    *,
    filename: str,
    content_type: str = "application/zip",
) -> HttpResponseBase:
    """Answer a request with the archive that is planned, if one is; see `zip_response`."""
    order = Order(request, filename, plan, content_type=content_type)
    checksums = CachedChecksums(plan.unknown(), plan.entity_tag) if plan else CachedChecksums()
    respond = partial(_respond, members, checksums, options)
    return _limited(request, _conditional(order, checksums, respond))


def _limited(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return the response, or 503 if it would send an archive and as many are being sent."""
    if not isinstance(response, ZipResponse) or request.method == "HEAD":
        return response
    release = slots.take(request)
    if release is None:
        return BusyResponse(response.download)
    response.hold(release)
    return response


def _respond(
    members: AnyMembers, checksums: CachedChecksums, options: Options, order: Order
) -> ZipResponse:
    is_wsgi = _is_wsgi(order.request)
    kind: type[Download | AsyncDownload] = AsyncDownload if is_async(members) else Download
    if kind is AsyncDownload and is_wsgi:
        # To stream them, WSGI's thread would have to run an event loop of its own between the
        # blocks, another one than that in which the view made its clients and sessions.
        raise ImproperlyConfigured(
            "asynchronous members need ASGI, and this request came through WSGI: "
            "use synchronous ones, which stream under both"
        )
    if not is_wsgi:
        options = replace(options, limiter=cpu_limiter())
    return ZipResponse(kind(order, members, checksums, options))


def _is_wsgi(request: HttpRequest) -> bool:
    """Return whether a request came through WSGI: then it has an `environ`.

    Its class doesn't show it: Django REST framework wraps it in one that passes on its attributes.
    """
    return hasattr(request, "environ")


def _conditional(
    order: Order, checksums: CachedChecksums, respond: Callable[[Order], ZipResponse]
) -> HttpResponseBase:
    """Evaluate the request's conditions on the entity tag, then its range (RFC 9110 §13.2.2)."""
    response = respond(order)
    if "ETag" not in response.headers:
        return response
    # To be ignored, as an archive has no Last-Modified (RFC 9110 §13.1.4). Django answers 412:
    # here, and in ConditionalGetMiddleware, which sees nothing but the request. So it has to go.
    order.request.META.pop("HTTP_IF_UNMODIFIED_SINCE", None)
    answer: HttpResponseBase | None = get_conditional_response(
        order.request,
        etag=order.entity_tag,
        response=response,  # type: ignore[arg-type]  # only its headers are looked at
    )
    if answer is not None and answer is not response:
        return answer
    content_range = _content_range(order, checksums)
    if content_range is None:
        return response
    if isinstance(content_range, ranges.Unsatisfiable):
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{order.length}"})
    return respond(replace(order, content_range=content_range))


def _content_range(
    order: Order, checksums: CachedChecksums
) -> ranges.Range | ranges.Unsatisfiable | None:
    """Return the range to be sent, None for the whole archive."""
    plan, headers = order.plan, order.request.headers
    assert plan is not None
    assert plan.entity_tag is not None
    if order.request.method != "GET":  # RFC 9110 §14.2: a range is for GET only
        return None
    wanted = ranges.requested_range(headers.get("Range"), plan.length)
    if (
        wanted is None
        or checksums.is_invalid(plan.entity_tag)
        or not ranges.if_range_holds(headers.get("If-Range"), plan.entity_tag)
    ):
        return None
    if isinstance(wanted, ranges.Unsatisfiable):
        return wanted
    # §14.2 allows to ignore a range that costs too much.
    budget = conf.get("MAX_UNSENT_BYTES")
    is_affordable = budget is None or plan.is_within(budget, *wanted, checksums)
    return wanted if is_affordable else None


def _headers(order: Order) -> Iterator[tuple[str, str]]:
    """Yield the headers that say what is sent."""
    yield "Content-Disposition", disposition.attachment(order.filename)
    # An archive of somebody's choice is for nobody else, and no proxy may change its bytes.
    yield "Cache-Control", "private, no-transform"
    if order.length is not None:
        yield "Content-Length", str(order.length)
    if order.entity_tag is not None and order.request.method in {"GET", "HEAD"}:
        yield "ETag", order.entity_tag
        yield "Accept-Ranges", "bytes"
    if order.content_range is not None and order.plan is not None:  # RFC 9110 §15.3.7
        start, stop = order.content_range
        yield "Content-Range", f"bytes {start}-{stop - 1}/{order.plan.length}"


class ZipHeaders(ResponseHeaders):
    """Headers that name "identity" as the Content-Encoding where there is no other.

    GZipMiddleware looks for one: it would compress the archive again, take its length away and
    weaken its entity tag. A lookup finds that the archive isn't encoded; `items()` and iterating
    leave it out, so it isn't sent, which RFC 9110 §8.4.1 advises against.
    """

    def __getitem__(self, key: str) -> str:
        try:
            return super().__getitem__(key)
        except KeyError:
            if key.lower() != "content-encoding":
                raise
            return "identity"


class BusyResponse(HttpResponse):
    """Says that too many downloads are running for this one."""

    def __init__(self, download: Download | AsyncDownload) -> None:
        self.download = download
        text = _("Too many downloads are running. Try again in a moment.")
        headers = {"Retry-After": str(slots.RETRY_AFTER)}
        super().__init__(text, status=503, headers=headers, content_type=_PLAIN)


class ZipResponse(StreamingHttpResponse):
    """Sends a download, under ASGI too though it is a synchronous iterable."""

    def __init__(self, download: Download | AsyncDownload, **kwargs: Any) -> None:
        order = download.order
        kwargs.setdefault("content_type", order.content_type)
        kwargs.setdefault("status", 200 if order.content_range is None else 206)
        self.download = download
        super().__init__(download, **kwargs)
        self.headers = ZipHeaders(self.headers)
        for name, value in _headers(order):
            self.headers[name] = value
        self._release: Callable[[], object] | None = None

    def hold(self, release: Callable[[], object]) -> None:
        """Have something called once: when this is closed, or collected without that."""
        finalizer = weakref.finalize(self, release)
        finalizer.atexit = False
        self._release = finalizer

    def close(self) -> None:
        """Close what is open, once: Django's own would send `request_finished` each time."""
        if not self.closed:
            try:
                super().close()
            finally:
                if self._release is not None:
                    self._release()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks to a WSGI server, without empty ones: to some that is the end."""
        return filter(None, super().__iter__())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the blocks to an ASGI server.

        Synchronous ones too: Django would make a list of all of them first.
        """
        content: Any = self.streaming_content
        if not self.is_async:
            blocks = Threaded(content, defers=self._defers())
            content = AsyncAmbientBlocks(blocks, self.download.ambient.handed_over())
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

    def _defers(self) -> bool:
        """Return whether the blocks defer what may wait: see `prefetch.waiting`.

        Those of a window do; others may have to be deflated. Nobody knows what a middleware does
        that has put an iterator of its own around them.
        """
        iterator = self._iterator  # type: ignore[attr-defined]  # what Django keeps of the blocks
        is_own = isinstance(self.download, Download) and iterator is iter(self.download)
        return is_own and self.download.order.entity_tag is not None

    async def _aclose(self) -> None:
        if isinstance(self.download, AsyncDownload):
            await self.download.aclose()
        await sync_to_async(self.close)()
