"""Class-based views that answer with an archive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.generic import View

from django_stream_zip import MemberFile
from django_stream_zip.async_download import AnyMembers
from django_stream_zip.response import zip_response


class ZipViewMixin:
    """What the views have in common: set `filename` or override `get_filename`; so `password`."""

    filename = "archive.zip"
    password: str | None = None

    def get_filename(self) -> str:
        """Give the name to save the archive under."""
        return self.filename

    def get_password(self) -> str | None:
        """Give the password to encrypt the members with, None for none."""
        return self.password

    def render_to_zip(self, request: HttpRequest, members: AnyMembers) -> HttpResponseBase:
        """Answer with the archive of these members."""
        return zip_response(
            request, members, filename=self.get_filename(), password=self.get_password()
        )


class ZipDownloadView(ZipViewMixin, View):
    """Answers GET and HEAD with the archive of what `get_members` returns.

    It streams under WSGI and under ASGI. If a file is missing when members are made, it is a 404.
    """

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive."""
        try:
            members = self.get_members()
        except FileNotFoundError as error:
            raise _missing() from error
        return self.render_to_zip(request, members)

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return self.get(request, *args, **kwargs)

    def get_members(self) -> Iterable[MemberFile]:
        """Give the archive's members. A list makes more of the archive known than a generator."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs a get_members() method")


class AsyncZipDownloadView(ZipViewMixin, View):
    """The same with an asynchronous `get_members`, for ASGI.

    It may give an asynchronous iterable of members, asynchronous contents, or what ZipDownloadView
    takes. Django's LoginRequiredMixin and its kin don't work here, as they answer from a
    synchronous `dispatch`: use `login_required(AlbumDownload.as_view())` in the URLconf, or
    `@method_decorator(login_required)` on `get` and `head`.
    """

    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive."""
        try:
            members = await self.get_members()
        except FileNotFoundError as error:
            raise _missing() from error
        # In a thread: to plan 100,000 members takes 0.7 s.
        return await sync_to_async(self.render_to_zip)(request, members)

    async def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return await self.get(request, *args, **kwargs)

    async def get_members(self) -> AnyMembers:
        """Give the archive's members. A list makes more of the archive known than a generator."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs an async get_members() method")


def _missing() -> Http404:
    # Without the error's own text, which has the path.
    return Http404("A file of this download is missing.")
