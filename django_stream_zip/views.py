"""Class-based views that answer with an archive."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.text import capfirst
from django.views.generic import View
from django.views.generic.list import MultipleObjectMixin

from django_stream_zip import MemberFile
from django_stream_zip.async_download import AnyMembers
from django_stream_zip.members import DownloadTooLargeError, on_loop, queryset_members
from django_stream_zip.misuse import check_members
from django_stream_zip.response import zip_response

logger = logging.getLogger("django_stream_zip")

if TYPE_CHECKING:
    _MultipleObjectMixin = MultipleObjectMixin[Any]
else:
    _MultipleObjectMixin = MultipleObjectMixin


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

    def without_members(self, error: Exception) -> HttpResponseBase:
        """Answer where members couldn't be made: 413 over a limit, 404 if a file is missing."""
        if isinstance(error, DownloadTooLargeError):
            reason = capfirst(f"{error}.")
            return HttpResponse(reason, status=413, content_type="text/plain; charset=utf-8")
        # The error's own text, which has the path, is for the log and not for the visitor.
        logger.warning("a download is not found: %s: %s", type(error).__name__, error)
        raise Http404("A file of this download is missing.") from error


_NO_MEMBERS = (FileNotFoundError, DownloadTooLargeError)


class ZipDownloadView(ZipViewMixin, View):
    """Answers GET and HEAD with the archive of what `get_members` returns.

    It streams under WSGI and under ASGI. If a file is missing when members are made, it is a 404.
    """

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive."""
        try:
            members = self.get_members()
        except _NO_MEMBERS as error:
            return self.without_members(error)
        return self.render_to_zip(request, members)

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return self.get(request, *args, **kwargs)

    def get_members(self) -> Iterable[MemberFile]:
        """Give the archive's members. A list makes more of the archive known than a generator."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs a get_members() method")


class QuerySetZipDownloadView(_MultipleObjectMixin, ZipDownloadView):
    """Answers with the files of a queryset's rows, or of those that `ids` names.

    Set `model`, `queryset` or `get_queryset`, as with Django's ListView, and `file_fields` where
    the model has several; `member_options` are those of `queryset_members`. Ids come in the query
    string (?ids=1&ids=2), or in the form of a POST where they are many. Each of them has to be in
    `get_queryset()`: an id of somebody else's row, or none at all, is a 404. A download over a
    limit is a 413.
    """

    file_fields: tuple[str, ...] = ()
    member_options: Mapping[str, Any] = {}
    #: Name of the parameter. A GET without it means the whole queryset, unless `ids_required`.
    ids_param = "ids"
    ids_required = False

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a form with more ids than a URL takes. Such a download can't be resumed."""
        return self.get(request, *args, **kwargs)

    def get_members(self) -> Iterable[MemberFile]:
        """Give a member for each file of the rows."""
        if isinstance(cast(Any, self.file_fields), str):
            raise ImproperlyConfigured(f"{type(self).__name__}.file_fields must be a tuple")
        queryset = self.get_selected(self.get_queryset())
        return queryset_members(queryset, *self.file_fields, **self.member_options)

    def get_selected(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Give those rows of the queryset that the request asks for. Raises Http404."""
        data = self.request.POST if self.request.method == "POST" else self.request.GET
        given = set(data.getlist(self.ids_param))
        # A form in which nothing was ticked sends no ids, and doesn't mean everything.
        if not given and not self.ids_required and self.request.method != "POST":
            return queryset
        pk: Any = queryset.model._meta.pk
        while pk.is_relation:  # whose own check would ask the database
            pk = pk.target_field
        try:
            ids = {pk.clean(value, None) for value in given}
        except (ValidationError, ValueError) as error:
            raise Http404("No such id.") from error
        selected = queryset.filter(pk__in=ids)
        if not ids or selected.order_by().values("pk").distinct().count() != len(ids):
            raise Http404("No such id.")
        return selected


class AsyncZipDownloadView(ZipViewMixin, View):
    """The same with an asynchronous `get_members`, for ASGI.

    It may give an asynchronous iterable of members, asynchronous contents, or what ZipDownloadView
    takes. With the extra `async`, those in S3, Google Cloud and Azure are read on the event loop.
    Django's LoginRequiredMixin and its kin don't work here, as they answer from a
    synchronous `dispatch`: use `login_required(AlbumDownload.as_view())` in the URLconf, or
    `@method_decorator(login_required)` on `get` and `head`.
    """

    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive."""
        try:
            made: Any = self.get_members()
            members = await made if isawaitable(made) else made
        except _NO_MEMBERS as error:
            return self.without_members(error)
        # In a thread: to plan 100,000 members takes 0.7 s.
        return await sync_to_async(self._rendered)(request, members)

    def _rendered(self, request: HttpRequest, members: AnyMembers) -> HttpResponseBase:
        check_members(members)
        if isinstance(members, Sequence):
            members = [on_loop(member) for member in members]
        return self.render_to_zip(request, members)

    async def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return await self.get(request, *args, **kwargs)

    async def get_members(self) -> AnyMembers:
        """Give the archive's members: return a list, of which more is known, or yield them."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs an async get_members() method")
