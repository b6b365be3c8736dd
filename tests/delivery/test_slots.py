"""How many downloads are sent at a time: who counts, and when a slot is given back."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory
from django.utils import translation

from django_stream_zip.delivery import slots
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.members import bytes_member
from django_stream_zip.response import zip_response
from django_stream_zip.views import ZipDownloadView

PHOTO = bytes_member(b"x" * 1000, "a.jpg")


@pytest.fixture(autouse=True)
def _nothing_stays() -> Any:
    yield
    gc.collect()
    assert slots._running == {}


@pytest.fixture
def two(settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"MAX_DOWNLOADS": 2}


def ask(method: str = "GET", user: Any = None, members: Any = None, **headers: str) -> Any:
    request = RequestFactory().generic(method, "/", headers=headers)
    request.user = SimpleNamespace(pk=user)
    return zip_response(request, [PHOTO] if members is None else members)


@pytest.mark.usefixtures("two")
def test_one_too_many_is_told_to_come_later() -> None:
    running = [ask(), ask()]
    with translation.override("de"):
        refused = ask()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    assert refused.content.decode().startswith("Es laufen zu viele Downloads.")
    running[0].close()
    running[0].close()
    again = ask()
    assert again.status_code == 200
    assert ask().status_code == 503
    for response in (again, running[1]):
        response.close()


@pytest.mark.usefixtures("two")
def test_one_that_is_prepared_instead_needs_no_slot() -> None:
    class Large(ZipDownloadView):
        export_over = 100

        def get_members(self) -> Any:
            return [PHOTO]

        def get_export_url(self) -> str:
            return "/prepared/"

    running = [ask(), ask()]
    request = RequestFactory().get("/")
    assert Large.as_view()(request).headers["Location"] == "/prepared/"
    assert Large.as_view(export_over=5000)(request).status_code == 503
    for response in running:
        response.close()


@pytest.mark.usefixtures("two")
def test_a_download_that_ends_or_fails_or_is_dropped_gives_its_slot_back() -> None:
    def failing() -> Any:
        yield PHOTO
        raise ValueError("the test wanted it so")

    for _ in range(3):
        for response in (ask(), ask(members=failing())):
            assert response.status_code == 200
            with suppress(ZipDownloadError):
                b"".join(response)
            response.close()
        assert [ask().status_code, ask().status_code] == [200, 200]  # nobody keeps them
        gc.collect()


@pytest.mark.usefixtures("two")
def test_heads_conditions_and_refusals_do_not_count() -> None:
    running = [ask(), ask()]
    tag = running[0].headers["ETag"]
    assert ask("HEAD").status_code == 200
    assert ask(**{"If-None-Match": tag}).status_code == 304
    assert ask(Range="bytes=9999999-").status_code == 416
    assert ask(Range="bytes=5-").status_code == 503
    for response in running:
        response.close()
    heads = [ask("HEAD") for _ in range(3)]
    assert [head.status_code for head in heads] == [200] * 3
    part = ask(Range="bytes=5-")
    assert part.status_code == 206
    part.close()


def test_each_user_has_slots_of_their_own(settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"MAX_DOWNLOADS_PER_USER": 1, "MAX_DOWNLOADS": 4}
    running = [ask(user=1), ask(user=2), ask(), ask()]
    assert [response.status_code for response in running] == [200] * 4
    running.pop().close()
    assert ask(user=1).status_code == 503
    third = ask(user=3)
    assert third.status_code == 200
    assert ask().status_code == 503
    for response in (*running, third):
        response.close()


def test_without_limits_nothing_is_refused() -> None:
    assert {ask().status_code for _ in range(50)} == {200}


@pytest.mark.usefixtures("two")
def test_a_task_that_is_cancelled_gives_its_slot_back() -> None:
    async def cancelled() -> None:
        begun = asyncio.Event()
        response: Any = zip_response(AsyncRequestFactory().get("/"), [PHOTO])

        async def send() -> None:
            async with aclosing(aiter(response)) as blocks:  # as Django does
                async for _ in blocks:
                    begun.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(send())
        await begun.wait()
        assert len(slots._running) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(slots._running) == 0

    asyncio.run(cancelled())
