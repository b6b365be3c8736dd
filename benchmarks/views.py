"""The views of the site: archives by every engine from the same files, and the files alone."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils import timezone

from benchmarks import album_views
from benchmarks.engines import stream_zip as reference
from benchmarks.engines.engine import AsyncChunks, How
from benchmarks.engines.zipstream_ng import ZipstreamNg
from benchmarks.files import CHUNK_LENGTH, Repeated
from benchmarks.films import SAMPLES, films, plain_chunks
from benchmarks.package import named
from benchmarks.samples import MIB
from django_stream_zip.members import file_member
from django_stream_zip.response import zip_response

STORED = How(compress=False)
build_member = named("django_stream_zip.members.build.build_member")


def ours(request: HttpRequest, count: int) -> Any:
    """Answer by the package, as its README does."""
    return zip_response(request, [file_member(path) for path in SAMPLES.films()[:count]])


def ours_async(request: HttpRequest, count: int) -> Any:
    """The same with contents that are asynchronous."""
    return zip_response(request, _asynchronous(SAMPLES.films()[:count]))


def stream_zip(request: HttpRequest, count: int) -> Any:
    """Answer by stream-zip in a plain response."""
    from stream_zip import stream_zip

    members = reference.StreamZip().members(films()[:count], STORED)
    return StreamingHttpResponse(stream_zip(members), content_type="application/zip")


def zipstream_ng(request: HttpRequest, count: int) -> Any:
    """Answer by zipstream-ng in a plain response."""
    from zipstream import ZipStream

    archive = ZipStream()
    for name, size, data in ZipstreamNg().members(films()[:count], STORED):
        archive.add(data, name, size=size)
    return StreamingHttpResponse(archive, content_type="application/zip")


def plain(request: HttpRequest, count: int) -> Any:
    """Answer with the same files, one after the other, no archive."""
    return StreamingHttpResponse(plain_chunks(count), content_type="application/octet-stream")


def deflated(request: HttpRequest, kind: str) -> Any:
    """Answer with eight tables to be deflated."""
    names = [f"payments-{number}.csv" for number in range(8)]
    members = [file_member(SAMPLES.payments(), name) for name in names]
    if kind == "async":
        members = [(*rest, AsyncChunks(content)) for *rest, content in members]  # type: ignore[misc]
    return zip_response(request, members)


def zeros(request: HttpRequest, kind: str) -> Any:
    """Answer with 8 GiB of zeros."""
    content = _Zeros()
    is_deflated = kind == "deflated"
    modified_at = timezone.now()
    one = build_member("zeros.bin", modified_at, 0o100644, is_deflated, content)
    return zip_response(request, [one])


class _Zeros(Repeated):
    size = 8192 * MIB
    crc_32 = None
    validator = None
    identity = "zeros"

    def __init__(self) -> None:
        super().__init__([bytes(CHUNK_LENGTH)], self.size // CHUNK_LENGTH)


def process(request: HttpRequest) -> HttpResponse:
    """Tell which process answers, and how long it has worked."""
    return JsonResponse({"pid": os.getpid(), "cpu_seconds": time.process_time()})


async def ping(request: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("pong")


urlpatterns = [
    path("<str:engine>/<str:album>/<int:count>/", album_views.answer),
    path("ours/<int:count>/", ours),
    path("ours-async/<int:count>/", ours_async),
    path("stream-zip/<int:count>/", stream_zip),
    path("zipstream-ng/<int:count>/", zipstream_ng),
    path("plain/<int:count>/", plain),
    path("deflated/<str:kind>/", deflated),
    path("zeros/<str:kind>/", zeros),
    path("process/", process),
    path("ping/", ping),
]


async def _asynchronous(paths: list[Path]) -> AsyncIterator[Any]:
    for film in paths:
        *rest, content = file_member(film)
        yield *rest, AsyncChunks(content)
