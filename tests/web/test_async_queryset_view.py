"""The view of a queryset under ASGI: the same rows, selections and refusals; names by a method."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client
from django.urls import path

from django_stream_zip.views import AsyncQuerySetZipDownloadView, QuerySetZipDownloadView
from tests.models import Document
from tests.support.counting import CountingStorage
from tests.support.readers import read_zipfile
from tests.support.rows import content_of, make_known_document

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

OPTIONS: dict[str, Any] = {"model": Document, "filename": "documents.zip"}


class Numbered:
    """Names members in its own way, and by the request."""

    request: Any

    def get_member_name(self, instance: Document, stored_name: str) -> str:
        return f"{self.request.GET.get('in', 'all')}/{instance.title}-{stored_name}"


class NamedView(Numbered, QuerySetZipDownloadView):
    pass


class AsyncNamedView(Numbered, AsyncQuerySetZipDownloadView):
    pass


class OfUser(LoginRequiredMixin, AsyncQuerySetZipDownloadView):
    raise_exception = True


class ByTitle(QuerySetZipDownloadView):
    def get_member_name(self, instance: Document) -> str:  # type: ignore[override]
        return f"{instance.title}.txt"


urlpatterns = [
    path("all", AsyncQuerySetZipDownloadView.as_view(**OPTIONS)),
    path("chosen", AsyncQuerySetZipDownloadView.as_view(ids_param="ids", **OPTIONS)),
    path("limited", AsyncQuerySetZipDownloadView.as_view(member_options={"limit": 1}, **OPTIONS)),
    path("of-user", OfUser.as_view(**OPTIONS)),
    path("named", NamedView.as_view(**OPTIONS)),
    path("async-named", AsyncNamedView.as_view(**OPTIONS)),
    path("by-title", ByTitle.as_view(**OPTIONS)),
]


@pytest.fixture
def documents(storage: CountingStorage) -> list[Document]:
    return [make_known_document(storage, title) for title in "abc"]


def on_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """Run a test on an event loop; what it has done in a thread is done in this one."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async_to_sync(test)(*args, **kwargs)

    return run


async def files_of(response: Any) -> dict[str, bytes]:
    assert response.status_code == 200, response.content
    return read_zipfile(b"".join([block async for block in response]))


@on_loop
async def test_all_rows_are_sent_and_the_view_is_asynchronous(documents: list[Document]) -> None:
    assert iscoroutinefunction(AsyncQuerySetZipDownloadView.as_view(**OPTIONS))
    files = await files_of(await AsyncClient().get("/all"))
    assert files == {f"{title}.pdf": content_of(title) for title in "abc"}
    head = await AsyncClient().head("/all")
    assert (head.status_code, int(head.headers["Content-Length"]) > 0) == (200, True)
    assert (await AsyncClient().post("/all")).status_code == 405


@on_loop
async def test_a_selection_is_posted_and_resumed(documents: list[Document]) -> None:
    client = AsyncClient()
    response = await client.post("/chosen?x=1", {"ids": [documents[0].pk, documents[2].pk]})
    assert response.status_code == 303
    link = f"/chosen{response.headers['Location']}"
    whole = await client.get(link)
    data = b"".join([block async for block in whole])
    assert read_zipfile(data).keys() == {"a.pdf", "c.pdf"}
    headers = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
    part = await client.get(link, headers=headers)
    assert (part.status_code, b"".join([block async for block in part])) == (206, data[100:])


@on_loop
async def test_refusals_are_those_of_the_other_view(documents: list[Document]) -> None:
    client = AsyncClient()
    assert (await client.get("/chosen")).status_code == 404
    assert (await client.get("/chosen?ids=999999")).status_code == 404
    assert (await client.post("/chosen", {"ids": ["999999"]})).status_code == 404
    assert (await client.get("/limited")).status_code == 413
    assert (await client.get("/of-user")).status_code == 403


@pytest.mark.parametrize("url", ["/named", "/async-named"])
@on_loop
async def test_a_method_names_members(documents: list[Document], url: str) -> None:
    files = await files_of(await AsyncClient().get(f"{url}?in=b"))
    assert files == {f"b/{row.title}-{row.file.name}": content_of(row.title) for row in documents}


def test_a_method_may_take_the_instance_alone(documents: list[Document]) -> None:
    assert read_zipfile(Client().get("/by-title").getvalue()).keys() == {
        "a.txt",
        "b.txt",
        "c.txt",
    }


@pytest.mark.parametrize("view", [NamedView, AsyncNamedView])
def test_members_have_one_way_of_naming(view: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="get_member_name names members"):
        view.as_view(member_options={"name": "title"}, **OPTIONS)


def test_wrong_options_are_refused_when_the_view_is_made() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"AsyncQuerySet.* no option 'nme'"):
        AsyncQuerySetZipDownloadView.as_view(member_options={"nme": "title"}, **OPTIONS)
    with pytest.raises(ImproperlyConfigured, match="selection_max_age must be"):
        AsyncQuerySetZipDownloadView.as_view(selection_max_age=0, **OPTIONS)
