"""The response: an archive of members, streamed under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse

from django_stream_zip import MemberFile, disposition, stream_zip

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
) -> ZipResponse:
    """Answer a request with the ZIP archive of `members`, to be saved as `filename`.

    A HEAD request gets the headers only. With a `password` all members are encrypted (AES-256).
    """
    blocks: Iterable[bytes] = ()
    if request.method != "HEAD":
        blocks = stream_zip(members, password=password)
    return ZipResponse(blocks, filename=filename)


class ZipResponse(StreamingHttpResponse):
    """Streams the blocks of an archive, under ASGI too, from a synchronous iterable."""

    def __init__(self, blocks: Iterable[bytes] = (), *, filename: str, **kwargs: Any) -> None:
        kwargs.setdefault("content_type", "application/zip")
        super().__init__(blocks, **kwargs)
        self.headers["Content-Disposition"] = disposition.attachment(filename)
        # An archive of somebody's choice is for nobody else, and no proxy may change its bytes.
        self.headers["Cache-Control"] = "private, no-transform"

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
        except Exception:
            # After an error Django calls neither close() nor request_finished under ASGI.
            await sync_to_async(self.close)()
            raise
        except BaseException:
            # The client has gone, perhaps while a batch is made: this waits for that.
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
