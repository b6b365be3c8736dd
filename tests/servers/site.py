"""A tiny site of archives that can be watched, slowed down and broken, by the query string.

Files are in folders of the directory that the environment variable SITE_DATA names; the tests put
them there. `/folder/<folder>/` is the archive of one, `/async/<folder>/` the same from asynchronous
members. What the query string can say:

=============  =====================================================================================
`token`        under this name `/debug/` tells what came of the request; it is the file name, too
`shape`        what is known before the first byte: `tagged` (length, tag and ranges; the default),
               `sized` (only the length), `deflated` or `generator` (nothing)
`file`         this file only, perhaps one that is not there; may be there several times
`pause`        seconds to wait before each chunk of 64 KiB
`fail`         how the last member's content fails: see FAILURES
`at`           after how many of its bytes
`user`         who asks, of whom MAX_DOWNLOADS_PER_USER are served at a time
=============  =====================================================================================
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.dispatch import receiver
from django.http import HttpRequest, JsonResponse, QueryDict
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.generic import View

from django_stream_zip import NO_COMPRESSION_AUTO, MemberFile
from django_stream_zip.members import file_member
from django_stream_zip.planning.content import Content
from django_stream_zip.response import zip_response
from django_stream_zip.signals import zip_download_finished, zip_download_started
from django_stream_zip.views import AsyncZipDownloadView, ZipDownloadView

DATA = Path(os.environ.get("SITE_DATA", "."))


@dataclass
class Ledger:
    """What came of the requests with one token."""

    requests: list[dict[str, str]] = field(default_factory=list)
    opened: int = 0  # contents
    closed: int = 0
    produced: int = 0  # bytes of contents
    started: int = 0  # signals
    finished: list[dict[str, Any]] = field(default_factory=list)


LEDGERS: defaultdict[str, Ledger] = defaultdict(Ledger)
LOCK = threading.Lock()


def ledger(request: HttpRequest) -> Ledger:
    """Return the ledger of the request's token."""
    return LEDGERS[request.GET.get("token", "")]


@receiver(zip_download_started)
def note_started(request: HttpRequest, **kwargs: Any) -> None:
    """Count one that started."""
    with LOCK:
        ledger(request).started += 1


@receiver(zip_download_finished)
def note_finished(request: HttpRequest, **kwargs: Any) -> None:
    """Note how one ended."""
    with LOCK:
        ledger(request).finished.append(
            {name: kwargs[name] for name in ("completed", "bytes_sent", "content_range", "length")}
        )


class Spoilt:
    """A content that keeps a ledger, takes its time, and fails if it is to: what it consists of."""

    def __init__(self, content: Content, ledger: Ledger, query: QueryDict, fail: str) -> None:
        self.size = content.size
        self.crc_32 = None
        # What isn't as long as it says is found out, and then nobody may resume it for a day.
        self.identity = f"{content.identity} {fail}" if fail in LIES else content.identity
        self.validator = content.validator if query.get("shape", "tagged") == "tagged" else None
        self._content = content
        self._ledger = ledger
        self._pause = float(query.get("pause", 0))
        self._fail = FAILURES.get(fail)
        self._at = int(query.get("at", 0))

    @contextmanager
    def _open(self) -> Iterator[None]:
        with LOCK:
            self._ledger.opened += 1
        try:
            yield
        finally:
            with LOCK:
                self._ledger.closed += 1

    def _given(self, start: int, stop: int | None) -> Iterator[bytes]:
        position = start
        for chunk in self._content.chunks(start, stop):
            given = chunk
            if self._fail and position <= self._at < position + len(chunk):
                given = self._fail(chunk)
            position += len(chunk)
            with LOCK:
                self._ledger.produced += len(given)
            yield given


