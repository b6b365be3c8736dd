"""The pages of the site whose workers build exports."""

from __future__ import annotations

from uuid import uuid4

from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from django_stream_zip.exports import ZipExportView


def nothing(request: HttpRequest) -> HttpResponse:
    """Answer a user, and do nothing."""
    return HttpResponse(str(request.user))


def two_rows(request: HttpRequest) -> HttpResponse:
    """Answer a user, and insert two rows, each of which the database commits."""
    for _ in range(2):
        Group.objects.create(name=f"of {request.user}: {uuid4()}")
    return HttpResponse()


urlpatterns = [
    path("nothing/", nothing),
    path("two-rows/", two_rows),
    path("exports/", include("django_stream_zip.exports.urls")),
    path("<str:name>/zip/", ZipExportView.as_view(recipe="album")),
]
