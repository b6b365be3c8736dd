"""What middleware sets for a request is there while its archive is made, and nowhere afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import (
    ThreadSensitiveContext,
    async_to_sync,
    iscoroutinefunction,
    markcoroutinefunction,
    sync_to_async,
)
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from django.utils import timezone, translation

from django_stream_zip import ZIP_64
from django_stream_zip.prefetch import ambient
from django_stream_zip.response import zip_response
from tests.support.contents import MODE, TIME

pytestmark = pytest.mark.urls(__name__)

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
Seen = list[tuple[str, str, str]]
seen: Seen = []
threads: set[int] = set()
EXPECTED = ("acme", "de", "Asia/Tokyo")
NOBODY = ("nobody", "en-us", "UTC")


def surroundings() -> tuple[str, str, str]:
    return tenant.get(), translation.get_language() or "", timezone.get_current_timezone_name()


def look() -> None:
    seen.append(surroundings())


def look_in_thread() -> None:
    threads.add(threading.get_ident())
    look()


def begin() -> Any:
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    return tenant.set("acme")


def end(token: Any) -> None:
    tenant.reset(token)
    timezone.deactivate()
    translation.deactivate()


def sync_middleware(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        token = begin()
        try:
            response: HttpResponseBase = get_response(request)
            return response
        finally:
            end(token)

    return middleware


class AsyncMiddleware:
    """The same for an asynchronous view."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Any) -> None:
        assert iscoroutinefunction(get_response)
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        token = begin()
        try:
            return await self.get_response(request)
        finally:
            end(token)


# Contents that look around: when they are opened, at each chunk, and when they are closed.


class Content:
    is_remote = False

    def __iter__(self) -> Iterator[bytes]:
        look()
        try:
            for _ in range(3):
                look()
                yield b"x" * 1000
        finally:
            look()


class RemoteContent(Content):
    is_remote = True


class BridgingContent(Content):
    """Asks something asynchronous, which asks something synchronous."""

    def __iter__(self) -> Iterator[bytes]:
        async_to_sync(sync_to_async(look))()
        look()
        yield b"x"


class AsyncContent:
    is_remote = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        look()
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                look()
                await sync_to_async(look_in_thread)()
                look()
                yield b"x" * 1000
        finally:
            look()


class AsyncRemoteContent(AsyncContent):
    is_remote = True


class SettingContent(Content):
    """Sets what it finds: nobody outside of its download may see that."""

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(3):
            look()
            tenant.set("acme")  # as it is
            leaking.set("leaked")
            yield b"x"


leaking: ContextVar[str] = ContextVar("leaking", default="clean")


def member(content: Any, number: int = 0) -> Any:
    return f"{number}.txt", TIME, MODE, ZIP_64, content


def generated(contents: Iterable[Any]) -> Iterator[Any]:
    look()
    try:
        for number, content in enumerate(contents):
            look()
            yield member(content, number)
    finally:
        look()


async def agenerated(contents: Iterable[Any]) -> AsyncIterator[Any]:
    look()
    try:
        for number, content in enumerate(contents):
            await sync_to_async(look_in_thread)()
            look()
            yield member(content, number)
    finally:
        look()


SYNC: dict[str, Callable[[], Any]] = {
    "list": lambda: [member(Content())],
    "generator": lambda: generated([Content(), RemoteContent(), Content(), RemoteContent()]),
    "bridge": lambda: [member(BridgingContent())],
    "setting": lambda: [member(SettingContent())],
}
ASYNC: dict[str, Callable[[], Any]] = {
    "asynchronous list": lambda: [member(AsyncContent()), member(AsyncRemoteContent(), 1)],
    "asynchronous generator": lambda: agenerated(
        [AsyncContent(), RemoteContent(), AsyncRemoteContent(), Content(), RemoteContent()]
    ),
}
WAYS = SYNC | ASYNC


def view(request: HttpRequest, way: str) -> HttpResponseBase:
    return zip_response(request, WAYS[way]())


async def async_view(request: HttpRequest, way: str) -> HttpResponseBase:
    return zip_response(request, WAYS[way]())


urlpatterns = [path("view/<way>", view), path("async_view/<way>", async_view)]


# How it is served.


@pytest.fixture(autouse=True)
def _connections_of_other_tests() -> Iterator[None]:
    """Leave them open, as Django's test client does."""
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in ends:
        signal.connect(close_old_connections)


def by_wsgi(url: str) -> bytes:
    def start_response(status: str, headers: Any) -> None:
        assert status.startswith("200")

    response: Any = WSGIHandler()(RequestFactory()._base_environ(PATH_INFO=url), start_response)
    try:
        assert surroundings() == NOBODY
        return b"".join(response)
    finally:
        response.close()


