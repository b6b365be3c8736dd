"""A site that makes the archive which the query string describes, as JSON.

========== =====================================================================================
`files`    a list of objects with `name`, and `size`, `crc`, `at`, `validator` where a row would
           know them
`shape`    see SHAPES
`builder`  see BUILDERS
`async`    whether contents are asynchronous
`password` or null
`fail`     how the content of the last member ends half-way: see ENDINGS; or null
========== =====================================================================================
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.storage import FileSystemStorage
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import path

from django_stream_zip.delivery.checksums import CachedChecksums
from django_stream_zip.members import async_member, file_member, storage_member
from django_stream_zip.response import zip_response
from tests.chaos.tables import ENDINGS, POISON, SHAPES
from tests.servers.site import DATA, LEDGERS, open_files, thread_names
from tests.support.clients import s3
from tests.support.object_store import BUCKET

_stack = ExitStack()


class FlakyCache(LocMemCache):
    """A cache that nobody shares, and that fails every other time."""

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        fail_sometimes()
        return super().get_many(*args, **kwargs)

    def set_many(self, *args: Any, **kwargs: Any) -> Any:
        fail_sometimes()
        return super().set_many(*args, **kwargs)


def fail_sometimes() -> None:
    if random.random() < 0.5:
        raise ConnectionError("the cache server has gone")


class OpenedStorage(FileSystemStorage):
    """A storage of the site's own: it is read through `open()`."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        return super()._open(name, mode)


@cache
def bucket() -> Any:
    return _stack.enter_context(s3(os.environ["CHAOS_S3"], BUCKET))


@cache
def directory(kind: type[FileSystemStorage]) -> FileSystemStorage:
    return kind(location=DATA)


BUILDERS: dict[str, Callable[..., Any]] = {
    "file": lambda name, **known: file_member(DATA / name, name, **known),
    "storage": lambda name, **known: storage_member(
        directory(FileSystemStorage), name, name, **known
    ),
    "open": lambda name, **known: storage_member(directory(OpenedStorage), name, name, **known),
    "s3": lambda name, **known: storage_member(bucket(), name, name, **known),
}

PARAMETERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "crc": ("crc_32", int),
    "size": ("size", int),
    "validator": ("validator", str),
    "at": ("modified_at", lambda seconds: datetime.fromtimestamp(seconds, UTC)),
}


class AsyncContent:
    """A content for `async for`. What ends badly says that it is remote, to be fetched ahead."""

    def __init__(self, content: Any, ending: str | None) -> None:
        self.size, self.crc_32 = content.size, content.crc_32
        self.identity, self.validator = content.identity, content.validator
        self.is_remote = ending is not None
        self._content = content
        self._ending = ending and ENDINGS[ending]

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        position = start
        for chunk in self._content.chunks(start, stop):
            position += len(chunk)
            if self._ending and position > self.size // 2:
                raise self._ending
            await asyncio.sleep(0)
            yield chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()


def member(wanted: dict[str, Any], number: int) -> Any:
    declared, compress = SHAPES[wanted["shape"]]
    file = wanted["files"][number]
    known = {PARAMETERS[key][0]: PARAMETERS[key][1](file[key]) for key in declared if key in file}
    made = BUILDERS[wanted["builder"]](file["name"], compress=compress(number), **known)
    if not wanted["async"]:
        return made
    is_last = number == len(wanted["files"]) - 1
    ending = wanted["fail"] if is_last else None
    if wanted["builder"] == "s3" and ending is None:
        return async_member(made)
    *opening, content = made
    return (*opening, AsyncContent(content, ending))


def members(wanted: dict[str, Any]) -> Iterator[Any]:
    for number in range(len(wanted["files"])):
        yield member(wanted, number)


async def each(members: list[Any]) -> AsyncIterator[Any]:
    for one in members:
        yield one


def archive(request: HttpRequest) -> HttpResponseBase:
    wanted = json.loads(request.GET["wanted"])
    made: Any = members(wanted)
    try:
        if wanted["shape"] != "generator" or wanted["async"]:
            made = list(made)
    except FileNotFoundError as error:
        raise Http404 from error
    if wanted["shape"] == "generator" and wanted["async"]:
        made = each(made)
    return zip_response(
        request, made, filename=f"{wanted['number']}.zip", password=wanted["password"]
    )


def poison(request: HttpRequest) -> HttpResponse:
    """Put something else where the cache has the CRC-32s of the archive's members."""
    wanted = json.loads(request.GET["wanted"])
    value = POISON[int(request.GET["value"])]
    checksums = CachedChecksums()
    try:
        keys = [checksums.key(content) for *_, content in members(wanted)]
    except OSError:  # a file that isn't there
        return HttpResponse("nothing done")
    caches["default"].set_many(dict.fromkeys(keys, value))
    return HttpResponse("done")


def validators(request: HttpRequest) -> JsonResponse:
    """Tell what rows would keep of the files now, to be declared later."""
    wanted = json.loads(request.GET["wanted"])
    make = BUILDERS[wanted["builder"]]
    contents = [make(file["name"])[4] for file in wanted["files"]]
    return JsonResponse({"validators": [content.validator for content in contents]})


def clear(request: HttpRequest) -> HttpResponse:
    caches["default"].clear()
    return HttpResponse("done")


async def debug(request: HttpRequest) -> JsonResponse:
    """Tell what is open, and whose process it is."""
    told = LEDGERS[""]
    return JsonResponse(
        {
            "pid": os.getpid(),
            "files": open_files(),
            "threads": thread_names(),
            "tasks": [task.get_name() for task in asyncio.all_tasks()],
            "started": told.started,
            "finished": len(told.finished),
        }
    )


urlpatterns = [
    path("zip/", archive),
    path("poison/", poison),
    path("validators/", validators),
    path("clear/", clear),
    path("debug/", debug),
]
