"""The site that the servers run: its settings and its applications, `wsgi` and `asgi`.

The ASGI one answers `/plain/` and `/timer/` before Django does: the first is the floor, the second
says how late the event loop is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from benchmarks.films import plain_chunks
from benchmarks.lateness import Lateness

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["django_stream_zip"],
    ROOT_URLCONF="benchmarks.views",
    SECRET_KEY="of a site on loopback that lives for seconds",
    USE_TZ=True,
)
wsgi = get_wsgi_application()
_django = get_asgi_application()
_lateness = Lateness()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer what has to be Django-free; leave the rest to Django."""
    if scope["path"].startswith("/plain/"):
        await _answer(send, plain_chunks(int(scope["path"].split("/")[2])))
    elif scope["path"] == "/timer/":
        await _answer(send, [json.dumps(_lateness.taken()).encode()])
    else:
        await _django(scope, receive, send)


async def _answer(send: Any, body: Iterable[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for chunk in body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body"})