def by_client(url: str) -> bytes:
    response: Any = Client().get(url)
    assert surroundings() == NOBODY
    data = b"".join(response.streaming_content)
    response.close()
    return data


async def asgi(url: str) -> bytes:
    scope = {
        "type": "http",
        "method": "GET",
        "path": url,
        "headers": [],
        "query_string": b"",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    served = ApplicationCommunicator(ASGIHandler(), scope)
    await served.send_input({"type": "http.request", "body": b""})
    start = await served.receive_output(20)
    assert start["status"] == 200
    data = b""
    while (message := await served.receive_output(20)) and message.get("more_body"):
        data += message["body"]
    await served.wait(20)
    return data


def by_asgi(url: str) -> bytes:
    return asyncio.run(asgi(url))


def by_async_client(url: str) -> bytes:
    async def ask() -> bytes:
        response: Any = await AsyncClient().get(url)
        assert surroundings() == NOBODY
        data = b"".join([block async for block in response])
        assert surroundings() == NOBODY
        assert leaking.get() == "clean"
        return data

    return asyncio.run(ask())


WSGI = [by_wsgi, by_client]
ASGI = [by_asgi, by_async_client]
MIDDLEWARES = [f"{__name__}.sync_middleware", f"{__name__}.AsyncMiddleware"]
CASES = [
    pytest.param(ask, how, middleware, way, id=f"{ask.__name__} {how} {middleware[-15:]} {way}")
    for ask in [*WSGI, *ASGI]
    for how in ["view", "async_view"]
    for middleware in MIDDLEWARES
    for way in (SYNC if ask in WSGI else WAYS)
]


@pytest.mark.parametrize(("ask", "how", "middleware", "way"), CASES)
def test_members_and_contents_find_what_the_view_found(
    ask: Callable[[str], bytes], how: str, middleware: str, way: str, settings: Any
) -> None:
    settings.MIDDLEWARE = [middleware]
    seen.clear()
    finished: list[int] = []

    def note(**values: Any) -> None:
        finished.append(threading.get_ident())

    threads.clear()
    request_finished.connect(note)
    try:
        data = ask(f"/{how}/{way}")
    finally:
        request_finished.disconnect(note)
    assert b"PK\x05\x06" in data
    assert set(seen) == {EXPECTED}
    assert surroundings() == NOBODY
    assert leaking.get() == "clean"
    if ask is by_asgi:  # database connections are that thread's
        assert threads <= set(finished)


# What is expected of asgiref: the names that `ambient` uses of it aren't documented.


def in_copied_context(look: Callable[[], Any], prepared: Callable[[Context], object]) -> Any:
    """Look from another thread, in a copy of this context that was prepared there."""
    context, found = copy_context(), []

    def run() -> None:
        context.run(prepared, context.copy())
        found.append(context.run(look))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_a_local_of_asgiref_is_brought_to_another_thread() -> None:
    local = Local()
    local.value = "mine"
    found = in_copied_context(lambda: getattr(local, "value", None), ambient._restore)
    assert found == "mine", "asgiref has no _restore_context any more, or it does something else"


def test_so_are_the_language_and_the_time_zone() -> None:
    with translation.override("de"), timezone.override("Asia/Tokyo"):
        assert in_copied_context(surroundings, ambient._restore)[1:] == EXPECTED[1:]
        assert ambient.carried()(surroundings)[1:] == EXPECTED[1:]


def test_the_ways_to_the_thread_of_synchronous_code_are_known() -> None:
    thread_sensitive, deadlock = ambient._ROUTES
    assert isinstance(thread_sensitive, ContextVar)
    assert isinstance(deadlock, ContextVar)
    assert thread_sensitive.name == "thread_sensitive_context"
    assert deadlock.name == "deadlock_context"
    assert isinstance(ambient._EXECUTORS, Local)


def test_under_async_to_sync_synchronous_code_goes_to_the_thread_that_the_executors_name() -> None:
    async def name() -> tuple[object, int]:
        executor = getattr(ambient._EXECUTORS, "current", None)
        return executor, await sync_to_async(threading.get_ident)()

    executor, thread = async_to_sync(name)()
    assert executor is not None
    assert thread == threading.get_ident()
    assert getattr(ambient._EXECUTORS, "current", None) is None


def test_an_async_scope_has_a_thread_of_its_own_and_says_so_by_the_context() -> None:
    async def threads_of_scopes() -> list[int]:
        found = []
        for _ in range(2):
            async with ThreadSensitiveContext() as scope:
                assert ambient._ROUTES[0].get() is scope
                found.append(await sync_to_async(threading.get_ident)())
                assert await sync_to_async(threading.get_ident)() == found[-1]
            assert ambient._ROUTES[0].get(None) is None
        return found

    assert threading.get_ident() not in asyncio.run(threads_of_scopes())
