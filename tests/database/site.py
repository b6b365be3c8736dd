"""A site of archives of rows: those of a title, `large`, `tiny` or `broken`; see `fill`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.contrib import admin
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.static import serve

from django_stream_zip import MemberFile
from django_stream_zip.delivery.async_download import AnyMembers
from django_stream_zip.members import (
    aqueryset_members,
    lazy_queryset_members,
    queryset_members,
)
from django_stream_zip.response import zip_response
from django_stream_zip.views import (
    AsyncZipDownloadView,
    QuerySetZipDownloadView,
    ZipDownloadView,
)
from tests.models import Document
from tests.support.admin_site import site as admin_site
from tests.support.rows import KNOWN


def documents(title: str) -> QuerySet[Document]:
    return Document.objects.filter(title=title)


class Eager(QuerySetZipDownloadView):
    """The archive with a length."""

    member_options = KNOWN

    def get_queryset(self) -> QuerySet[Document]:
        return documents(self.kwargs["title"])


class Lazy(ZipDownloadView):
    """The archive without one."""

    def get_members(self) -> Iterable[MemberFile]:
        Document.objects.exists()  # a view may have asked for more
        return lazy_queryset_members(documents(self.kwargs["title"]), **KNOWN)


class Async(AsyncZipDownloadView):
    """The archive of an asynchronous view."""

    async def get_members(self) -> AnyMembers:
        await Document.objects.aexists()
        return await aqueryset_members(documents(self.kwargs["title"]), **KNOWN)


def count(request: HttpRequest) -> HttpResponse:
    """Be the other request, which needs the database too."""
    return HttpResponse(str(Document.objects.count()))


def in_atomic_block(request: HttpRequest) -> JsonResponse:
    """Make an archive in a transaction, which is to go on, and then to be undone."""
    with transaction.atomic():
        Document.objects.create(title="made in the transaction")
        before = process_id()
        response: Any = zip_response(request, queryset_members(documents("tiny"), **KNOWN))
        length = sum(map(len, response.streaming_content))
        after, found = process_id(), documents("made in the transaction").count()
        transaction.set_rollback(True)
    left = documents("made in the transaction").count()
    told = {"before": before, "after": after, "length": length, "found": found, "left": left}
    return JsonResponse(told)


def process_id() -> int:
    """Return which of PostgreSQL's processes answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


ADMIN_STATIC = Path(admin.__file__).parent / "static"

urlpatterns = [
    path("admin/", admin_site.urls),
    path("static/<path:path>", serve, {"document_root": ADMIN_STATIC}),
    path("eager/<str:title>/", Eager.as_view()),
    path("lazy/<str:title>/", Lazy.as_view()),
    path("async/<str:title>/", Async.as_view()),
    path("count/", count),
    path("atomic/", in_atomic_block),
]
