"""The views: methods, hooks, missing files, and Django's mixins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import (
    LoginRequiredMixin,
    PermissionRequiredMixin,
    UserPassesTestMixin,
)
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.urls import path
from django.utils.asyncio import async_unsafe
from django.utils.decorators import method_decorator
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from django.views import View

from django_stream_zip import MemberFile, stream_zip, views
from django_stream_zip.members import bytes_member, file_member
from django_stream_zip.views import AsyncZipDownloadView, ZipDownloadView
from tests.support.readers import assert_reads

pytestmark = pytest.mark.urls(__name__)

ARCHIVE = b"".join(stream_zip([bytes_member(b"photo 1", "photo.jpg")]))


class AlbumView(ZipDownloadView):
    """What a user writes."""

    filename = "album.zip"

    def get_members(self) -> Iterable[MemberFile]:
        return [bytes_member(b"photo %d" % self.kwargs["number"], "photo.jpg")]


class AsyncAlbumView(AsyncZipDownloadView):
    """The same, asynchronous."""

    filename = "album.zip"

    async def get_members(self) -> Iterable[MemberFile]:
        await asyncio.sleep(0)
        return [bytes_member(b"photo %d" % self.kwargs["number"], "photo.jpg")]


class MissingView(ZipDownloadView):
    """Finds out that a file is missing."""

    def get_members(self) -> Iterable[MemberFile]:
        return [file_member("/secret/place/missing.jpg")]


class AsyncMissingView(AsyncZipDownloadView):
    """The same, asynchronous."""

    async def get_members(self) -> Iterable[MemberFile]:
        return [file_member("/secret/place/missing.jpg")]


class ForbiddenView(ZipDownloadView):
    """May not read what it should."""

    def get_members(self) -> Iterable[MemberFile]:
        raise PermissionError("/secret/place")


class GeneratorView(ZipDownloadView):
    """Makes its members one by one."""

    def get_members(self) -> Iterable[MemberFile]:
        yield bytes_member(b"photo 1", "photo.jpg")


class AsyncGeneratorView(AsyncZipDownloadView):
    """The same, asynchronous."""

    async def get_members(self) -> AsyncIterator[Any]:
        async def members() -> AsyncIterator[Any]:
            yield bytes_member(b"photo 1", "photo.jpg")

        return members()


class EmptyView(ZipDownloadView):
    """Finds nothing."""

    def get_members(self) -> Iterable[MemberFile]:
        return []


class AsyncEmptyView(AsyncZipDownloadView):
    """Finds nothing either."""

    async def get_members(self) -> Iterable[MemberFile]:
        return ()


class NoneGeneratedView(ZipDownloadView):
    """Will give nothing."""

    def get_members(self) -> Iterable[MemberFile]:
        yield from ()


class PrivateView(LoginRequiredMixin, AlbumView):
    """For users only."""


class HookedView(AlbumView):
    """Overrides what can be overridden."""

    def get_filename(self) -> str:
        return f"album {self.kwargs['number']} of {self.request.GET['of']}.zip"

    def get_password(self) -> str | None:
        return self.request.GET["password"]


urlpatterns = [
    path("albums/<int:number>", AlbumView.as_view()),
    path("async/<int:number>", AsyncAlbumView.as_view()),
    path("hooked/<int:number>", HookedView.as_view()),
    path("named/<int:number>", AlbumView.as_view(filename="named.zip")),
    path("locked/<int:number>", AlbumView.as_view(password="secret")),
    path("missing/sync", MissingView.as_view()),
    path("missing/async", AsyncMissingView.as_view()),
    path("forbidden", ForbiddenView.as_view()),
    path("generated/sync", GeneratorView.as_view()),
    path("generated/async", AsyncGeneratorView.as_view()),
    path("empty/sync", EmptyView.as_view()),
    path("empty/async", AsyncEmptyView.as_view()),
    path("empty/sync/wanted", EmptyView.as_view(allow_empty=True)),
    path("empty/async/wanted", AsyncEmptyView.as_view(allow_empty=True)),
    path("empty/generated", NoneGeneratedView.as_view()),
    path("private/<int:number>", PrivateView.as_view()),
]


def get(url: str, method: str = "get", **headers: str) -> Any:
    return getattr(Client(), method)(url, headers=headers)


def async_get(url: str, method: str = "get", **headers: str) -> tuple[Any, bytes]:
    async def read() -> tuple[Any, bytes]:
        response: Any = await getattr(AsyncClient(), method)(url, headers=headers)
        if not response.streaming:
            return response, response.content
        return response, b"".join([block async for block in response])

    return asyncio.run(read())


BOTH = pytest.mark.parametrize("url", ["/albums/1", "/async/1"])


@BOTH
def test_get_is_answered_with_the_archive(url: str) -> None:
    response = get(url)
    assert response.status_code == 200
    assert response.getvalue() == ARCHIVE
    assert response.headers["Content-Disposition"] == 'attachment; filename="album.zip"'


@BOTH
def test_get_under_asgi_is_answered_with_the_same(url: str) -> None:
    response, data = async_get(url)
    assert response.status_code == 200
    assert response.headers == get(url).headers
    assert data == ARCHIVE


@BOTH
def test_a_range_is_answered_with_that_part(url: str) -> None:
    response = get(url, Range="bytes=4-7")
    assert response.status_code == 206
    assert response.getvalue() == async_get(url, Range="bytes=4-7")[1] == ARCHIVE[4:8]


@BOTH
def test_head_is_answered_with_the_headers_of_get(url: str) -> None:
    response = get(url, "head")
    assert response.headers == get(url).headers
    assert b"".join(response.streaming_content) == b""
    assert async_get(url, "head")[1] == b""


@BOTH
def test_the_two_methods_there_are_are_named_by_options(url: str) -> None:
    response = get(url, "options")
    assert response.status_code == 200
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


@BOTH
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_any_other_method_is_not_allowed(
    url: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert get(url, method).status_code == 405
    assert async_get(url, method)[0].status_code == 405


def test_arguments_of_the_url_are_there_for_get_members() -> None:
    assert_reads(get("/albums/7").getvalue(), {"photo.jpg": b"photo 7"}, only=["zipfile"])


def test_file_name_and_password_can_be_overridden() -> None:
    response = get("/hooked/7?of=9&password=secret")
    assert response.headers["Content-Disposition"] == 'attachment; filename="album 7 of 9.zip"'
    assert "ETag" not in response.headers
    archive = response.getvalue()
    assert len(archive) == int(response.headers["Content-Length"])
    assert_reads(archive, {"photo.jpg": b"photo 7"}, password="secret", only=["pyzipper"])


def test_file_name_and_password_can_be_given_in_the_urlconf() -> None:
    assert 'filename="named.zip"' in get("/named/1").headers["Content-Disposition"]
    archive = get("/locked/1").getvalue()
    assert_reads(archive, {"photo.jpg": b"photo 1"}, password="secret", only=["pyzipper"])


@pytest.mark.parametrize("view", [ZipDownloadView, AsyncZipDownloadView])
@pytest.mark.parametrize(
    ("option", "value", "must_be"),
    [
        ("filename", b"x.zip", "a name"),
        ("password", b"secret", "text or None"),
        ("compress", "no", "True, False or None"),
    ],
)
def test_a_wrong_option_is_refused_when_the_view_is_made(
    view: Any, option: str, value: Any, must_be: str
) -> None:
    words = f"^{view.__name__}: {option} must be {must_be}, not {value!r}$"
    with pytest.raises(ImproperlyConfigured, match=words):
        view.as_view(**{option: value})


def test_options_that_are_properties_or_lazy_are_not_refused() -> None:
    class Computed(ZipDownloadView):
        password = gettext_lazy("Yes")  # type: ignore[assignment]

        @property
        def filename(self) -> str:  # type: ignore[override]
            return f"{self.kwargs['name']}.zip"

        def get_members(self) -> Any:
            return [bytes_member(b"x", "x.txt")]

    response: Any = Computed.as_view()(RequestFactory().get("/"), name="a")
    assert response.headers["Content-Disposition"] == 'attachment; filename="a.zip"'
    assert_reads(response.getvalue(), {"x.txt": b"x"}, password="Yes", only=["pyzipper"])


def test_the_default_name_is_archive() -> None:
    assert 'filename="archive.zip"' in get("/generated/sync").headers["Content-Disposition"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_members_may_be_generated(kind: str) -> None:
    url = f"/generated/{kind}"
    response, data = async_get(url)
    assert "Content-Length" not in response.headers
    assert data == ARCHIVE


# Errors.


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("url", ["/missing/sync", "/missing/async"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_missing_file_is_not_found_and_its_path_is_not_told(
    url: str, method: str, debug: bool, settings: Any
) -> None:
    settings.DEBUG = debug
    response = get(url, method)
    assert response.status_code == 404
    assert b"secret" not in response.content
    if not debug:
        assert async_get(url)[0].status_code == 404


def test_the_text_of_a_404_says_what_happened_and_why_in_its_cause() -> None:
    with pytest.raises(Http404, match=r"^A file of this download is missing\.$") as raised:
        MissingView.as_view()(RequestFactory().get("/"))
    assert isinstance(raised.value.__cause__, FileNotFoundError)


def test_an_async_view_says_why_in_a_thread_where_the_database_may_be_asked() -> None:
    class PageView(AsyncMissingView):
        def without_members(self, error: Exception) -> HttpResponseBase:
            return HttpResponse(asked_of_the_database(), status=404)

    @async_unsafe("not on an event loop")
    def asked_of_the_database() -> str:
        return "No photo for somebody"

    response = async_to_sync(PageView.as_view())(AsyncRequestFactory().get("/"))
    assert (response.status_code, response.content) == (404, b"No photo for somebody")


def test_any_other_error_is_not_a_404() -> None:
    with pytest.raises(PermissionError):
        get("/forbidden")


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_view_without_members_says_what_it_needs(method: str) -> None:
    class Unfinished(ZipDownloadView):
        pass

    with pytest.raises(ImproperlyConfigured, match=r"^Unfinished needs a get_members\(\) method$"):
        Unfinished.as_view()(RequestFactory().generic(method.upper(), "/"))


def test_an_async_view_without_members_says_what_it_needs() -> None:
    class Unfinished(AsyncZipDownloadView):
        pass

    async def ask() -> None:
        await Unfinished.as_view()(AsyncRequestFactory().get("/"))

    with pytest.raises(ImproperlyConfigured, match=r"Unfinished needs an async get_members\(\)"):
        asyncio.run(ask())


def test_asynchronous_members_under_wsgi_are_a_clear_error() -> None:
    with pytest.raises(ImproperlyConfigured, match="ASGI"):
        get("/generated/async")


# With Django's own.


def user_request(user: Any, factory: Any = RequestFactory) -> HttpRequest:
    request = factory().get("/private/1")
    request.user = user
    return request


def test_login_is_required_if_the_mixin_says_so() -> None:
    response = PrivateView.as_view()(user_request(AnonymousUser()), number=1)
    assert response.status_code == 302
    assert response.headers["Location"] == "/accounts/login/?next=/private/1"


def test_a_user_who_is_logged_in_gets_the_archive() -> None:
    response: Any = PrivateView.as_view()(user_request(User(username="me")), number=1)
    assert response.status_code == 200
    assert response.getvalue() == ARCHIVE


@pytest.mark.parametrize("client", [get, lambda url: async_get(url)[0]], ids=["WSGI", "ASGI"])
def test_login_is_required_of_anybody_under_both(client: Any) -> None:
    assert client("/private/1").status_code == 302


@pytest.mark.parametrize(("user", "status"), [(AnonymousUser(), 302), (User(username="me"), 200)])
def test_async_views_take_login_required_as_a_decorator(user: Any, status: int) -> None:
    request: Any = user_request(user, AsyncRequestFactory)

    async def auser() -> Any:
        return user

    request.auser = auser

    @method_decorator(login_required, name="get")
    class DecoratedView(AsyncAlbumView):
        pass

    async def ask(view: Any) -> HttpResponseBase:
        return await view(request, number=1)

    assert asyncio.run(ask(login_required(AsyncAlbumView.as_view()))).status_code == status
    assert asyncio.run(ask(DecoratedView.as_view())).status_code == status


class Lazy:
    """A user who is in the database, which may not be asked from an event loop."""

    def __init__(self, user: Any) -> None:
        self._user = user

    @async_unsafe("the database is asked")
    def found(self) -> Any:
        return self._user


class LoginView(LoginRequiredMixin, AsyncAlbumView):
    """For users only."""


class PermittedView(PermissionRequiredMixin, AsyncAlbumView):
    """For superusers."""

    permission_required = "photos.view_album"


class PassingView(UserPassesTestMixin, AsyncAlbumView):
    """For who passes a test."""

    def test_func(self) -> bool:
        return bool(self.request.user.is_active)


@method_decorator(login_required, name="dispatch")
class DecoratedDispatchView(AsyncAlbumView):
    """For users only."""


class AwaitingView(AsyncAlbumView):
    """Has an asynchronous dispatch of its own."""

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        user = await sync_to_async(lambda: request.user.is_active)()
        return (
            await super().dispatch(request, *args, **kwargs) if user else HttpResponse(status=302)
        )


GUARDED = [LoginView, PermittedView, PassingView, DecoratedDispatchView, AwaitingView]


@pytest.mark.parametrize("server", ["ASGI", "WSGI"])
@pytest.mark.parametrize("view", GUARDED, ids=lambda view: view.__name__)
@pytest.mark.parametrize(
    ("user", "status"), [(AnonymousUser(), 302), (User(is_superuser=True, username="me"), 200)]
)
def test_mixins_that_ask_who_it_is_work_on_async_views(
    view: Any, user: Any, status: int, server: str
) -> None:
    factory = AsyncRequestFactory if server == "ASGI" else RequestFactory
    request: Any = factory().get("/private/1")
    request.user = SimpleLazyObject(Lazy(user).found)
    made = view.as_view()
    assert iscoroutinefunction(made)
    assert made.view_class is view

    async def ask() -> tuple[int, bytes]:
        response = await made(request, number=1)
        if not response.streaming:
            return response.status_code, b""
        return response.status_code, b"".join([block async for block in response])

    if server == "ASGI":
        assert asyncio.run(ask()) == (status, ARCHIVE if status == 200 else b"")
    else:
        response = async_to_sync(made)(request, number=1)
        assert response.status_code == status
        assert status != 200 or response.getvalue() == ARCHIVE


@pytest.mark.parametrize("method", ["post", "delete"])
def test_a_guarded_async_view_knows_its_methods(method: str) -> None:
    request: Any = getattr(AsyncRequestFactory(), method)("/private/1")
    request.user = User(username="me")

    async def ask() -> Any:
        return await LoginView.as_view()(request, number=1)

    assert asyncio.run(ask()).status_code == 405


def test_a_user_without_the_permission_is_refused_by_an_async_view() -> None:
    request: Any = AsyncRequestFactory().get("/private/1")
    request.user = SimpleLazyObject(Lazy(User(username="me", is_active=False)).found)

    async def ask() -> Any:
        return await PermittedView.as_view()(request, number=1)

    with pytest.raises(PermissionDenied):
        asyncio.run(ask())


# Nothing to download.


@pytest.mark.parametrize("url", ["/empty/sync", "/empty/async"])
def test_without_members_there_is_nothing_to_find(url: str) -> None:
    for method in ("get", "head"):
        assert get(url, method).status_code == 404
        assert async_get(url, method)[0].status_code == 404


@pytest.mark.parametrize("url", ["/empty/sync/wanted", "/empty/async/wanted", "/empty/generated"])
def test_an_empty_archive_may_be_wanted_and_a_generator_gives_it(url: str) -> None:
    assert get(url).getvalue() == async_get(url)[1] == b"PK\x05\x06" + bytes(18)


def test_the_text_says_that_there_are_no_files_in_the_language_of_the_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Http404, match=r"^There are no files to download\.$"):
        EmptyView.as_view()(RequestFactory().get("/"))
    monkeypatch.setattr(views, "_", str.upper)
    with pytest.raises(Http404, match=r"^THERE ARE NO FILES TO DOWNLOAD\.$"):
        EmptyView.as_view()(RequestFactory().get("/"))


def test_the_views_are_of_one_colour_each() -> None:
    assert issubclass(AlbumView, View)
    assert not AlbumView.view_is_async
    assert AsyncAlbumView.view_is_async


def test_a_file_on_disk_is_streamed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text " * 10_000)

    class FileView(ZipDownloadView):
        def get_members(self) -> Iterable[MemberFile]:
            return [file_member(tmp_path / "a.txt")]

    response: Any = FileView.as_view()(RequestFactory().get("/"))
    assert_reads(response.getvalue(), {"a.txt": b"text " * 10_000}, only=["zipfile"])


def test_what_is_compressed_may_be_decided_by_a_method() -> None:
    class Texts(ZipDownloadView):
        def get_members(self) -> Any:
            return [bytes_member(b"x" * 1000, "a.txt")]

        def get_compress(self) -> bool | None:
            return False

    response: Any = Texts.as_view()(RequestFactory().get("/"))
    assert "Content-Length" in response.headers