class Watched(Spoilt):
    """The content for `for`."""

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes of the content."""
        with self._open():
            for chunk in self._given(start, stop):
                time.sleep(self._pause)
                yield chunk

    def __iter__(self) -> Iterator[bytes]:
        """Return all bytes."""
        return self.chunks()


class AsyncWatched(Spoilt):
    """The content for `async for`."""

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield bytes of the content."""
        with self._open():
            for chunk in self._given(start, stop):
                await asyncio.sleep(self._pause)
                yield chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return all bytes."""
        return self.chunks()


def _raising(error: type[Exception]) -> Callable[[bytes], bytes]:
    def fail(chunk: bytes) -> bytes:
        raise error("the test wanted it so")

    return fail


LIES = ("more", "fewer")
FAILURES: dict[str, Callable[[bytes], bytes]] = {
    "OSError": _raising(OSError),
    # gunicorn takes this one for the client's.
    "ConnectionResetError": _raising(ConnectionResetError),
    "ValueError": _raising(ValueError),
    # Django takes this one for a sign that the body can't be iterated asynchronously.
    "TypeError": _raising(TypeError),
    "more": lambda chunk: chunk + b"more",
    "fewer": lambda chunk: chunk[:-1],
}


def folder_members(
    folder: str, query: QueryDict, ledger: Ledger, kind: type[Spoilt] = Watched
) -> list[MemberFile]:
    """Make members of the folder's files as the query says."""
    names = query.getlist("file") or sorted(os.listdir(DATA / folder))
    members: list[MemberFile] = []
    for name in names:
        member_name, modified_at, mode, method, content = file_member(DATA / folder / name)
        fail = query.get("fail", "") if name == names[-1] else ""
        if query.get("shape") != "deflated":
            method = NO_COMPRESSION_AUTO(content.size or 0, content.crc_32)
        watched: Any = kind(content, ledger, query, fail)
        members.append((member_name, modified_at, mode, method, watched))
    return members


class Noting(View):
    """Notes each request in its ledger."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Note one."""
        super().setup(request, *args, **kwargs)
        if user := request.GET.get("user"):
            request.user = SimpleNamespace(pk=user)  # type: ignore[assignment]
        headers = dict(request.headers)
        ledger(request).requests.append({"Method": request.method or "", **headers})

    def get_filename(self) -> str:
        """Return a name by which the tests find the request in the log."""
        return f"{self.request.GET.get('token', 'archive')}.zip"


class Folder(Noting, ZipDownloadView):
    """The archive of a folder."""

    def get_members(self) -> Iterable[MemberFile]:
        """Return a list, except of the shape that has none."""
        query = self.request.GET
        members = folder_members(self.kwargs["folder"], query, ledger(self.request))
        return iter(members) if query.get("shape") == "generator" else members


class AsyncFolder(Noting, AsyncZipDownloadView):
    """The archive of a folder, made on the event loop."""

    async def get_members(self) -> Any:
        """Return a list, except of the shape that has none."""
        query, own = self.request.GET, ledger(self.request)
        members = folder_members(self.kwargs["folder"], query, own, AsyncWatched)
        return each(members) if query.get("shape") == "generator" else members


async def each(members: Iterable[MemberFile]) -> AsyncIterator[MemberFile]:
    """Yield the members to `async for`."""
    for member in members:
        yield member


def function(request: HttpRequest, folder: str) -> HttpResponseBase:
    """Do the same by the function."""
    members = folder_members(folder, request.GET, ledger(request))
    return zip_response(request, members, filename="function.zip")


def open_files() -> list[str]:
    """Name what is open: files, sockets, pipes."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sorted(os.readlink(link) for link in links if os.path.lexists(link))


def thread_names() -> list[str]:
    """Name the threads that are somebody's; the event loop's pool keeps all of its own for ever.

    Python calls those of a server in Rust dummies. They come and go.
    """
    names = [thread.name for thread in threading.enumerate()]
    return sorted(name for name in names if not name.startswith(("asyncio_", "uvloop_", "Dummy-")))


async def debug(request: HttpRequest) -> JsonResponse:
    """Tell what is open, and what came of the requests with the token."""
    with LOCK:
        told = asdict(ledger(request))
    return JsonResponse(
        {
            **told,
            # These return to what they were when downloads are over.
            "files": open_files(),
            "threads": thread_names(),
            "tasks": [task.get_name() for task in asyncio.all_tasks()],
        }
    )


urlpatterns = [
    path("folder/<str:folder>/", Folder.as_view()),
    path("async/<str:folder>/", AsyncFolder.as_view()),
    path("function/<str:folder>/", function),
    path("debug/", debug),
]
