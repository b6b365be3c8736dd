"""The site that the servers run: its settings and its applications, `wsgi` and `asgi`.

The ASGI one answers `/plain/` and `/timer/` before Django does: the first is the floor, the second
says how late the event loop is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from benchmarks import albums, films
from benchmarks.configured import configure
from benchmarks.films import SAMPLES
from benchmarks.lateness import Lateness

configure(SAMPLES.folder)
wsgi = get_wsgi_application()
_django = get_asgi_application()
_lateness = Lateness()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer what has to be Django-free; leave the rest to Django."""
    if scope["path"].startswith("/plain/"):
        await _answer(send, _plain_chunks(*scope["path"].strip("/").split("/")[1:]))
    elif scope["path"] == "/timer/":
        await _answer(send, [json.dumps(_lateness.taken()).encode()])
    else:
        await _django(scope, receive, send)


def _plain_chunks(*place: str) -> Iterable[bytes]:
    """Return the bytes of so many films, or of so many files of an album."""
    *album, count = place
    source: Any = partial(albums.plain_chunks, *album) if album else films.plain_chunks
    chunks: Iterable[bytes] = source(int(count))
    return chunks


async def _answer(send: Any, body: Iterable[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for chunk in body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body"})
